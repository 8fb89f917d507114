//! `keep nip46`.

mod apps;
mod call;
mod connect;
mod decide;
mod grant;
mod relays;
mod token;

use keep_sdk::{ErrorCode, Fault, Limits, StoppedView, counted, parse_duration};
use serde::Serialize;

pub use connect::address;
pub use decide::{approve, deny, pending};

use crate::args::nip46::{Bounds, Nip46};
use crate::ending::Ending;
use crate::output::View;
use crate::session::Session;
use crate::style::Style;

pub fn run(session: &Session, command: Nip46) -> Result<(), Ending> {
    match command {
        Nip46::Grant(arguments) => grant::run(session, &arguments),
        Nip46::Apps => apps::list(session),
        Nip46::Revoke { client } => apps::revoke(session, &client),
        Nip46::AutoApprove(arguments) => apps::auto_approve(session, &arguments),
        Nip46::Token(command) => token::run(session, command),
        Nip46::Relays { whose, relay } => relays::run(session, &whose, &relay),
        Nip46::Connect(arguments) => connect::run(session, &arguments),
        Nip46::Call(arguments) => call::run(session, &arguments),
        Nip46::Stop => stop(session, true),
        Nip46::Resume => stop(session, false),
        Nip46::Pending { which } => pending(session, which.as_ref()),
        Nip46::Approve(arguments) => approve(session, &arguments),
        Nip46::Deny(arguments) => deny(session, &arguments),
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct Stopped(StoppedView);

impl View for Stopped {
    fn human(&self, style: Style) -> String {
        let what =
            if self.0.stopped { "stopped: no client is answered" } else { "clients are answered again" };
        format!("{} {}, {what}", style.tick(), counted(self.0.addresses, "address"))
    }
}

fn stop(session: &Session, stopped: bool) -> Result<(), Ending> {
    let view = session.open()?.nip46().stop(stopped)?;
    session.output.show(&Stopped(view))
}

/// A length of time in seconds; `None` for one of the words that mean no end.
pub fn seconds(text: &str, endless: &[&str]) -> Result<Option<u64>, Fault> {
    if endless.contains(&text) {
        return Ok(None);
    }
    let length = parse_duration(text).map_err(|error| {
        Fault::new(ErrorCode::Usage, error.to_string()).with_hint(format!("or {}", endless.join(", ")))
    })?;
    Ok(Some(length.as_secs()))
}

fn limits(bounds: &Bounds) -> Limits {
    Limits {
        uses: bounds.max_uses,
        per_minute: bounds.per_minute,
        per_hour: bounds.per_hour,
        per_day: bounds.per_day,
        ..Limits::default()
    }
}
