//! A request, decoded for the person who decides.

use keep_sdk::{DisplayText, PendingView, counted, meaning};

use crate::prompt::spend_rows;

/// What it asks for, in a few words.
pub fn wish(pending: &PendingView) -> String {
    match (pending.kind, &pending.kind_name) {
        (Some(kind), Some(name)) => format!("{} {kind} {name}", pending.method),
        (Some(kind), None) => format!("{} {kind}", pending.method),
        (None, _) => pending.method.clone(),
    }
}

/// Everything about it, as labelled lines. `rest` says how the person comes to what is not shown.
pub fn rows(pending: &PendingView, rest: &str) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    let mut row = |label: &str, text: String| rows.push((label.to_owned(), text));
    let effect = pending.kind.map(meaning).unwrap_or_default();
    row("asks for", format!("{}{effect}", wish(pending)));
    row("with key", pending.key.clone());
    row("from", pending.asker.clone());
    if !pending.name.is_empty() && !pending.claims.is_empty() {
        row("it claims", format!("\"{}\" (nobody vouches for that)", pending.claims));
    }
    if let Some(npub) = &pending.client_npub {
        row("client", npub.clone());
    }
    if let Some(peer) = &pending.peer {
        row("with", peer.clone());
    }
    if let Some(millisats) = pending.zap_millisats {
        row("amount", format!("{} sat", millisats / 1000));
    }
    for (number, to) in pending.recipients.iter().enumerate() {
        row(if number == 0 { "to" } else { "" }, to.to_string());
    }
    for (number, tag) in pending.tags.iter().enumerate() {
        let tag: Vec<&str> = tag.iter().map(DisplayText::as_str).collect();
        row(if number == 0 { "tags" } else { "" }, tag.join("  "));
    }
    // After what is short: nothing is pushed out of sight by a long text.
    if !pending.content.is_empty() {
        row("content", pending.content.to_string());
    }
    for (label, text) in pending.spend.iter().flat_map(spend_rows) {
        row(label, text);
    }
    if let Some(message) = &pending.message {
        row("address", message.address.as_ref().map_or("none", |address| address.as_str()).to_owned());
        row("message", message.message.to_string());
    }
    if let Some(time) = &pending.created_at {
        row("its time", time.clone());
    }
    if pending.not_shown > 0 {
        let left_out = counted(pending.not_shown, "character");
        row("not shown", format!("{left_out} in all; {rest}"));
    }
    row("since", pending.since.clone());
    row("why", pending.because.clone());
    if pending.persons > 1 {
        let by = pending.approved_by.join(", ");
        let so_far = if by.is_empty() { "nobody yet".to_owned() } else { by };
        row("persons", format!("takes {}; approved by {so_far}", pending.persons));
    }
    rows
}
