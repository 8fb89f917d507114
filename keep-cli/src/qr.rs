//! QR codes out of half blocks: two modules to a character.

use qrcode::{Color, EcLevel, QrCode};

use crate::style::Style;

/// Light modules around the code.
const MARGIN: usize = 2;

/// The code as lines, if it fits into `columns`.
pub fn draw(text: &str, style: Style, columns: usize, indent: usize) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let side = code.width() + 2 * MARGIN;
    if side + indent > columns {
        return None;
    }
    let colours = code.to_colors();
    let is_dark = |row: usize, column: usize| {
        let inside = |at: usize| at.checked_sub(MARGIN).filter(|at| *at < code.width());
        match (inside(row), inside(column)) {
            (Some(row), Some(column)) => colours[row * code.width() + column] == Color::Dark,
            _ => false,
        }
    };
    let lines = (0..side).step_by(2).map(|row| {
        let modules: String = (0..side)
            .map(|column| glyph(is_dark(row, column), row + 1 < side && is_dark(row + 1, column), style))
            .collect();
        " ".repeat(indent) + &paint(&modules, style)
    });
    Some(lines.collect::<Vec<_>>().join("\n"))
}

/// Black on white where there are colours. Without them the light modules are drawn, for terminals are dark mostly.
fn glyph(upper_dark: bool, lower_dark: bool, style: Style) -> char {
    let (upper, lower) =
        if style.has_colour() { (upper_dark, lower_dark) } else { (!upper_dark, !lower_dark) };
    match (upper, lower) {
        (true, true) => '█',
        (true, false) => '▀',
        (false, true) => '▄',
        (false, false) => ' ',
    }
}

fn paint(line: &str, style: Style) -> String {
    if style.has_colour() { format!("\x1b[38;5;16;48;5;231m{line}\x1b[0m") } else { line.to_owned() }
}
