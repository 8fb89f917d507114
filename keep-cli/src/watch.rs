//! Watching a bunker that serves: what happens is told, questions are asked, and it stops cleanly.

use std::time::Duration;

use keep_sdk::{
    Activity, Clock, DisplayText, ErrorCode, Fault, RelayState, RelayStatus, Serving, SystemClock,
};
use serde::Serialize;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::approver::Desk;
use crate::ending::Ending;
use crate::output::Output;
use crate::prompt::named;

/// How often relays are looked after.
const LOOK: Duration = Duration::from_millis(500);

/// The signals that end a bunker.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Takes them over. Needs the runtime.
    pub fn new() -> Result<Self, Fault> {
        let listen = |kind| {
            signal(kind)
                .map_err(|error| Fault::new(ErrorCode::Bug, format!("cannot listen to signals: {error}")))
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for one.
    pub async fn received(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}

/// Serves until a signal comes or the person quits.
pub async fn watch(
    mut serving: Serving,
    mut desk: Option<Desk>,
    mut signals: Signals,
    mut relays: Relays,
    output: &Output,
) -> Result<(), Ending> {
    let mut look = tokio::time::interval(LOOK);
    let ended = loop {
        tokio::select! {
            () = signals.received() => break Ok(()),
            quit = attend(&mut desk, output) => if quit { break Ok(()) },
            happened = serving.activity() => {
                let Some(activity) = happened else { break Ok(()) };
                if let Err(ending) = tell(&activity, output) { break Err(ending) }
            }
            _ = look.tick() => {
                if let Err(ending) = relays.look(&serving.relays(), output) { break Err(ending) }
                if let Some(desk) = &mut desk { desk.refresh(output) }
            }
        }
    };
    drop(desk);
    output.talk("Stopping.");
    serving.stop().await?;
    ended
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

impl<'a> Line<'a> {
    fn new(activity: &'a str) -> Self {
        Self { activity, time: SystemClock.now().to_string(), ..Self::default() }
    }
}

fn tell(activity: &Activity, output: &Output) -> Result<(), Ending> {
    let style = output.talk_style();
    let (line, mark, text) = match activity {
        Activity::Connected { client, claims } => (
            Line { client: Some(client.to_string()), claims: Some(claims), ..Line::new("connected") },
            style.cyan("+"),
            format!("{} connected", named(claims, &client.to_string())),
        ),
        Activity::LoggedOut { client } => (
            Line { client: Some(client.to_string()), ..Line::new("logged_out") },
            style.cyan("-"),
            format!("{} logged out", named(&"".into(), &client.to_string())),
        ),
        Activity::Answered { client, method, kind } => (
            Line {
                client: Some(client.to_string()),
                method: Some(method),
                kind: *kind,
                ..Line::new("answered")
            },
            style.tick(),
            format!("{method}{} for {}", of_kind(*kind), named(&"".into(), &client.to_string())),
        ),
        Activity::Refused { client, method, reason } => (
            Line {
                client: Some(client.to_string()),
                method: Some(method),
                reason: Some(reason),
                ..Line::new("refused")
            },
            style.cross(),
            format!("{method} for {}: {reason}", named(&"".into(), &client.to_string())),
        ),
        Activity::Resumed { requests } => (
            Line { requests: Some(*requests), ..Line::new("resumed") },
            style.cyan("+"),
            format!("took up {requests} open requests again"),
        ),
        Activity::Trouble { what } => {
            (Line { reason: Some(what), ..Line::new("trouble") }, style.yellow("!"), what.to_string())
        }
    };
    report(&line, &mark, &text, output)
}

fn of_kind(kind: Option<u16>) -> String {
    kind.map(|kind| format!(" of kind {kind}")).unwrap_or_default()
}

fn report(line: &Line<'_>, mark: &str, text: &str, output: &Output) -> Result<(), Ending> {
    if output.is_json() {
        return output.value(line);
    }
    // The time of day is enough for people; the audit log has the rest.
    let time = line.time.get(11..19).unwrap_or_default();
    output.talk(&format!("{} {mark} {text}", output.talk_style().dim(time)));
    Ok(())
}

/// What was last told about each relay.
#[derive(Default)]
pub struct Relays(Vec<(String, RelayState)>);

impl Relays {
    /// As if everything about the relays had been told.
    pub fn known(statuses: &[RelayStatus]) -> Self {
        Self(statuses.iter().map(|status| (status.relay.to_string(), status.state.clone())).collect())
    }

    fn look(&mut self, statuses: &[RelayStatus], output: &Output) -> Result<(), Ending> {
        for status in statuses {
            // Being on the way is no news.
            if status.state == RelayState::Connecting {
                continue;
            }
            let name = status.relay.to_string();
            match self.0.iter_mut().find(|(known, _)| *known == name) {
                Some((_, state)) if *state == status.state => continue,
                Some((_, state)) => *state = status.state.clone(),
                None => self.0.push((name, status.state.clone())),
            }
            tell_relay(status, output)?;
        }
        Ok(())
    }
}

fn tell_relay(status: &RelayStatus, output: &Output) -> Result<(), Ending> {
    let style = output.talk_style();
    let (state, reason, mark, text) = match &status.state {
        RelayState::Connected => ("connected", None, style.tick(), "connected".to_owned()),
        RelayState::Connecting => ("connecting", None, style.yellow("!"), "connecting".to_owned()),
        RelayState::AuthRequired => (
            "auth_required",
            None,
            style.yellow("!"),
            "wants an authentication that it did not accept".to_owned(),
        ),
        RelayState::Failed { reason } => {
            ("failed", Some(reason), style.yellow("!"), format!("{reason}; tried again by itself"))
        }
    };
    let relay = status.relay.to_string();
    let text = format!("{relay}: {text}");
    report(
        &Line { relay: Some(relay), state: Some(state), reason, ..Line::new("relay") },
        &mark,
        &text,
        output,
    )
}
