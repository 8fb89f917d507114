//! Keys as people see them.

use keep_sdk::KeyView;
use serde::Serialize;

use crate::output::View;
use crate::style::Style;

/// One key, alone on its line.
#[derive(Serialize)]
#[serde(transparent)]
pub struct OneKey<'a>(pub &'a KeyView);

impl View for OneKey<'_> {
    fn human(&self, style: Style) -> String {
        format!("{}  {}", style.bold(&self.0.name), self.0.npub)
    }
}

/// All keys.
#[derive(Serialize)]
pub struct KeyList<'a> {
    pub keys: &'a [KeyView],
}

impl View for KeyList<'_> {
    fn human(&self, style: Style) -> String {
        let width = self.keys.iter().map(|key| key.name.chars().count()).max().unwrap_or(0);
        let line = |key: &KeyView| {
            let name = style.bold(&format!("{:width$}", key.name));
            format!("{name}  {}  {}", key.npub, style.dim(&details(key)))
        };
        self.keys.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// What else is known of a key: where it came from, since when, its last use, its note.
fn details(key: &KeyView) -> String {
    let source = if key.kind == "mnemonic" { "mnemonic" } else { &key.source };
    let used =
        key.last_used.as_deref().map_or_else(|| "unused".to_owned(), |time| format!("used {}", &time[..10]));
    let note = key.note.as_deref().unwrap_or_default();
    format!("{source} {}  {used}  {note}", &key.created_at[..10]).trim_end().to_owned()
}

pub use keep_sdk::short;
