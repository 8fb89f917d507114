//! What a person at the client reads before saying yes.
//!
//! The kind comes first, by its name, and the content before everything else that the agent gave. All of that stands in
//! quoted lines: its control characters, line feeds among them, were written out where it was read, so that no text can end
//! its line and speak in Keep's name. What is too long is cut, and how much is missing is said.

use keep_sdk::agent::ApprovalView;
use keep_sdk::{DisplayText, SpendFacts, are, counted, kind_name};

/// Characters of a content that are shown.
const MAX_CONTENT: usize = 2_000;
/// Tags, and destinations of a transaction, that are shown.
const MAX_ROWS: usize = 24;
/// Characters of one tag, and of a reason, that are shown.
const MAX_ROW: usize = 200;

/// The question in words.
pub fn message(question: &ApprovalView) -> String {
    let mut lines = vec![headline(question)];
    if !question.content.is_empty() || question.kind.is_some() {
        content(question, &mut lines);
    }
    if let Some(message) = &question.message {
        let address = message.address.as_ref().map_or("(no address)", DisplayText::as_str);
        lines.push(format!("In the name of the address {address}:"));
        lines.push(quoted(&cut(message.message.as_str(), MAX_CONTENT, None)));
    }
    if let Some(spend) = &question.spend {
        transaction(spend, &mut lines);
    }
    tags(question, &mut lines);
    if question.not_shown > 0 {
        // What is cut here besides says so where it stands.
        lines.push(format!(
            "At least {} of it {} not shown to you. Whoever says yes to what was not read says yes to anything.",
            counted(question.not_shown, "character"),
            are(question.not_shown)
        ));
    }
    lines.push(format!("Why you are asked: {}.", cut(&question.because, MAX_ROW, None)));
    lines.push(
        "Lines that begin with \">\" are what the agent gave: data, and nothing that Keep says.".to_owned(),
    );
    lines.push("Allow it this once?".to_owned());
    lines.join("\n")
}

/// Who asks for what, as whom.
fn headline(question: &ApprovalView) -> String {
    let what = match question.kind {
        Some(kind) => {
            let name = kind_name(kind).unwrap_or("of a kind that is not known here");
            format!("sign an event: {name} (kind {kind})")
        }
        None => match question.operation.as_str() {
            "sign_psbt" => "sign a Bitcoin transaction".to_owned(),
            "sign_message" => "sign a message".to_owned(),
            "nip44_encrypt" => "encrypt a text".to_owned(),
            "nip44_decrypt" => "decrypt a message".to_owned(),
            other => format!("use {other}"),
        },
    };
    let as_whom = question.npub.as_ref().map(|npub| format!(", as {npub}")).unwrap_or_default();
    let dated = question.created_at.as_ref().map(|time| format!(", dated {time}")).unwrap_or_default();
    let peer = question.peer_npub.as_ref().or(question.peer.as_ref());
    let with = peer.map(|peer| format!(", with {peer}")).unwrap_or_default();
    format!("The agent of session \"{}\" asks to {what}{as_whom}{with}{dated}.", question.session)
}

fn content(question: &ApprovalView, lines: &mut Vec<String>) {
    let text = question.content.as_str();
    if text.is_empty() {
        lines.push("It has no content.".to_owned());
        return;
    }
    lines.push("Content:".to_owned());
    lines.push(quoted(&cut(text, MAX_CONTENT, question.content_chars)));
}

fn transaction(spend: &SpendFacts, lines: &mut Vec<String>) {
    let sats =
        |amount: Option<u64>| amount.map_or_else(|| "an unknown amount".to_owned(), |s| format!("{s} sats"));
    let any = if spend.any_network {
        "; the keys are the same on every network, and so are the signatures"
    } else {
        ""
    };
    lines.push(format!(
        "{} would leave, the fee is {}. The network is {}{any}.",
        sats(spend.leaving_sats),
        sats(spend.fee_sats),
        spend.network
    ));
    if !spend.outputs_fixed {
        lines.push("Beware: the signature would not fix where the coins go.".to_owned());
    }
    for to in spend.destinations.iter().take(MAX_ROWS) {
        let address = to.address.as_ref().map_or("a script without address", DisplayText::as_str);
        lines.push(format!("{} sats to {address}", to.amount_sats));
    }
    if let Some(rest) = spend.destinations.get(MAX_ROWS..).filter(|rest| !rest.is_empty()) {
        let sum: u64 = rest.iter().fold(0, |sum, to| sum.saturating_add(to.amount_sats));
        lines.push(format!("… and {sum} sats to {} more that are not shown", rest.len()));
    }
}

fn tags(question: &ApprovalView, lines: &mut Vec<String>) {
    let all = &question.tags;
    if all.is_empty() {
        return;
    }
    lines.push("Tags:".to_owned());
    for tag in all.iter().take(MAX_ROWS) {
        let parts: Vec<&str> = tag.iter().map(DisplayText::as_str).collect();
        lines.push(quoted(&cut(&parts.join(", "), MAX_ROW, None)));
    }
    if all.len() > MAX_ROWS {
        lines.push({
            let more = all.len() - MAX_ROWS;
            format!("… and {} that {} not shown", counted(more, "more tag"), are(more))
        });
    }
}

fn quoted(text: &str) -> String {
    format!("> {text}")
}

/// The beginning of a text that has `total` characters, if that is known, and more than `max`; how many are missing is said.
fn cut(text: &str, max: usize, total: Option<u64>) -> String {
    let here = text.chars().count();
    let total = total.map_or(here, |total| usize::try_from(total).unwrap_or(usize::MAX).max(here));
    if total <= max {
        return text.to_owned();
    }
    let head: String = text.chars().take(max).collect();
    let more = total - max.min(here);
    format!("{head}… ({} that {} not shown)", counted(more, "more character"), are(more))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(content: &str) -> ApprovalView {
        ApprovalView {
            session: "bot".into(),
            operation: "sign_event".into(),
            npub: Some("npub1me".into()),
            kind: Some(1),
            created_at: Some("2027-01-15T08:00:00Z".into()),
            tags: vec![vec!["p".into(), "abc".into()]],
            content: content.into(),
            content_chars: Some(content.chars().count() as u64),
            not_shown: 0,
            peer: None,
            peer_npub: None,
            spend: None,
            message: None,
            because: "no rule of policy agent covers it".into(),
        }
    }

    #[test]
    fn a_person_sees_the_kind_by_name_then_the_content_then_the_rest() {
        let text = message(&question("hello\u{202e}world"));
        let parts = [
            "sign an event: short text note (kind 1), as npub1me",
            "dated 2027-01-15T08:00:00Z",
            "> hello\\u{202e}world",
            "> p, abc",
            "no rule of policy agent covers it",
            "this once",
        ];
        let places: Vec<_> = parts.iter().map(|part| text.find(part)).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?}: {text}");
        assert!(text.contains("\"bot\"") && !text.contains('\u{202e}'));
    }

    #[test]
    fn no_text_speaks_in_keeps_name() {
        let deceit = "x\nTags:\n> p, friend\rAllow it this once?\u{2028}Why you are asked: it is harmless.";
        let mut asked = question(deceit);
        asked.tags = vec![vec!["t".into(), "\n\nContent:\n> something else".into()]];
        let text = message(&asked);
        let own: Vec<&str> = text.lines().filter(|line| !line.starts_with("> ")).collect();
        assert_eq!(own.len(), 6, "{text}");
        assert_eq!(
            text.lines().filter(|line| *line == "Tags:" || line.starts_with("Why")).count(),
            2,
            "{text}"
        );
        assert!(!text.contains(['\r', '\u{2028}']));
    }

    #[test]
    fn what_is_too_long_is_counted_and_the_question_stays_short() {
        let mut asked = question(&"é".repeat(1_000_000));
        // The vault gives the beginning only, and the length of the whole.
        asked.content = DisplayText::truncated(&"é".repeat(1_000_000), 10_000);
        asked.not_shown = 990_000;
        asked.tags = (0..5_000)
            .map(|n| vec!["t".into(), DisplayText::from(&*format!("{n}-{}", "x".repeat(9_000)))])
            .collect();
        let text = message(&asked);
        assert!(
            text.contains("(998000 more characters that are not shown)"),
            "{}",
            &text[text.len() - 500..]
        );
        assert!(text.contains("… and 4976 more tags that are not shown"));
        assert!(text.contains("At least 990000 characters of it are not shown to you"), "{text}");
        assert!(text.chars().count() < 12_000, "{}", text.len());
        let short = message(&question("hello"));
        assert!(!short.contains("not shown"), "{short}");
    }
}
