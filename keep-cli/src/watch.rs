//! Watching a bunker that serves: what happens is told, questions are asked, and it stops cleanly.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use keep_sdk::{
    Activity, Clock, DisplayText, ErrorCode, Fault, RelayState, RelayStatus, Serving, SystemClock, counted,
    named,
};
use serde::Serialize;
use tokio::sync::Notify;

use crate::approver::Desk;
use crate::ending::Ending;
use crate::output::Output;
use crate::system::EndSignals;

/// How often relays are looked after.
const LOOK: Duration = Duration::from_millis(500);
/// Lines that wait while a question is on the screen; beyond that the oldest are left out.
const MAX_HELD: usize = 200;

/// The signals that end a bunker.
pub struct Signals {
    system: EndSignals,
    /// Rung when somebody locks the vault.
    locked: Arc<Notify>,
}

impl Signals {
    /// Takes them over. Needs the runtime.
    pub fn new() -> Result<Self, Fault> {
        let system = EndSignals::new()
            .map_err(|error| Fault::new(ErrorCode::Bug, format!("cannot listen to signals: {error}")))?;
        Ok(Self { system, locked: Arc::default() })
    }

    /// A bell that counts as a signal.
    pub fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.locked)
    }

    /// Waits for one.
    pub async fn received(&mut self) {
        tokio::select! {
            () = self.system.next() => {}
            () = self.locked.notified() => {}
        }
    }
}

/// Tells what a bunker does, to a person or a program.
pub struct Watch<'a> {
    output: &'a Output,
    desk: Option<Desk>,
    /// What was last told about each relay.
    relays: Vec<(String, RelayState)>,
    held: VecDeque<String>,
}

impl<'a> Watch<'a> {
    pub const fn new(output: &'a Output, desk: Option<Desk>) -> Self {
        Self { output, desk, relays: Vec::new(), held: VecDeque::new() }
    }

    /// As if everything about these relays had been told.
    pub fn knows(&mut self, statuses: &[RelayStatus]) {
        self.relays =
            statuses.iter().map(|status| (status.relay.to_string(), status.state.clone())).collect();
    }

    /// Watches until a signal comes or the person quits; then stops the bunker.
    pub async fn until_stopped(mut self, mut serving: Serving, mut signals: Signals) -> Result<(), Ending> {
        let mut look = tokio::time::interval(LOOK);
        let ended = loop {
            let told = tokio::select! {
                () = signals.received() => break Ok(()),
                quit = attend(&mut self.desk, self.output) => if quit { break Ok(()) } else { Ok(()) },
                happened = serving.activity() => match happened {
                    Some(activity) => self.tell(&activity),
                    None => break Ok(()),
                },
                _ = look.tick() => self.look(&serving.relays()),
            };
            if told.is_err() {
                break told;
            }
            self.release();
        };
        // The terminal is as it was before anything else is said.
        if let Some(desk) = self.desk.take() {
            desk.finish(self.output).await;
        }
        self.release();
        self.output.talk("Stopping.");
        serving.stop().await?;
        ended
    }

    /// Says what had to wait for a question to be answered.
    fn release(&mut self) {
        if self.desk.as_ref().is_some_and(Desk::is_asking) {
            return;
        }
        self.held.drain(..).for_each(|line| self.output.talk(&line));
    }

    fn look(&mut self, statuses: &[RelayStatus]) -> Result<(), Ending> {
        if let Some(desk) = &mut self.desk {
            desk.refresh(self.output);
        }
        for status in statuses {
            // Being on the way is no news.
            if status.state == RelayState::Connecting {
                continue;
            }
            let name = status.relay.to_string();
            match self.relays.iter_mut().find(|(known, _)| *known == name) {
                Some((_, state)) if *state == status.state => continue,
                Some((_, state)) => *state = status.state.clone(),
                None => self.relays.push((name, status.state.clone())),
            }
            self.tell_relay(status)?;
        }
        Ok(())
    }

    fn tell(&mut self, activity: &Activity) -> Result<(), Ending> {
        let style = self.output.talk_style();
        let short = |client: &str| named(&DisplayText::default(), client);
        let mut line = Line::new(activity);
        let (mark, text) = match activity {
            Activity::Connected { client, claims } => {
                line.claims = Some(claims);
                (style.cyan("+"), format!("{} connected", named(claims, line.client(client))))
            }
            Activity::LoggedOut { client } => {
                (style.cyan("-"), format!("{} logged out", short(line.client(client))))
            }
            Activity::Answered { client, method, kind } => {
                (line.method, line.kind) = (Some(method), *kind);
                let of_kind = kind.map(|kind| format!(" of kind {kind}")).unwrap_or_default();
                (style.tick(), format!("{method}{of_kind} for {}", short(line.client(client))))
            }
            Activity::Refused { client, method, reason } => {
                (line.method, line.reason) = (Some(method), Some(reason));
                (style.cross(), format!("{method} for {}: {reason}", short(line.client(client))))
            }
            Activity::Resumed { requests } => {
                line.requests = Some(*requests);
                (style.cyan("+"), format!("took up {} again", counted(*requests, "open request")))
            }
            Activity::Trouble { what } => {
                line.reason = Some(what);
                (style.yellow("!"), what.to_string())
            }
        };
        self.report(&line, &mark, &text)
    }

    fn tell_relay(&mut self, status: &RelayStatus) -> Result<(), Ending> {
        let style = self.output.talk_style();
        let mut line = Line { activity: "relay", ..Line::now() };
        let (state, mark, text) = match &status.state {
            RelayState::Connected => ("connected", style.tick(), "connected".to_owned()),
            RelayState::Connecting => ("connecting", style.yellow("!"), "connecting".to_owned()),
            RelayState::AuthRequired => {
                ("auth_required", style.yellow("!"), "does not accept our authentication".to_owned())
            }
            RelayState::Failed { reason } => {
                line.reason = Some(reason);
                ("failed", style.yellow("!"), format!("{reason}; it is tried again by itself"))
            }
        };
        let relay = status.relay.to_string();
        let text = format!("{relay}: {text}");
        (line.relay, line.state) = (Some(relay), Some(state));
        self.report(&line, &mark, &text)
    }

    fn report(&mut self, line: &Line<'_>, mark: &str, text: &str) -> Result<(), Ending> {
        if self.output.is_json() {
            return self.output.value(line);
        }
        // The time of day is enough for people; the audit log has the rest.
        let time = line.time.get(11..19).unwrap_or_default();
        self.held.push_back(format!("{} {mark} {text}", self.output.talk_style().dim(time)));
        if self.held.len() > MAX_HELD {
            self.held.pop_front();
        }
        Ok(())
    }
}

async fn attend(desk: &mut Option<Desk>, output: &Output) -> bool {
    match desk {
        Some(desk) => desk.attend(output).await,
        None => std::future::pending().await,
    }
}

/// One line of the stream that programs read.
#[derive(Default, Serialize)]
struct Line<'a> {
    activity: &'a str,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claims: Option<&'a DisplayText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a DisplayText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a DisplayText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requests: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    relay: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'a str>,
}

impl Line<'_> {
    fn now() -> Self {
        Self { time: SystemClock.now().to_string(), ..Self::default() }
    }

    fn new(activity: &Activity) -> Self {
        let activity = match activity {
            Activity::Connected { .. } => "connected",
            Activity::LoggedOut { .. } => "logged_out",
            Activity::Answered { .. } => "answered",
            Activity::Refused { .. } => "refused",
            Activity::Resumed { .. } => "resumed",
            Activity::Trouble { .. } => "trouble",
        };
        Self { activity, ..Self::now() }
    }

    /// Names the client, and says its name.
    fn client(&mut self, client: &keep_sdk::PublicKey) -> &str {
        self.client.insert(client.to_string())
    }
}
