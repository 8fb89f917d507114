//! How tools use the session.

use std::sync::Arc;
use std::time::Duration;

use keep_sdk::agent::{ApprovalView, Interrupt};
use keep_sdk::{Agent, ErrorCode, Fault};
use rmcp::RoleServer;
use rmcp::model::{CallToolResult, ContentBlock, ProgressNotificationParam};
use rmcp::service::RequestContext;
use serde::Serialize;

use crate::{Server, elicit, fault};

/// How often a client hears that a call still runs.
const PROGRESS: Duration = Duration::from_secs(2);

/// What a tool runs with.
#[derive(Clone, Copy)]
pub struct Using<'a> {
    pub server: &'a Server,
    pub context: &'a RequestContext<RoleServer>,
}

impl Using<'_> {
    /// Makes a call with the session.
    pub async fn ask<T: Send + 'static>(
        self,
        call: impl FnOnce(&Agent) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let agent = self.server.session(self.context).await?;
        self.check_wanted()?;
        let interrupt = Interrupt::default();
        let during = interrupt.clone();
        let mut running = tokio::task::spawn_blocking(move || during.during(|| call(&agent)));
        let mut ticks = 0_u32;
        loop {
            tokio::select! {
                // Whoever cancelled gets no result, even if it is there in the same moment.
                biased;
                () = self.context.ct.cancelled() => {
                    // Nobody is to be asked any more for what nobody waits for.
                    interrupt.give_up();
                    return Err(fault::cancelled());
                }
                done = &mut running => return done.map_err(|_| fault::bug("the call failed"))?,
                () = tokio::time::sleep(PROGRESS) => {
                    ticks += 1;
                    self.report(ticks).await;
                }
            }
        }
    }

    /// Whether the client still waits for this call: to be asked before each step that cannot be taken back.
    ///
    /// # Errors
    /// When it has cancelled it.
    pub fn check_wanted(self) -> Result<(), Fault> {
        if self.context.ct.is_cancelled() { Err(fault::cancelled()) } else { Ok(()) }
    }

    /// Tells a client that wants to know that somebody is still being waited for.
    async fn report(self, ticks: u32) {
        let Some(token) = self.context.meta.get_progress_token() else { return };
        let mut progress = ProgressNotificationParam::new(token, f64::from(ticks));
        progress.message = Some("waiting for the vault".to_owned());
        let _ = self.context.peer.notify_progress(progress).await;
    }

    /// Makes a call that a person may have to approve. Where the person at the client decides, this person is asked,
    /// and the very same call is made again with the decision.
    pub async fn ask_person<T: Send + 'static>(
        self,
        call: impl Fn(&Agent, Option<bool>) -> Result<(T, Option<ApprovalView>), Fault> + Send + Sync + 'static,
    ) -> Result<T, Fault> {
        let call = Arc::new(call);
        let first = Arc::clone(&call);
        let (answer, question) = self.ask(move |agent| first(agent, None)).await?;
        let Some(question) = question else { return Ok(answer) };
        if !elicit::is_possible(&self.context.peer) {
            return Err(unasked("the client cannot ask anybody"));
        }
        let decided = tokio::select! {
            biased;
            () = self.context.ct.cancelled() => return Err(fault::cancelled()),
            decided = elicit::ask(self.context, &question) => decided,
        };
        let Some(decision) = decided else { return Err(unasked("nobody decided")) };
        let (answer, question) = self.ask(move |agent| call(agent, Some(decision))).await?;
        if question.is_some() { Err(unasked("it was asked about again")) } else { Ok(answer) }
    }
}

fn unasked(why: &str) -> Fault {
    Fault::new(ErrorCode::ApprovalUnavailable, format!("a person has to approve this, and {why}"))
        .with_hint("ask the owner for a session that covers it (`keep agent create`)")
}

/// A result: structured, and as text for clients that know no other.
pub fn structured(value: &impl Serialize) -> Result<CallToolResult, Fault> {
    let value = serde_json::to_value(value).map_err(|_| fault::bug("a result has no JSON form"))?;
    Ok(CallToolResult::structured(value))
}

/// The same, with another text.
pub fn structured_with(value: &impl Serialize, text: String) -> Result<CallToolResult, Fault> {
    let mut result = structured(value)?;
    result.content = vec![ContentBlock::text(text)];
    Ok(result)
}
