//! One connection, as the daemon serves it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use keep_audit::{Action, Draft, Outcome};
use keep_types::{ErrorCode, Fault, Origin};
use serde::de::DeserializeOwned;

use super::choice::Choice;
use super::frame;
use super::protocol::{self, Asked, Extend, Hello, Manage, Managed, PROTOCOL, Welcome};
use super::server::Shared;
use super::transport::Stream;
use super::watch::Watches;
use crate::Done;
use crate::call::{CallEntry, Class, Host, HungUp, Wiped, registry, to_wiped_json};

/// How long a connection may take for its first frame.
const HELLO: Duration = Duration::from_secs(10);
/// How long a passphrase lets a connection manage.
const MANAGE: Duration = Duration::from_secs(300);
/// Wrong passphrases after which a connection is closed.
const MAX_WRONG: u32 = 5;
/// The longest first frame, in bytes.
const MAX_HELLO: usize = 4096;

/// Tells a client why it is not served.
pub fn turn_away(mut stream: Stream, why: &Fault) {
    stream.set_write_timeout(Some(HELLO));
    let _ = frame::write(&mut stream, &[&protocol::failure(why)]);
}

/// Serves a connection to its end.
pub fn attend(shared: &Arc<Shared>, number: u64, mut stream: Stream) {
    stream.set_read_timeout(Some(HELLO));
    stream.set_write_timeout(Some(HELLO));
    let (agent, hung_up) = match greet(shared, number, &mut stream) {
        Ok(greeted) => greeted,
        Err(fault) => {
            let _ = frame::write(&mut stream, &[&protocol::failure(&fault)]);
            return;
        }
    };
    stream.set_read_timeout(None);
    let mut session = Session { shared, agent, hung_up, manages_until: None, wrong: 0, locks: false };
    while !shared.is_ending() {
        let asked = match frame::read(&mut stream, frame::MAX_REQUEST) {
            Ok(Some(asked)) => asked,
            Ok(None) => return,
            Err(error) => {
                let fault = Fault::new(ErrorCode::Usage, format!("the daemon cannot read this: {error}"));
                let _ = frame::write(&mut stream, &[&protocol::failure(&fault)]);
                return;
            }
        };
        if !shared.connections().busy(number, true) {
            return;
        }
        let running = shared.busy();
        let written = match session.answer(&asked) {
            Ok(json) => frame::write(&mut stream, &protocol::reply(&json)),
            Err(fault) => frame::write(&mut stream, &[&protocol::failure(&fault)]),
        };
        drop(running);
        shared.connections().busy(number, false);
        if session.locks {
            // It is closed when everything is over, and not with the others before.
            shared.connections().remove(number);
            shared.end_for(&stream);
            return;
        }
        if written.is_err() || session.wrong >= MAX_WRONG {
            return;
        }
    }
}

/// The vault as the session of an agent sees it, if the client has a token of one; and whether the client is still there.
fn greet(shared: &Shared, number: u64, stream: &mut Stream) -> Result<(Option<Host>, HungUp), Fault> {
    let unreadable = || Fault::new(ErrorCode::Usage, "this is not the greeting of a client of Keep");
    let first = frame::read(stream, MAX_HELLO).map_err(|_| unreadable())?.ok_or_else(unreadable)?;
    let hello: Hello = serde_json::from_slice(&first).map_err(|_| unreadable())?;
    if hello.keep != PROTOCOL {
        return Err(Fault::new(ErrorCode::FormatTooNew, "the daemon is of another version of Keep")
            .with_hint("lock it with the version that unlocked it, or end its process; then unlock again"));
    }
    if !shared.check_place() {
        return Err(locked());
    }
    if hello.token.is_some() {
        shared.connections().is_agent(number)?;
    }
    let host = shared.host();
    let hung_up: HungUp = Arc::new(hung_up(stream).map_err(|_| locked())?);
    let agent = hello.token.map(|token| host.for_session(&token)).transpose()?;
    let agent = agent.map(|host| host.waiting(Arc::clone(&hung_up)));
    let reserve = host.vault().which() == keep_vault::Which::Hidden;
    let welcome = to_wiped_json(&Welcome::new(&host.integrity(), reserve))?;
    frame::write(stream, &[&welcome]).map_err(|_| locked())?;
    Ok((agent, hung_up))
}

/// Whether nobody is at the other end any more, who may wait for an answer.
fn hung_up(stream: &Stream) -> std::io::Result<impl Fn() -> bool + Send + Sync + 'static> {
    let stream = stream.try_clone()?;
    Ok(move || stream.has_hung_up())
}

struct Session<'a> {
    shared: &'a Arc<Shared>,
    /// The vault as an agent's session sees it; for the owner's programs it is made for each call.
    agent: Option<Host>,
    /// Whether the client is gone.
    hung_up: HungUp,
    /// On the watch that counts sleep.
    manages_until: Option<Duration>,
    /// Wrong passphrases.
    wrong: u32,
    /// Whether it asked for the end.
    locks: bool,
}

impl Session<'_> {
    fn answer(&mut self, asked: &[u8]) -> Result<Wiped, Fault> {
        let asked: Asked<'_> = serde_json::from_slice(asked)
            .map_err(|_| Fault::new(ErrorCode::Usage, "the daemon was asked something that is no call"))?;
        let with = asked.with.get();
        if asked.call.starts_with("daemon.") && self.agent.is_some() {
            return Err(Fault::new(ErrorCode::RefusedByPolicy, "only the owner can ask for this"));
        }
        match &*asked.call {
            protocol::MANAGE => self.manage(&parse(with)?),
            protocol::STATUS => to_wiped_json(&self.shared.status()),
            protocol::EXTEND => self.extend(&parse(with)?),
            // What ends the daemon is told to its connection, after the answer.
            protocol::LOCK => {
                self.shared.lock_by_hand();
                self.locks = true;
                to_wiped_json(&Done {})
            }
            name => {
                let entry = registry().iter().find(|entry| entry.name == name).ok_or_else(|| {
                    let shown = keep_types::DisplayText::truncated(name, 60);
                    Fault::new(ErrorCode::UnsupportedMethod, format!("the daemon has no call \"{shown}\""))
                        .with_hint("it may be of another version: `keep lock`, then `keep unlock`")
                })?;
                self.call(entry, with)
            }
        }
    }

    fn call(&self, entry: &CallEntry, with: &str) -> Result<Wiped, Fault> {
        let host = match (&self.agent, entry.class) {
            // What a session may do is judged by the call and by policy.
            (Some(agent), _) => agent.clone().confirmed(self.shared.confirms()),
            (None, Class::Use) => self.shared.owner().waiting(Arc::clone(&self.hung_up)),
            // Whoever knows the passphrase needs nobody else's yes.
            (None, Class::Manage) => {
                self.check_manage()?;
                self.shared.host().clone().waiting(Arc::clone(&self.hung_up))
            }
        };
        catch_unwind(AssertUnwindSafe(|| entry.run(&host, with)))
            .unwrap_or_else(|_| Err(Fault::new(ErrorCode::Bug, format!("{} has a bug", entry.name))))
    }

    fn check_manage(&self) -> Result<(), Fault> {
        if self.manages_until.is_some_and(|until| Watches::read().with_sleep < until) {
            return Ok(());
        }
        Err(Fault::new(ErrorCode::Locked, "this needs the vault's passphrase again, although it is unlocked"))
    }

    fn manage(&mut self, asked: &Manage) -> Result<Wiped, Fault> {
        let host = self.shared.host();
        let checked = if asked.either {
            match host.which_opens(&asked.passphrase) {
                // That the owner is about to switch must not stand in the log of the vault that is left.
                Ok(which) if which != host.vault().which() => {
                    return to_wiped_json(&Managed { other: true });
                }
                checked => checked.map(drop),
            }
        } else {
            host.check_passphrase(&asked.passphrase)
        };
        let outcome = if checked.is_ok() { Outcome::Allowed } else { Outcome::Failed };
        // A wrong passphrase is recorded too; what cannot be recorded does not happen.
        host.record(Draft::new(Action::ManageOpened, outcome, &Origin::Cli))?;
        self.wrong = if checked.is_ok() { 0 } else { self.wrong + 1 };
        checked?;
        self.manages_until = Some(Watches::read().with_sleep.saturating_add(MANAGE));
        to_wiped_json(&Managed::default())
    }

    fn extend(&self, asked: &Extend) -> Result<Wiped, Fault> {
        self.check_manage()?;
        let confirm = asked.confirm;
        // Only the owner comes here: whatever was locked before is the owner's to use again.
        Choice::change(self.shared.host(), move |choice| {
            choice.locked = false;
            choice.confirm = confirm.unwrap_or(choice.confirm);
        })?;
        self.shared.extend(asked)?;
        to_wiped_json(&self.shared.status())
    }
}

fn parse<T: DeserializeOwned>(with: &str) -> Result<T, Fault> {
    serde_json::from_str(with).map_err(|_| Fault::new(ErrorCode::Usage, "the parameters do not fit"))
}

fn locked() -> Fault {
    Fault::new(ErrorCode::Locked, "the daemon has locked the vault")
}
