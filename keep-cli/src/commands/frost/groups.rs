//! Groups: made, split, listed.

use std::path::Path;

use keep_sdk::ErrorCode;
use keep_sdk::Fault;
use keep_sdk::frost::{CosignerTerms, GroupView, Suite, minisign_key_file};

use super::files::{agree, refuse_existing, write};
use super::view::{GroupList, OneGroup, Split, WholeGroup};
use crate::args::frost as args;
use crate::ending::Ending;
use crate::session::{Session, name};

pub fn generate(session: &Session, arguments: &args::Generate) -> Result<(), Ending> {
    let given = arguments.size.name.as_deref().map(name).transpose()?;
    if let Some(file) = &arguments.pubkey_out {
        refuse_existing(file, arguments.force)?;
    }
    let suite = if arguments.ed25519 { Suite::Ed25519 } else { Suite::Secp256k1Tr };
    let keep = session.open()?;
    let group = keep.frost().generate(given, suite, arguments.size.threshold, arguments.size.shares)?;
    if let Some(file) = &arguments.pubkey_out {
        write_public(file, &group, arguments.force)?;
    }
    session.output.show(&OneGroup(&group))?;
    session.output.talk(
        "This device made the key and all its shares, and has known them. Hand each share to its holder \
         (`keep frost export --share N`), then delete it here (`keep frost delete-share --share N`).",
    );
    Ok(())
}

fn write_public(file: &Path, group: &GroupView, force: bool) -> Result<(), Fault> {
    let line = group.minisign.as_deref().ok_or_else(|| {
        Fault::new(ErrorCode::InvalidInput, "only an Ed25519 group has a minisign public key")
    })?;
    write(file, &minisign_key_file(line)?, force)
}

pub fn split(session: &Session, arguments: &args::Split) -> Result<(), Ending> {
    let given = arguments.size.name.as_deref().map(name).transpose()?;
    let keep = session.open()?;
    let key = session.key(&keep)?;
    if !arguments.keep_original {
        let question = format!(
            "{} is deleted once its shares have signed; from then on {} of {} of them are needed. Go on?",
            key.name, arguments.size.threshold, arguments.size.shares
        );
        agree(arguments.yes, &question, "nothing was split")?;
    }
    let (threshold, shares) = (arguments.size.threshold, arguments.size.shares);
    let split =
        keep.frost().split(Some(key.pubkey.as_str()), given, threshold, shares, arguments.keep_original)?;
    session.output.show(&Split(&split))?;
    session.output.talk("The key existed whole until now: every other copy of it still signs alone.");
    Ok(())
}

pub fn list(session: &Session) -> Result<(), Ending> {
    let groups = session.open()?.frost().list()?;
    if groups.is_empty() {
        session
            .output
            .talk("The vault has no group yet. Make one: keep frost generate -t 2 -s 3 --name family");
    }
    session.output.show(&GroupList { groups: &groups })
}

pub fn show(session: &Session, arguments: &args::Group) -> Result<(), Ending> {
    let group = session.open()?.frost().find(arguments.group.as_deref())?;
    session.output.show(&WholeGroup(&group))
}

pub fn delete_share(session: &Session, arguments: &args::DeleteShare) -> Result<(), Ending> {
    let keep = session.open()?;
    let group = keep.frost().find(arguments.group.group.as_deref())?;
    let question = format!(
        "The share of member {} of {} is gone from this vault for good then. Delete it?",
        arguments.share, group.name
    );
    if group.shares.contains(&arguments.share) {
        agree(arguments.yes, &question, "nothing was deleted")?;
    }
    let (frost, this) = (keep.frost(), Some(group.pubkey.as_str()));
    let group = if arguments.abandon {
        frost.delete_share_abandoning(this, arguments.share)?
    } else {
        frost.delete_share(this, arguments.share)?
    };
    session.output.show(&OneGroup(&group))
}

pub fn confirm(session: &Session, arguments: &args::Confirm) -> Result<(), Ending> {
    let keep = session.open()?;
    let group = keep.frost().find(arguments.group.group.as_deref())?;
    let question = format!(
        "Were the shares of {} never refreshed after epoch {}, on any device?",
        group.name, group.epoch
    );
    agree(arguments.yes, &question, "nothing was confirmed")?;
    let group = keep.frost().confirm(Some(&group.pubkey))?;
    session.output.show(&OneGroup(&group))
}

pub fn grant(session: &Session, arguments: &args::GrantCosigner) -> Result<(), Ending> {
    let mut terms = CosignerTerms {
        member: arguments.to,
        lasts: arguments.duration.0,
        uses: arguments.uses,
        ..CosignerTerms::default()
    };
    for what in &arguments.allow {
        match what {
            args::Grantable::Transactions => terms.transactions = true,
            args::Grantable::Allowed(args::Allowed::Raw) => terms.raw = true,
            args::Grantable::Allowed(args::Allowed::Events(kinds)) => match &mut terms.events {
                // Any kind is any kind.
                Some(known) if known.is_empty() || kinds.is_empty() => known.clear(),
                Some(known) => known.extend(kinds),
                None => terms.events = Some(kinds.clone()),
            },
        }
    }
    let raw = terms.raw;
    let group = session.open()?.frost().grant_cosigner(arguments.group.group.as_deref(), terms)?;
    if raw {
        session.output.warn(
            ErrorCode::RefusedByPolicy,
            &format!("member {} may have any bytes signed, the hash of anything too", arguments.to),
            "grant events or transactions instead, if that is enough",
        );
    }
    session.output.show(&WholeGroup(&group))
}

pub fn revoke(session: &Session, arguments: &args::RevokeCosigner) -> Result<(), Ending> {
    let group = session.open()?.frost().revoke_cosigner(arguments.group.group.as_deref(), arguments.to)?;
    session.output.show(&WholeGroup(&group))
}
