//! Asking the person at the client.

use std::collections::BTreeMap;

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
        message: crate::question::message(question),
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
