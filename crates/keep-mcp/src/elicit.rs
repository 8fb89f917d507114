//! Asking the person at the client.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use keep_sdk::agent::ApprovalView;
use rmcp::RoleServer;
use rmcp::model::{ElicitRequestParams, ElicitationAction, ElicitationSchema};
use rmcp::service::{ElicitationMode, Peer, RequestContext};

/// Whether somebody at the client can be asked.
pub fn is_possible(peer: &Peer<RoleServer>) -> bool {
    peer.supported_elicitation_modes().contains(&ElicitationMode::Form)
}

/// Asks. `None` when no decision came: the person left it open, the client failed, or the request was cancelled.
pub async fn ask(context: &RequestContext<RoleServer>, question: &ApprovalView) -> Option<bool> {
    let asked = ElicitRequestParams::FormElicitationParams {
        meta: None,
        message: message(question),
        requested_schema: ElicitationSchema::new(BTreeMap::new()),
    };
    let answer = tokio::select! {
        answer = context.peer.create_elicitation(asked) => answer,
        () = context.ct.cancelled() => return None,
    };
    match answer.ok()?.action {
        ElicitationAction::Accept => Some(true),
        ElicitationAction::Decline => Some(false),
        ElicitationAction::Cancel => None,
        // What is not known is no yes.
        _ => None,
    }
}

/// How much of a content is shown, in characters.
const SHOWN: usize = 2_000;

/// The question in words. Every text in it has lost its control characters where it was read.
fn message(question: &ApprovalView) -> String {
    let mut text = format!("The agent asks for {}", question.operation);
    if let Some(npub) = &question.npub {
        let _ = write!(text, " as {npub}");
    }
    if let Some(kind) = question.kind {
        let name = keep_sdk::kind_name(kind).map(|name| format!(" ({name})")).unwrap_or_default();
        let _ = write!(text, " of an event of kind {kind}{name}");
    }
    if let Some(time) = &question.created_at {
        let _ = write!(text, ", dated {time},");
    }
    if let Some(peer) = question.peer_npub.as_ref().or(question.peer.as_ref()) {
        let _ = write!(text, " with {peer}");
    }
    let _ = write!(text, " (session {}; {}).", question.session, question.because);
    for tag in &question.tags {
        let parts: Vec<&str> = tag.iter().map(keep_sdk::DisplayText::as_str).collect();
        let _ = write!(text, "\nTag: {}", parts.join(", "));
    }
    if let Some(spend) = &question.spend {
        let sats = |amount: Option<u64>| {
            amount.map_or_else(|| "an unknown amount".to_owned(), |s| format!("{s} sats"))
        };
        let _ =
            write!(text, "\n{} would leave, the fee is {}.", sats(spend.leaving_sats), sats(spend.fee_sats));
        let _ = write!(text, "\nThe network is {}.", spend.network);
        if spend.any_network {
            text.push_str(" The keys are the same on every network, and so are the signatures.");
        }
        for to in &spend.destinations {
            let address =
                to.address.as_ref().map_or("a script without address", keep_sdk::DisplayText::as_str);
            let _ = write!(text, "\n{} sats to {address}", to.amount_sats);
        }
    }
    if let Some(message) = &question.message {
        let address = message.address.as_ref().map_or("(no address)", keep_sdk::DisplayText::as_str);
        let _ = write!(text, "\nIn the name of {address}:\n{}", message.message);
    }
    if !question.content.is_empty() {
        let shown: String = question.content.as_str().chars().take(SHOWN).collect();
        let cut = if shown.len() < question.content.as_str().len() { " … (cut)" } else { "" };
        let _ = write!(text, "\nContent:\n{shown}{cut}");
    }
    text.push_str("\nAllow it this once?");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_sees_what_would_be_signed() {
        let question = ApprovalView {
            session: "bot".into(),
            operation: "sign_event".into(),
            npub: Some("npub1me".into()),
            kind: Some(1),
            created_at: Some("2027-01-15T08:00:00Z".into()),
            tags: vec![vec!["p".into(), "abc".into()]],
            content: "hello\u{202e}world".into(),
            peer: None,
            peer_npub: None,
            spend: None,
            message: None,
            because: "no rule of policy agent covers it".into(),
        };
        let text = message(&question);
        let parts = [
            "sign_event as npub1me of an event of kind 1",
            "dated 2027-01-15T08:00:00Z",
            "session bot",
            "Tag: p, abc",
            "hello",
            "this once",
        ];
        for part in parts {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains('\u{202e}'));
    }
}
