//! `keep sign` and `keep verify`: files, in the format of minisign.

use std::fs::File;
use std::path::{Path, PathBuf};

use keep_sdk::frost::{
    GroupKey, OwnRelease, ReleaseView, ToSign, hash_file, is_legacy_signature, verify_file,
    verify_legacy_file,
};
use keep_sdk::{Clock, ErrorCode, Fault, SystemClock};
use serde::Serialize;

use super::exchange::Exchange;
use super::files::{read, read_text, refuse_existing, write};
use super::rounds::{Subject, co_sign, coordinate};
use super::sign::public_key;
use super::view::Verified;
use crate::args::frost as args;
use crate::ending::Ending;
use crate::output::View;
use crate::progress::Progress;
use crate::secrets::unreadable;
use crate::session::Session;
use crate::style::Style;

/// The longest file that is verified against a legacy signature, which is over the whole file: in bytes.
const MAX_LEGACY: u64 = 1 << 30;

#[derive(Serialize)]
struct Signed {
    file: String,
    signature: String,
    #[serde(flatten)]
    release: ReleaseView,
}

impl View for Signed {
    fn human(&self, style: Style) -> String {
        format!(
            "{} {}\n  {} minisign -Vm {} -P {}",
            style.tick(),
            self.signature,
            style.dim("verify with"),
            self.file,
            self.release.public_key
        )
    }
}

/// The BLAKE2b-512 of a file, computed here. A bar shows how far it is where somebody watches.
fn digest(session: &Session, path: &Path) -> Result<String, Fault> {
    let failed = |error: std::io::Error| unreadable(&path.display().to_string(), &error);
    let file = File::open(path).map_err(failed)?;
    let meta = file.metadata().map_err(failed)?;
    if meta.is_dir() {
        return Err(Fault::new(ErrorCode::InvalidInput, format!("{} is a directory", path.display()))
            .with_hint("sign an archive of it"));
    }
    let mut progress = Progress::new(&session.output, "hashing", meta.len());
    hash_file(file, |bytes| progress.advance(bytes)).map_err(failed)
}

fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".minisig");
    PathBuf::from(name)
}

pub fn sign(session: &Session, arguments: &args::SignFile) -> Result<(), Ending> {
    let output = arguments.output.clone().unwrap_or_else(|| beside(&arguments.file));
    if !arguments.join {
        refuse_existing(&output, arguments.force)?;
    }
    let release = OwnRelease {
        digest: digest(session, &arguments.file)?,
        trusted_comment: arguments
            .trusted_comment
            .clone()
            .unwrap_or_else(|| default_comment(&arguments.file)),
    };
    let keep = session.open()?;
    let frost = keep.frost();
    let signed = if arguments.together.interactive {
        let mut exchange = Exchange::new(session, arguments.together.exchange.as_deref())?;
        let group = frost.find(arguments.group.as_deref())?;
        if arguments.join {
            for _ in 0..2 {
                co_sign(session, &frost, &group, &arguments.together, Some(&release), &mut exchange)?;
            }
            return Ok(());
        }
        together(session, &frost, &group, arguments, release, &mut exchange)?
    } else {
        frost.sign_file(arguments.group.as_deref(), release, arguments.comment.clone())?
    };
    write(&output, &signed.minisig, arguments.force)?;
    let (file, signature) = (arguments.file.display().to_string(), output.display().to_string());
    session.output.show(&Signed { file, signature, release: signed })
}

/// Two sessions, the second about the signature of the first.
fn together(
    session: &Session,
    frost: &keep_sdk::frost::Frost,
    group: &keep_sdk::frost::GroupView,
    arguments: &args::SignFile,
    release: OwnRelease,
    exchange: &mut Exchange<'_>,
) -> Result<ReleaseView, Ending> {
    let this = Some(group.pubkey.as_str());
    let mut signatures = Vec::with_capacity(2);
    let mut what = ToSign::FileDigest(release.digest.clone());
    for _ in 0..2 {
        let subject = Subject::Message(what, GroupKey::default());
        let rounds = coordinate(session, frost, group, &subject, &arguments.together, exchange)?;
        let signature = frost.finish(this, &rounds.proposal, &rounds.commitments, &rounds.shares)?.signature;
        exchange.clean(&rounds.session);
        what =
            ToSign::TrustedComment { signature: signature.clone(), comment: release.trusted_comment.clone() };
        signatures.push(signature);
    }
    let global = signatures.pop().unwrap_or_default();
    let first = signatures.pop().unwrap_or_default();
    Ok(frost.finish_release(this, release, arguments.comment.clone(), first, global)?)
}

/// What minisign writes itself.
fn default_comment(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let name: String = name.chars().filter(|c| !c.is_control()).collect();
    format!("timestamp:{}\tfile:{name}\thashed", SystemClock.now().as_secs())
}

pub fn verify(session: &Session, arguments: &args::VerifyFile) -> Result<(), Ending> {
    let path = arguments.signature.clone().unwrap_or_else(|| beside(&arguments.file));
    let signature = read_text(&path)?;
    let legacy = is_legacy_signature(&signature)?;
    let key = public_key(session, arguments.group.as_deref())?;
    let verified = if legacy && arguments.legacy {
        verify_legacy_file(&key, &read(&arguments.file, MAX_LEGACY)?, &signature)?
    } else {
        verify_file(&key, &digest(session, &arguments.file)?, &signature).map_err(|fault| match legacy {
            true => fault.with_hint("with --legacy it is verified all the same"),
            false => fault,
        })?
    };
    session.output.show(&Verified(&verified))
}
