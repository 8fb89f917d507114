//! The terminal, as ratatui draws on it.

use std::fmt::Write as _;
use std::io::{self, Write};

use ratatui_core::backend::{Backend, ClearType, WindowSize};
use ratatui_core::buffer::Cell;
use ratatui_core::layout::{Position, Size};
use ratatui_core::style::{Color, Modifier};

use crate::terminal::Device;

/// A screen that does not tell its size.
const USUAL: Size = Size { width: 80, height: 24 };

/// Draws with the sequences that every terminal of today knows. What is drawn is written at once in [`flush`](Backend::flush).
#[derive(Debug)]
pub struct Tty {
    device: Device,
    colour: bool,
    pending: String,
}

impl Tty {
    pub const fn new(device: Device, colour: bool) -> Self {
        Self { device, colour, pending: String::new() }
    }

    fn style(&mut self, cell: &Cell) {
        self.pending.push_str("\x1b[0");
        for (modifier, code) in [
            (Modifier::BOLD, ";1"),
            (Modifier::DIM, ";2"),
            (Modifier::UNDERLINED, ";4"),
            (Modifier::REVERSED, ";7"),
        ] {
            if cell.modifier.contains(modifier) {
                self.pending.push_str(code);
            }
        }
        if self.colour {
            self.pending.push_str(foreground(cell.fg));
            self.pending.push_str(background(cell.bg));
        }
        self.pending.push('m');
    }
}

const fn foreground(colour: Color) -> &'static str {
    match colour {
        Color::Black => ";38;5;16",
        Color::White => ";38;5;231",
        Color::Red => ";31",
        Color::Green => ";32",
        Color::Yellow => ";33",
        Color::Blue => ";34",
        Color::Cyan => ";36",
        _ => "",
    }
}

const fn background(colour: Color) -> &'static str {
    match colour {
        Color::Black => ";48;5;16",
        Color::White => ";48;5;231",
        Color::Red => ";41",
        Color::Blue => ";44",
        _ => "",
    }
}

impl Backend for Tty {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let mut last: Option<(u16, u16, &Cell)> = None;
        for (x, y, cell) in content {
            let follows = last.is_some_and(|(at, row, _)| row == y && at + 1 == x);
            if !follows {
                let _ = write!(self.pending, "\x1b[{};{}H", y + 1, x + 1);
            }
            let same =
                |other: &Cell| (other.fg, other.bg, other.modifier) == (cell.fg, cell.bg, cell.modifier);
            if !last.is_some_and(|(_, _, other)| same(other)) {
                self.style(cell);
            }
            self.pending.push_str(cell.symbol());
            last = Some((x, y, cell));
        }
        self.pending.push_str("\x1b[0m");
        Ok(())
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        self.pending.push_str("\x1b[?25l");
        self.flush()
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        self.pending.push_str("\x1b[?25h");
        self.flush()
    }

    /// The cursor is hidden, and every cell is addressed.
    fn get_cursor_position(&mut self) -> io::Result<Position> {
        Ok(Position::ORIGIN)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        let Position { x, y } = position.into();
        let _ = write!(self.pending, "\x1b[{};{}H", y + 1, x + 1);
        self.flush()
    }

    fn clear(&mut self) -> io::Result<()> {
        self.clear_region(ClearType::All)
    }

    fn clear_region(&mut self, region: ClearType) -> io::Result<()> {
        self.pending.push_str(match region {
            ClearType::All => "\x1b[2J",
            ClearType::AfterCursor => "\x1b[J",
            ClearType::BeforeCursor => "\x1b[1J",
            ClearType::CurrentLine => "\x1b[2K",
            ClearType::UntilNewLine => "\x1b[K",
        });
        self.flush()
    }

    fn size(&self) -> io::Result<Size> {
        Ok(self.device.size().map_or(USUAL, |(width, height)| Size { width, height }))
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        Ok(WindowSize { columns_rows: self.size()?, pixels: Size::ZERO })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.device.write_all(self.pending.as_bytes())?;
        self.pending.clear();
        self.device.flush()
    }
}
