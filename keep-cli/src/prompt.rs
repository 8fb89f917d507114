//! What a person is shown before deciding about a request.

use std::cell::Cell;

use keep_sdk::{DisplayText, Prompt, SpendFacts, are, counted};

use crate::style::Style;

/// Characters of the content that are shown at a question; how many there are beyond is said.
const MAX_CONTENT: usize = 2000;
/// Tags that are shown.
const MAX_TAGS: usize = 24;
/// Characters of one tag that are shown.
const MAX_TAG: usize = 200;

/// The question about the request that waits under `id`, as lines, and whether something is left out of it.
pub fn render(id: &str, prompt: &Prompt, style: Style) -> (String, bool) {
    render_within(id, prompt, (MAX_CONTENT, MAX_TAGS, MAX_TAG), style)
}

/// The same with everything in it.
pub fn render_whole(id: &str, prompt: &Prompt, style: Style) -> String {
    render_within(id, prompt, (usize::MAX, usize::MAX, usize::MAX), style).0
}

fn render_within(
    id: &str,
    prompt: &Prompt,
    (max_content, max_tags, max_tag): (usize, usize, usize),
    style: Style,
) -> (String, bool) {
    let mut lines = vec![String::new(), format!("{} {}", style.yellow("?"), style.bold(&prompt.headline()))];
    let left_out = Cell::new(0);
    let cut = |text: &str, most: usize| {
        let (text, more) = keep_sdk::cut(text, most);
        left_out.set(left_out.get() + more);
        text
    };
    let mut row =
        |label: &str, text: &str| lines.push(format!("  {} {text}", style.dim(&format!("{label:8}"))));
    if let Some(peer) = &prompt.peer {
        row("with", &peer.to_string());
    }
    if !prompt.content.is_empty() {
        row("content", &cut(prompt.content.as_str(), max_content));
    }
    for (number, tag) in prompt.tags.iter().take(max_tags).enumerate() {
        let tag: Vec<&str> = tag.iter().map(DisplayText::as_str).collect();
        row(if number == 0 { "tags" } else { "" }, &cut(&tag.join("  "), max_tag));
    }
    if prompt.tags.len() > max_tags {
        row("", &{
            let more = prompt.tags.len() - max_tags;
            format!("… and {} that {} not shown", counted(more, "more tag"), are(more))
        });
    }
    if let Some(spend) = &prompt.spend {
        for (label, text) in spend_rows(spend) {
            row(label, &text);
        }
    }
    if let Some(message) = &prompt.message {
        row("address", message.address.as_ref().map_or("none", |address| address.as_str()));
        row("message", &cut(message.message.as_str(), max_content));
    }
    if let Some(time) = &prompt.created_at {
        row("its time", &time.to_string());
    }
    row("why", &prompt.because);
    let is_cut = left_out.get() > 0 || prompt.tags.len() > max_tags;
    if is_cut {
        lines.push(format!("  {}", style.dim(&whole(id))));
    }
    (lines.join("\n"), is_cut)
}

/// How everything can be seen.
pub fn whole(id: &str) -> String {
    format!("`keep pending show {id}` shows all of it")
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
