//! `keep frost sign` and `keep frost verify`.

use std::path::Path;

use keep_sdk::frost::{GroupKey, PublicInput, ToSign, verify_message};
use keep_sdk::{ErrorCode, Event, Fault};

use super::exchange::Exchange;
use super::files::read_text;
use super::message::hex;
use super::rounds::{Subject, co_sign, coordinate};
use super::view::{Signature, Verified};
use crate::args::SignEvent;
use crate::args::frost as args;
use crate::args::frost::Together;
use crate::commands::sign_event::template;
use crate::ending::Ending;
use crate::session::Session;

pub fn sign(session: &Session, arguments: &args::Sign) -> Result<(), Ending> {
    let key = key(arguments)?;
    let message = arguments.message.bytes()?;
    let together = &arguments.together;
    if !together.interactive {
        let what = ToSign::Raw(hex(&arguments.message.expect()?));
        let keep = session.open()?;
        let group = arguments.group.group.as_deref();
        let signature = keep.frost().sign(group, what, key, together.signers.clone())?;
        return session.output.show(&Signature(&signature));
    }
    let mut exchange = Exchange::new(session, together.exchange.as_deref())?;
    let keep = session.open()?;
    let frost = keep.frost();
    let group = frost.find(arguments.group.group.as_deref())?;
    let Some(message) = message else {
        co_sign(session, &frost, &group, together, None, &mut exchange)?;
        return Ok(());
    };
    let subject = Subject::Message(ToSign::Raw(hex(&message)), key);
    let rounds = coordinate(session, &frost, &group, &subject, together, &mut exchange)?;
    let signature =
        frost.finish(Some(&group.pubkey), &rounds.proposal, &rounds.commitments, &rounds.shares)?;
    exchange.clean(&rounds.session);
    session.output.show(&Signature(&signature))
}

/// `keep sign-event --group G`.
pub fn sign_event(session: &Session, group: &str, arguments: SignEvent) -> Result<Event, Ending> {
    let together = &arguments.together;
    if !together.interactive {
        let template = template(arguments)?;
        return Ok(session.open()?.frost().sign_event(Some(group), template)?);
    }
    let mut exchange = Exchange::new(session, together.exchange.as_deref())?;
    let options = Together {
        interactive: true,
        exchange: together.exchange.clone(),
        signers: together.signers.clone(),
        yes: together.yes,
        from: Vec::new(),
        allow: Vec::new(),
    };
    let subject = Subject::Message(ToSign::Event(Box::new(template(arguments)?)), GroupKey::default());
    let keep = session.open()?;
    let frost = keep.frost();
    let group = frost.find(Some(group))?;
    let rounds = coordinate(session, &frost, &group, &subject, &options, &mut exchange)?;
    let event =
        frost.finish_event(Some(&group.pubkey), &rounds.proposal, &rounds.commitments, &rounds.shares)?;
    exchange.clean(&rounds.session);
    Ok(event)
}

fn key(arguments: &args::Sign) -> Result<GroupKey, Fault> {
    let mut path = Vec::new();
    for step in arguments.path.as_deref().unwrap_or_default().trim_start_matches("m/").split('/') {
        if step.is_empty() {
            continue;
        }
        path.push(step.parse::<u32>().map_err(|_| {
            Fault::new(ErrorCode::InvalidInput, "a group has only unhardened children")
                .with_hint("give the path as numbers below 2147483648, for example 0/5")
        })?);
    }
    Ok(GroupKey { path, tweak: arguments.tweak.clone() })
}

pub fn verify(session: &Session, arguments: &args::Verify) -> Result<(), Ending> {
    let message = arguments.message.expect()?;
    let key = public_key(session, arguments.group.as_deref())?;
    let verified = verify_message(&key, &message, &arguments.signature)?;
    session.output.show(&Verified(&verified))
}

/// The key that `--group` means: itself, or from a file, or from the vault.
pub fn public_key(session: &Session, group: Option<&str>) -> Result<PublicInput, Ending> {
    if let Some(text) = group {
        if let Some(key) = PublicInput::parse(text) {
            return Ok(key);
        }
        let file = Path::new(text);
        if file.is_file() {
            let content = read_text(file)?;
            let bad = || {
                Fault::new(ErrorCode::InvalidKey, format!("{text} is no public key file"))
                    .with_hint("give the file that minisign or `keep frost generate --pubkey-out` wrote")
            };
            return Ok(PublicInput::parse(&content).ok_or_else(bad)?);
        }
    }
    let group = session.open()?.frost().find(group)?;
    let text = group.minisign.as_deref().unwrap_or(&group.pubkey);
    let bug = || Fault::new(ErrorCode::Bug, "the group's key has no text form");
    Ok(PublicInput::parse(text).ok_or_else(bug)?)
}
