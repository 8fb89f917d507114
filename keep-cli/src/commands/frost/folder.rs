//! The directory in which the messages of a ceremony lie, with all else that lies there.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use keep_sdk::frost::{SkippedView, StepView};
use keep_sdk::{ErrorCode, Fault};

use super::exchange::{SUFFIX, files};
use super::files::{shown, shown_reason};
use crate::session::Session;

/// How many files one warning names.
const NAMED: usize = 10;

/// How many warnings one command gives.
const WARNINGS: usize = 20;
/// The longest message of a renewal or repair, in bytes.
const MAX: u64 = 256 << 10;

/// What was found in a directory.
pub struct Folder {
    path: PathBuf,
    /// The messages: name without its end, and text.
    found: Vec<(String, String)>,
    /// Files of that kind that are no text.
    broken: Vec<(String, Fault)>,
    warned: RefCell<BTreeSet<String>>,
}

impl Folder {
    /// Makes the directory, if it is not there, and reads what is in it.
    pub fn open(path: &Path) -> Result<Self, Fault> {
        std::fs::create_dir_all(path).map_err(|error| {
            Fault::new(ErrorCode::Storage, format!("cannot use {}: {error}", path.display()))
                .with_hint("name a directory that can be written to")
        })?;
        let (mut found, mut broken) = (Vec::new(), Vec::new());
        for (name, text) in files(path, MAX)? {
            match text {
                Ok(text) => found.push((name, text)),
                Err(fault) => broken.push((name, fault)),
            }
        }
        Ok(Self { path: path.to_owned(), found, broken, warned: RefCell::default() })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn texts(&self) -> Vec<String> {
        self.found.iter().map(|(_, text)| text.clone()).collect()
    }

    /// Whether there is text under this name.
    pub fn has(&self, name: &str) -> bool {
        self.found.iter().any(|(found, _)| found == name)
    }

    fn name(&self, skipped: &SkippedView) -> Option<&str> {
        self.found.get(skipped.at).map(|(name, _)| name.as_str())
    }

    /// Names each file that was left out, once, with the reason.
    pub fn warn(&self, session: &Session, skipped: &[SkippedView]) {
        let mut reasons: BTreeMap<&str, (ErrorCode, Vec<&str>)> = BTreeMap::new();
        let mut warned = self.warned.borrow_mut();
        let broken = self.broken.iter().map(|(name, fault)| (name.as_str(), fault.code(), fault.message()));
        let skipped = skipped.iter().filter_map(|skipped| {
            let code = ErrorCode::from_word(&skipped.code).unwrap_or(ErrorCode::InvalidInput);
            Some((self.name(skipped)?, code, skipped.reason.as_str()))
        });
        for (name, code, reason) in broken.chain(skipped) {
            if warned.insert(name.to_owned()) {
                reasons.entry(reason).or_insert_with(|| (code, Vec::new())).1.push(name);
            }
        }
        let more: usize = reasons.values().skip(WARNINGS).map(|(_, names)| names.len()).sum();
        for (reason, (code, names)) in reasons.into_iter().take(WARNINGS) {
            let mut files: Vec<String> =
                names.iter().take(NAMED).map(|name| format!("{}{SUFFIX}", shown(name))).collect();
            if names.len() > NAMED {
                files.push(format!("{} more", names.len() - NAMED));
            }
            session.output.warn(
                code,
                &format!("left out {}: {}", files.join(", "), shown_reason(reason)),
                "nothing was made of it; if it is a message of this, ask its sender for it again, else remove it",
            );
        }
        if more > 0 {
            let message = format!("left out {more} more files, for other reasons");
            session.output.warn(
                ErrorCode::InvalidInput,
                &message,
                "remove from the directory what is no message",
            );
        }
    }

    /// The name and the reason of each file that cannot be read, out of these.
    fn unreadable<'f>(&'f self, skipped: &'f [SkippedView]) -> impl Iterator<Item = (&'f str, &'f str)> {
        let parsed = skipped.iter().filter(|skipped| skipped.unreadable);
        let parsed = parsed.filter_map(|skipped| Some((self.name(skipped)?, skipped.reason.as_str())));
        self.broken.iter().map(|(name, fault)| (name.as_str(), fault.message())).chain(parsed)
    }

    /// A second plan beside one that came damaged would stop everybody.
    ///
    /// # Errors
    /// When there is a file that is called a plan and cannot be read.
    pub fn expect_no_plan(&self, kind: &str, skipped: &[SkippedView]) -> Result<(), Fault> {
        let mut plans =
            self.unreadable(skipped).filter(|(name, _)| Named::parse(name).is_some_and(|n| n.kind == kind));
        match plans.next() {
            None => Ok(()),
            Some((name, reason)) => Err(Fault::new(
                ErrorCode::InvalidInput,
                format!("the plan in {}{SUFFIX} cannot be read: {}", shown(name), shown_reason(reason)),
            )
            .with_hint("ask the member that made it for that file again, or take an empty directory")),
        }
    }

    /// Says so where a message that is waited for is there, by its name, and cannot be read.
    ///
    /// # Errors
    /// With the file.
    pub fn expect_readable(&self, step: &StepView) -> Result<(), Fault> {
        let Some(session) = step.session.as_deref() else { return Ok(()) };
        let left_out: BTreeSet<&str> = step.skipped.iter().filter_map(|skipped| self.name(skipped)).collect();
        for (name, reason) in self.unreadable(&step.skipped) {
            let Some(parsed) = Named::parse(name) else { continue };
            let again = self.found.iter().any(|(other, _)| {
                !left_out.contains(other.as_str()) && Named::parse(other).as_ref() == Some(&parsed)
            });
            if session.starts_with(parsed.session) && step.waiting_for.contains(&parsed.from) && !again {
                return Err(Fault::new(
                    ErrorCode::InvalidInput,
                    format!(
                        "the message of member {} in {}{SUFFIX} cannot be read: {}",
                        parsed.from,
                        shown(name),
                        shown_reason(reason)
                    ),
                )
                .with_hint("ask that member for the file again, and run this step again"));
            }
        }
        Ok(())
    }

    /// Takes back what members here have complained of, once they go on.
    pub fn withdraw(&self, step: &StepView, ours: &[u16]) {
        let Some(session) = step.session.as_deref() else { return };
        for (name, _) in &self.found {
            let ours = Named::parse(name).is_some_and(|named| {
                named.kind == "complaint" && session.starts_with(named.session) && ours.contains(&named.from)
            });
            if ours {
                // What stays is a claim that its sender goes on from all the same.
                let _ = std::fs::remove_file(self.path.join(format!("{name}{SUFFIX}")));
            }
        }
    }
}

/// What the name of a message file says: the beginning of the session, the kind, the sender, and for whom it is.
#[derive(Debug, PartialEq, Eq)]
struct Named<'n> {
    session: &'n str,
    kind: &'n str,
    from: u16,
    to: Option<u16>,
}

impl<'n> Named<'n> {
    fn parse(name: &'n str) -> Option<Self> {
        let name = name.split_once('~').map_or(name, |(name, _)| name);
        let mut parts = name.split('-');
        let (session, kind) = (parts.next()?, parts.next()?);
        let from = parts.next()?.parse().ok()?;
        let to = parts.next().map(str::parse).transpose().ok()?;
        (session.len() == 8 && parts.next().is_none()).then_some(Self { session, kind, from, to })
    }
}
