//! QR codes out of half blocks: two modules to a character.

use qrcode::{Color, EcLevel, QrCode};

use crate::style::Style;

/// Light modules around the code.
const MARGIN: usize = 2;

/// The code as lines for whoever paints them: black on white where there are colours; where not, the light modules are drawn.
pub fn lines(text: &str, has_colour: bool) -> Option<Vec<String>> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let side = code.width() + 2 * MARGIN;
    let colours = code.to_colors();
    let is_dark = |row: usize, column: usize| {
        let inside = |at: usize| at.checked_sub(MARGIN).filter(|at| *at < code.width());
        match (inside(row), inside(column)) {
            (Some(row), Some(column)) => colours[row * code.width() + column] == Color::Dark,
            _ => false,
        }
    };
    let line = |row: usize| {
        (0..side)
            .map(|column| glyph(is_dark(row, column), row + 1 < side && is_dark(row + 1, column), has_colour))
            .collect()
    };
    Some((0..side).step_by(2).map(line).collect())
}

/// The code as lines, if it fits into `columns`.
pub fn draw(text: &str, style: Style, columns: usize, indent: usize) -> Option<String> {
    let lines = lines(text, style.has_colour())?;
    if lines.first()?.chars().count() + indent > columns {
        return None;
    }
    let lines = lines.iter().map(|line| " ".repeat(indent) + &paint(line, style));
    Some(lines.collect::<Vec<_>>().join("\n"))
}

/// Black on white where there are colours. Without them the light modules are drawn, for terminals are dark mostly.
fn glyph(upper_dark: bool, lower_dark: bool, has_colour: bool) -> char {
    let (upper, lower) = if has_colour { (upper_dark, lower_dark) } else { (!upper_dark, !lower_dark) };
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
