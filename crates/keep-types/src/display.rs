//! Text that is safe to show to a person.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Text with everything neutralised that could deceive a reader or drive a terminal.
///
/// Control characters (C0, C1, DEL), bidirectional controls, zero-width and other invisible characters are written
/// as `\u{…}` where the text is built, so that no later step can forget it. Line feeds become `\n` (two characters).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct DisplayText(String);

impl schemars::JsonSchema for DisplayText {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        String::schema_name()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        String::json_schema(generator)
    }
}

impl DisplayText {
    /// Neutralises `text`.
    pub fn new(text: &str) -> Self {
        if !text.chars().any(is_deceptive) {
            return Self(text.to_owned());
        }
        let mut safe = String::with_capacity(text.len() + 16);
        for c in text.chars() {
            match c {
                '\n' => safe.push_str("\\n"),
                '\r' => safe.push_str("\\r"),
                '\t' => safe.push_str("\\t"),
                c if is_deceptive(c) => safe.extend(c.escape_unicode()),
                c => safe.push(c),
            }
        }
        Self(safe)
    }

    /// Neutralises `text` and keeps at most `max` characters, with `…` where something was cut.
    pub fn truncated(text: &str, max: usize) -> Self {
        let mut chars = text.chars();
        let head: String = chars.by_ref().take(max).collect();
        let mut safe = Self::new(&head);
        if chars.next().is_some() {
            safe.0.push('…');
        }
        safe
    }

    /// The neutralised text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Whether `c` can hide, reorder or overwrite what a person reads.
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

impl fmt::Display for DisplayText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl From<&str> for DisplayText {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for DisplayText {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

impl From<DisplayText> for String {
    fn from(text: DisplayText) -> Self {
        text.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neutralises_terminal_and_reading_tricks() {
        assert_eq!(DisplayText::new("a\x1b[2Jb").as_str(), "a\\u{1b}[2Jb");
        assert_eq!(DisplayText::new("x\u{200b}y\u{feff}").as_str(), "x\\u{200b}y\\u{feff}");
        assert_eq!(DisplayText::new("one\ntwo").as_str(), "one\\ntwo");
        assert_eq!(DisplayText::new("žluťoučký 🦀").as_str(), "žluťoučký 🦀");
    }

    #[test]
    fn deserialising_neutralises_too() {
        let text: DisplayText = serde_json::from_str("\"a\\u202eb\"").unwrap();
        assert_eq!(text.as_str(), "a\\u{202e}b");
    }

    #[test]
    fn truncation_counts_characters() {
        assert_eq!(DisplayText::truncated("žžžž", 3).as_str(), "žžž…");
        assert_eq!(DisplayText::truncated("abc", 3).as_str(), "abc");
    }
}
