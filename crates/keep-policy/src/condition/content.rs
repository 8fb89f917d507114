//! Rules about what an event says, or what is to be encrypted.

use keep_types::counted;
use minicbor::{Decode, Encode};

/// What a text must and must not say. Compared without regard to case.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub struct ContentRule {
    /// It contains at least one of these, if there are any.
    #[n(0)]
    pub contains: Vec<String>,
    /// It contains none of these.
    #[n(1)]
    pub excludes: Vec<String>,
    /// It begins with one of these, if there are any.
    #[n(2)]
    pub begins: Vec<String>,
    /// It has at most this many characters.
    #[n(3)]
    pub longest: Option<u32>,
}

impl ContentRule {
    /// What of the text does not fit, if anything does not.
    pub fn mismatch(&self, text: &str) -> Option<String> {
        let lower = text.to_lowercase();
        let has = |part: &String| lower.contains(&part.to_lowercase());
        if !self.contains.is_empty() && !self.contains.iter().any(has) {
            return Some("its content contains none of the words".to_owned());
        }
        if self.excludes.iter().any(has) {
            return Some("its content contains an excluded word".to_owned());
        }
        if !self.begins.is_empty() && !self.begins.iter().any(|part| lower.starts_with(&part.to_lowercase()))
        {
            return Some("its content begins otherwise".to_owned());
        }
        let is_long = |most: &u32| text.chars().nth(*most as usize).is_some();
        self.longest
            .filter(is_long)
            .map(|most| format!("its content is longer than {}", counted(most, "character")))
    }
}
