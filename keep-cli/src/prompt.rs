//! What a person is shown before deciding about a request.

use keep_sdk::{DisplayText, Origin, Prompt, SpendFacts};

use crate::key_view::short;
use crate::style::Style;

/// Characters of the content that are shown; how many there are beyond is said.
const MAX_CONTENT: usize = 2000;
/// Tags that are shown.
const MAX_TAGS: usize = 24;
/// Characters of one tag that are shown.
const MAX_TAG: usize = 200;

/// The question, as lines.
pub fn render(prompt: &Prompt, style: Style) -> String {
    let mut lines = vec![String::new(), format!("{} {}", style.yellow("?"), style.bold(&headline(prompt)))];
    let mut row =
        |label: &str, text: &str| lines.push(format!("  {} {text}", style.dim(&format!("{label:8}"))));
    if let Some(peer) = &prompt.peer {
        row("with", &peer.to_string());
    }
    if !prompt.content.is_empty() {
        row("content", &cut(prompt.content.as_str(), MAX_CONTENT));
    }
    for (number, tag) in prompt.tags.iter().take(MAX_TAGS).enumerate() {
        let tag: Vec<&str> = tag.iter().map(DisplayText::as_str).collect();
        row(if number == 0 { "tags" } else { "" }, &cut(&tag.join("  "), MAX_TAG));
    }
    if prompt.tags.len() > MAX_TAGS {
        row("", &format!("… and {} more tags that are not shown", prompt.tags.len() - MAX_TAGS));
    }
    if let Some(spend) = &prompt.spend {
        for (label, text) in spend_rows(spend) {
            row(label, &text);
        }
    }
    if let Some(message) = &prompt.message {
        row("address", message.address.as_ref().map_or("none", |address| address.as_str()));
        row("message", &cut(message.message.as_str(), MAX_CONTENT));
    }
    row("why", &prompt.because);
    lines.join("\n")
}

/// What a transaction does, as labelled lines: every destination is named, for each of them is paid.
pub fn spend_rows(spend: &SpendFacts) -> Vec<(&'static str, String)> {
    let sats = |amount: Option<u64>| amount.map_or("unknown".to_owned(), |sats| format!("{sats} sats"));
    let rate = spend.fee_rate_sats_per_kvb.map(|rate| format!(" ({:.1} sat/vB)", rate as f64 / 1000.0));
    let fee = format!("{}{}", sats(spend.fee_sats), rate.unwrap_or_default());
    let network = if spend.any_network {
        format!("{}; the keys are the same on every network, and so are the signatures", spend.network)
    } else {
        spend.network.to_string()
    };
    let mut rows = vec![("network", network), ("leaves", sats(spend.leaving_sats)), ("fee", fee)];
    for (number, to) in spend.destinations.iter().enumerate() {
        let address = to.address.as_ref().map_or("a script without address", |address| address.as_str());
        rows.push((if number == 0 { "pays" } else { "" }, format!("{} sats to {address}", to.amount_sats)));
    }
    if !spend.outputs_fixed {
        rows.push(("beware", "the signature would not fix where the coins go".to_owned()));
    }
    rows
}

/// The question in one line.
pub fn headline(prompt: &Prompt) -> String {
    let asks = match prompt.kind {
        Some(kind) => format!("asks to sign an event of kind {}{}", kind.as_u16(), meaning(kind.as_u16())),
        None if prompt.spend.is_some() => "asks to sign a Bitcoin transaction".to_owned(),
        None => format!("asks for {}", prompt.operation),
    };
    format!("{} {asks}", asker(prompt))
}

fn asker(prompt: &Prompt) -> String {
    match &prompt.origin {
        Origin::Nip46 { client, .. } => named(&prompt.claims, &client.to_string()),
        Origin::Agent { .. } => format!("the agent's session \"{}\"", prompt.claims),
        origin @ Origin::Cli => origin.to_string(),
    }
}

/// A client: what it calls itself, in quotes because nobody vouches for that, and its key.
pub fn named(claims: &DisplayText, key: &str) -> String {
    if claims.is_empty() {
        short(key)
    } else {
        format!("\"{}\" ({})", DisplayText::truncated(claims.as_str(), 40), short(key))
    }
}

fn cut(text: &str, max: usize) -> String {
    let total = text.chars().count();
    if total <= max {
        return text.to_owned();
    }
    let head: String = text.chars().take(max).collect();
    format!("{head}… ({} more characters that are not shown)", total - max)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_shown_is_counted() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcdef", 2), "ab… (4 more characters that are not shown)");
    }

    #[test]
    fn a_client_is_named_by_its_key_even_if_it_claims_a_name() {
        let key = "3bf0c63fcb93463407af97a5e5ee64fa883d107ef9e558472c4eb9aaaefa459d";
        assert_eq!(named(&"".into(), key), "3bf0c63f…aefa459d");
        assert_eq!(named(&"your bank\u{202e}".into(), key), "\"your bank\\u{202e}\" (3bf0c63f…aefa459d)");
    }
}
