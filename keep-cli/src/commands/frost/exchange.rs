//! How messages go between co-signers: pasted, or as files in a directory.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use keep_sdk::frost::{Round, RoundSorted, StepMessage};
use keep_sdk::{ErrorCode, Fault};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::files::{is_message, read_message, shown, shown_reason, write};
use crate::ending::Ending;
use crate::session::Session;

/// How long the other side may take. Nonces do not live longer.
const PATIENCE: Duration = Duration::from_secs(600);
/// How often a directory is looked at.
const POLL: Duration = Duration::from_millis(150);
/// The longest message, in bytes.
const MAX: usize = 8 << 20;
/// How names of message files end.
pub const SUFFIX: &str = ".keepfrost";

/// Where messages come from and go to.
pub struct Exchange<'s> {
    session: &'s Session,
    directory: Option<PathBuf>,
    /// The SHA-256 of the names or texts of messages that were sent or taken: texts may be long.
    seen: BTreeSet<[u8; 32]>,
    /// What was no message of its round, as it was then: texts may be long, and there may be many.
    left_out: BTreeSet<u64>,
    hashes: RandomState,
    /// How many lines were pasted.
    line: usize,
}

/// A message that came.
pub struct Came {
    /// The name of its file, or where it was pasted.
    pub place: String,
    pub text: String,
    /// Who has sent it.
    pub from: u16,
}

/// Says which of some texts are messages of the round.
pub type Sort<'s> = dyn Fn(Vec<String>) -> Result<RoundSorted, Fault> + 's;

/// A message as programs see it.
#[derive(Serialize)]
struct Sent<'a> {
    round: &'a str,
    name: &'a str,
    text: &'a str,
}

impl<'s> Exchange<'s> {
    pub fn new(session: &'s Session, directory: Option<&Path>) -> Result<Self, Fault> {
        if let Some(directory) = directory {
            std::fs::create_dir_all(directory).map_err(|error| {
                Fault::new(ErrorCode::Storage, format!("cannot use {}: {error}", directory.display()))
            })?;
        }
        Ok(Self {
            session,
            directory: directory.map(Path::to_owned),
            seen: BTreeSet::new(),
            left_out: BTreeSet::new(),
            hashes: RandomState::new(),
            line: 0,
        })
    }

    /// Gives messages to the others.
    pub fn send(&mut self, round: &str, messages: &[StepMessage]) -> Result<(), Ending> {
        let output = &self.session.output;
        for message in messages {
            self.see(&message.name);
            self.see(&message.text);
            if let Some(directory) = &self.directory {
                let file = directory.join(format!("{}{SUFFIX}", message.name));
                write(&file, &format!("{}\n", message.text), true)?;
                output.talk(&format!("{} {round}: {}", output.talk_style().tick(), file.display()));
                continue;
            }
            if output.is_json() {
                output.value(&Sent { round, name: &message.name, text: &message.text })?;
            } else {
                output.talk(&format!("Give this {round} to the others:"));
                output.line(&message.text)?;
            }
        }
        Ok(())
    }

    /// Waits for messages of this round; `id` is the beginning of its session, once that is known. At least one is new. What is no
    /// message of the round, as `sort` says, is left out with a warning.
    pub fn receive(&mut self, round: Round, id: Option<&str>, sort: &Sort<'_>) -> Result<Vec<Came>, Ending> {
        match self.directory.clone() {
            Some(directory) => self.poll(&directory, round, id, sort),
            None => self.paste(round, sort),
        }
    }

    fn paste(&mut self, round: Round, sort: &Sort<'_>) -> Result<Vec<Came>, Ending> {
        let (output, kind) = (&self.session.output, round.as_str());
        output.talk(&format!("Paste the {kind}, or the name of the file with it:"));
        let stdin = std::io::stdin();
        loop {
            let mut line = String::new();
            let read = std::io::Read::take(stdin.lock(), MAX as u64).read_line(&mut line);
            if read.is_ok_and(|read| read == 0) || line.len() >= MAX {
                return Err(Fault::new(ErrorCode::InvalidInput, format!("no {kind} came"))
                    .with_hint("the session is over; start it again")
                    .into());
            }
            self.line += 1;
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            let pasted = format!("line {} of what was pasted", self.line);
            let (place, text) = if is_message(line) {
                (pasted, Ok(line.to_owned()))
            } else if Path::new(line).is_file() {
                (line.to_owned(), read_message(Path::new(line), MAX as u64))
            } else {
                // It is not quoted: it may be a secret that was meant for something else.
                let why = "it is neither a message nor the name of a file";
                (pasted, Err(Fault::new(ErrorCode::InvalidInput, why)))
            };
            if text.as_ref().is_ok_and(|text| self.has_seen(text)) {
                continue;
            }
            let came = self.taken(vec![(place, text)], sort)?;
            if came.is_empty() {
                output.talk(&format!("Paste the {kind}, or the name of the file with it:"));
                continue;
            }
            came.iter().for_each(|came| self.see(&came.text));
            return Ok(came);
        }
    }

    fn poll(
        &mut self,
        directory: &Path,
        round: Round,
        session: Option<&str>,
        sort: &Sort<'_>,
    ) -> Result<Vec<Came>, Ending> {
        let kind = round.as_str();
        self.session.output.talk(&format!("Waiting for the {kind} in {} …", directory.display()));
        let end = Instant::now() + PATIENCE;
        loop {
            let mut found = Vec::new();
            for (name, text) in files(directory, MAX as u64)? {
                let (id, rest) = name.split_once('-').unwrap_or_default();
                let about = session.is_none_or(|session| session.starts_with(id));
                if about && rest.starts_with(&format!("{kind}-")) && !self.has_seen(&name) {
                    found.push((name, text));
                }
            }
            let came = if found.is_empty() { Vec::new() } else { self.taken(found, sort)? };
            if !came.is_empty() {
                came.iter().for_each(|came| self.see(&came.place));
                return Ok(came);
            }
            if Instant::now() > end {
                let message = format!("no {kind} came within ten minutes");
                return Err(Fault::new(ErrorCode::TimedOut, message)
                    .with_hint("the session is over; start it again")
                    .into());
            }
            std::thread::sleep(POLL);
        }
    }

    /// Those that are messages of the round. The others are named; those in a directory once, as long as they stay as they are.
    fn taken(&mut self, found: Vec<Entry>, sort: &Sort<'_>) -> Result<Vec<Came>, Fault> {
        let found =
            found.into_iter().filter(|entry| !self.left_out.contains(&self.hash(entry))).collect::<Vec<_>>();
        let texts: Vec<String> = found.iter().filter_map(|(_, text)| text.clone().ok()).collect();
        let sorted = if texts.is_empty() { None } else { Some(sort(texts)?) };
        let (mut came, mut at) = (Vec::new(), 0);
        for (place, text) in found {
            let entry = (place, text);
            let (place, text) = &entry;
            let taken = match text {
                Ok(text) => {
                    let taken = sorted.as_ref().map(|sorted| {
                        let left = sorted.skipped.iter().find(|skipped| skipped.at == at);
                        sorted.taken.get(&at).map_or_else(
                            || {
                                Err(left
                                    .map_or_else(|| "it is of no use".to_owned(), |left| left.reason.clone()))
                            },
                            |from| Ok(Came { place: place.clone(), text: text.clone(), from: *from }),
                        )
                    });
                    at += 1;
                    taken.unwrap_or_else(|| Err("it is of no use".to_owned()))
                }
                Err(fault) => Err(fault.message().to_owned()),
            };
            match taken {
                Ok(taken) => came.push(taken),
                Err(reason) => {
                    let end = if self.directory.is_some() { SUFFIX } else { "" };
                    self.session.output.warn(
                        ErrorCode::InvalidInput,
                        &format!("left out {}{end}: {}", shown(place), shown_reason(&reason)),
                        "nothing was made of it; the session goes on waiting",
                    );
                    // What is given again by a person is looked at again.
                    if self.directory.is_some() {
                        self.left_out.insert(self.hash(&entry));
                    }
                }
            }
        }
        Ok(came)
    }

    fn see(&mut self, name_or_text: &str) {
        self.seen.insert(Sha256::digest(name_or_text).into());
    }

    fn has_seen(&self, name_or_text: &str) -> bool {
        self.seen.contains::<[u8; 32]>(&Sha256::digest(name_or_text).into())
    }

    /// What an entry is known by for as long as it stays as it is.
    fn hash(&self, (name, text): &Entry) -> u64 {
        self.hashes.hash_one((name, text.as_ref().map_err(Fault::message)))
    }

    /// Removes the files of a session that is over.
    pub fn clean(&self, session: &str) {
        let Some(directory) = &self.directory else { return };
        let prefix = session.get(..8).unwrap_or(session);
        for (name, _) in messages(directory).unwrap_or_default() {
            if name.starts_with(prefix) {
                // What stays disturbs nobody: sessions are known by their ids.
                let _ = std::fs::remove_file(directory.join(format!("{name}{SUFFIX}")));
            }
        }
    }
}

/// A file in a directory: its name without the end, and its text, or why it has none.
pub type Entry = (String, Result<String, Fault>);

/// The message files in a directory, of at most `max` bytes each.
pub fn files(directory: &Path, max: u64) -> Result<Vec<Entry>, Fault> {
    let failed = |error: std::io::Error| {
        Fault::new(ErrorCode::Storage, format!("cannot read {}: {error}", directory.display()))
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let Some(name) = name.strip_suffix(SUFFIX).filter(|name| !name.starts_with('.')) else { continue };
        match read_message(&path, max) {
            Ok(text) => found.push((name.to_owned(), Ok(text))),
            // Its session is over, and somebody has cleaned up meanwhile.
            Err(fault) if fault.code() == ErrorCode::NotFound => {}
            Err(fault) => found.push((name.to_owned(), Err(fault))),
        }
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(found)
}

/// Those of them that are text.
fn messages(directory: &Path) -> Result<Vec<(String, String)>, Fault> {
    let files = files(directory, MAX as u64)?.into_iter();
    Ok(files.filter_map(|(name, text)| Some((name, text.ok()?))).collect())
}

/// Writes messages of a ceremony into the directory. Those that are there already stay as they are: another message under the
/// name gets one of its own, since a member may have said two things, and both belong to the others.
pub fn leave(directory: &Path, sent: &[StepMessage]) -> Result<(), Fault> {
    for message in sent {
        let mut file = directory.join(format!("{}{SUFFIX}", message.name));
        let mut version = 2;
        while file.exists() && !read_message(&file, MAX as u64).is_ok_and(|text| text == message.text) {
            file = directory.join(format!("{}~{version}{SUFFIX}", message.name));
            version += 1;
        }
        if !file.exists() {
            write(&file, &format!("{}\n", message.text), true)?;
        }
    }
    Ok(())
}
