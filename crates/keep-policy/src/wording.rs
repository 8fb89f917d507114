//! How requests are put into words, the same for every front end.

use keep_types::{DisplayText, Origin, are, counted};

use crate::Prompt;

/// The longest name that somebody claims and that is shown, in characters.
const MAX_CLAIMED: usize = 40;

/// At most `most` characters of `text`. What is cut says how much there is beyond; that number comes back too, 0 when
/// everything is shown.
pub fn cut(text: &str, most: usize) -> (String, usize) {
    let total = text.chars().count();
    if total <= most {
        return (text.to_owned(), 0);
    }
    let head: String = text.chars().take(most).collect();
    let more = total - most;
    (format!("{head}… ({} that {} not shown)", counted(more, "more character"), are(more)), more)
}

/// The beginning and the end of a long public text, such as a key.
pub fn short(text: &str) -> String {
    match (text.get(..8), text.get(text.len().saturating_sub(8)..)) {
        (Some(head), Some(tail)) if text.len() > 20 => format!("{head}…{tail}"),
        _ => text.to_owned(),
    }
}

/// A client: what it calls itself, in quotes because nobody vouches for that, and its key.
pub fn named(claims: &DisplayText, key: &str) -> String {
    if claims.is_empty() {
        short(key)
    } else {
        format!("\"{}\" ({})", DisplayText::truncated(claims.as_str(), MAX_CLAIMED), short(key))
    }
}

/// What events of a kind do, where a person should know before saying yes.
pub const fn meaning(kind: u16) -> &'static str {
    match kind {
        0 => " (replaces your profile)",
        1 => " (note)",
        3 => " (replaces the list of whom you follow)",
        4 => " (direct message, NIP-04)",
        5 => " (asks for deletion)",
        6 | 16 => " (repost)",
        7 => " (reaction)",
        13 => " (sealed message)",
        1984 => " (report)",
        9734 => " (zap request)",
        9735 => " (zap)",
        10000 => " (replaces your mute list)",
        10002 => " (replaces the list of your relays)",
        10050 => " (replaces the relays for your direct messages)",
        22242 => " (authenticates you to a relay)",
        24242 => " (authorises an upload or deletion of files)",
        27235 => " (authenticates you to a web site)",
        30023 => " (article)",
        30078 => " (application data)",
        _ => "",
    }
}

impl Prompt {
    /// Who asks: a client by the owner's name for it or by what it calls itself, and always by its key; an agent by its session;
    /// or a program of the owner.
    pub fn asker(&self) -> String {
        match &self.origin {
            Origin::Nip46 { client, .. } if self.name.is_empty() => named(&self.claims, &client.to_hex()),
            Origin::Nip46 { client, .. } => format!("{} ({})", self.name, short(&client.to_hex())),
            Origin::Agent { .. } => format!("the agent's session \"{}\"", self.claims),
            Origin::Cli => "a program of yours".to_owned(),
        }
    }

    /// The question in one line: who asks for what.
    pub fn headline(&self) -> String {
        let asks = match self.kind.map(|kind| kind.as_u16()) {
            Some(kind) if self.signs_event() => {
                format!("asks to sign an event of kind {kind}{}", meaning(kind))
            }
            Some(_) | None if self.spend.is_some() => "asks to sign a Bitcoin transaction".to_owned(),
            Some(_) | None => format!("asks for {}", self.operation),
        };
        format!("{} {asks}", self.asker())
    }

    /// The same with each text cut to `most` characters, and how many are not shown in all. For showing only.
    pub fn cut(&self, most: usize) -> (Self, usize) {
        let mut left_out = 0;
        let mut shorter = |text: &DisplayText| {
            let (text, more) = cut(text.as_str(), most);
            left_out += more;
            DisplayText::new(&text)
        };
        let mut shown = Self {
            content: shorter(&self.content),
            tags: self.tags.iter().map(|tag| tag.iter().map(&mut shorter).collect()).collect(),
            ..self.clone()
        };
        if let Some(message) = &mut shown.message {
            message.message = shorter(&message.message);
        }
        (shown, left_out)
    }

    const fn signs_event(&self) -> bool {
        matches!(self.operation, keep_types::Operation::SignEvent | keep_types::Operation::FrostSign)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_shown_is_counted() {
        assert_eq!(cut("abc", 3), ("abc".to_owned(), 0));
        assert_eq!(cut("abcdef", 2), ("ab… (4 more characters that are not shown)".to_owned(), 4));
        assert_eq!(cut("žžž", usize::MAX), ("žžž".to_owned(), 0));
    }

    #[test]
    fn a_client_is_named_by_its_key_even_if_it_claims_a_name() {
        let key = "3bf0c63fcb93463407af97a5e5ee64fa883d107ef9e558472c4eb9aaaefa459d";
        assert_eq!(named(&"".into(), key), "3bf0c63f…aefa459d");
        assert_eq!(named(&"your bank\u{202e}".into(), key), "\"your bank\\u{202e}\" (3bf0c63f…aefa459d)");
    }
}
