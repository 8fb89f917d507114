//! `keep frost export`, `import` and `recover`.

use std::io::{IsTerminal, Read};

use keep_sdk::frost::{Frost, ImportOptions, ShareForm, ShareView};
use keep_sdk::{ErrorCode, Fault, SecretText};
use serde::Serialize;

use super::files::{agree, read_text, refuse_existing, write_private};
use super::renew::ABANDON;
use super::view::Imported;
use crate::args::frost as args;
use crate::ending::Ending;
use crate::output::View;
use crate::secrets::Source;
use crate::session::{Session, name};
use crate::style::Style;
use crate::terminal::Terminal;
use crate::ur_frames;

/// Longest text with shares, in bytes.
const MAX: u64 = 8 << 20;

#[derive(Serialize)]
#[serde(transparent)]
struct Exported<'a>(&'a ShareView);

impl View for Exported<'_> {
    fn human(&self, _: Style) -> String {
        self.0.share.clone()
    }
}

#[derive(Serialize)]
struct Written<'a> {
    group: &'a str,
    index: Option<u16>,
    file: String,
}

impl View for Written<'_> {
    fn human(&self, style: Style) -> String {
        format!("{} {}", style.tick(), self.file)
    }
}

pub fn export(session: &Session, arguments: &args::Export) -> Result<(), Ending> {
    if let Some(file) = &arguments.output {
        refuse_existing(file, arguments.force)?;
    }
    let group = arguments.group.group.as_deref();
    let Some(index) = arguments.share else {
        let public = session.open()?.frost().export_group(group)?;
        return give(session, arguments, &public.name, None, &public.text);
    };
    let source = Source::share(arguments.passphrase_file.as_deref());
    // What is missing is better known before the vault is unlocked.
    let given = source.given()?;
    if given.is_none() {
        source.terminal()?;
    }
    let keep = session.open()?;
    let found = keep.frost().find(group)?;
    let passphrase = match given {
        Some(passphrase) => passphrase,
        None => source.get_new(session.yes_safe())?,
    };
    let form = match arguments.format {
        args::Format::Bech32 => ShareForm::Bech32,
        args::Format::Json => ShareForm::Json,
    };
    let cost = arguments.kdf.kdf_memory_kib.map(|memory| {
        let small = |number: Option<u32>| number.and_then(|n| u8::try_from(n).ok()).unwrap_or(1);
        (memory, small(arguments.kdf.kdf_iterations), small(arguments.kdf.kdf_lanes))
    });
    let share = keep.frost().export_share(Some(&found.pubkey), index, form, &passphrase, cost)?;
    drop(keep);
    if arguments.qr {
        return ur_frames::show(session, &share.share);
    }
    if arguments.output.is_some() {
        return give(session, arguments, &share.group, Some(index), &share.share);
    }
    session.output.show(&Exported(&share))
}

fn give(
    session: &Session,
    arguments: &args::Export,
    group: &str,
    index: Option<u16>,
    text: &str,
) -> Result<(), Ending> {
    match &arguments.output {
        Some(file) => {
            write_private(file, &format!("{text}\n"), arguments.force)?;
            session.output.show(&Written { group, index, file: file.display().to_string() })
        }
        None => session.output.line(text),
    }
}

pub fn import(session: &Session, arguments: &args::Import) -> Result<(), Ending> {
    let given = arguments.name.as_deref().map(name).transpose()?;
    let text = ur_frames::join(read(session, arguments)?)?;
    let source = Source::share(arguments.passphrase_file.as_deref());
    let passphrase = if Frost::needs_passphrase(&text) { Some(source.get()?) } else { None };
    if arguments.unproved {
        let question = "Nothing but your word says that these shares are the group's next ones. If they are not, and yours \
                        are deleted for them, the key is lost. Take them?";
        agree(arguments.yes, question, "nothing was imported")?;
    }
    if arguments.abandon {
        agree(arguments.yes, ABANDON, "nothing was given up")?;
    }
    let keep = session.open()?;
    let accept = ImportOptions {
        replace: arguments.replace,
        unproved: arguments.unproved,
        trust_roster: arguments.trust_roster,
        abandon: arguments.abandon,
    };
    let imported = keep.frost().import(text, passphrase, given, accept)?;
    session.output.show(&Imported(&imported))?;
    if imported.group.status == "must_reshare" {
        session.output.talk(
            "These shares come from software that reuses nonces: the group signs only after `keep frost refresh`.",
        );
    }
    Ok(())
}

/// Files, or stdin, or the terminal.
fn read(session: &Session, arguments: &args::Import) -> Result<SecretText, Ending> {
    if !arguments.files.is_empty() {
        let mut all = String::new();
        for file in &arguments.files {
            all.push_str(&read_text(file)?);
            all.push('\n');
        }
        return Ok(SecretText::new(all));
    }
    let mut stdin = std::io::stdin();
    if !stdin.is_terminal() {
        let mut text = String::new();
        let read = Read::take(&mut stdin, MAX).read_to_string(&mut text);
        read.map_err(|error| Fault::new(ErrorCode::InvalidInput, format!("cannot read stdin: {error}")))?;
        return Ok(SecretText::new(text));
    }
    let missing = || {
        Fault::new(ErrorCode::InvalidInput, "no share was given")
            .with_hint("name a file, give the share on stdin, or run in a terminal to be asked")
    };
    session
        .output
        .talk("Paste the share (kshare1…, bfgroup1…, or the frames of a QR code). An empty line ends it.");
    let mut terminal = Terminal::open().ok_or_else(missing)?;
    let mut all = String::new();
    loop {
        let line = terminal.ask_hidden(if all.is_empty() { "Share: " } else { "More:  " })?;
        if line.expose().trim().is_empty() {
            break;
        }
        all.push_str(line.expose().trim());
        all.push('\n');
    }
    if all.is_empty() { Err(missing().into()) } else { Ok(SecretText::new(all)) }
}

#[derive(Serialize)]
struct Recovered<'a> {
    group: &'a str,
    npub: &'a str,
    secret: &'a str,
}

impl View for Recovered<'_> {
    fn human(&self, _: Style) -> String {
        self.secret.to_owned()
    }
}

pub fn recover(session: &Session, arguments: &args::Recover) -> Result<(), Ending> {
    let keep = session.open()?;
    let group = keep.frost().find(arguments.group.group.as_deref())?;
    let question = format!(
        "The whole secret key of {} is put together and printed. Whoever sees it signs alone, for ever, and no \
         refresh helps against that. Do it?",
        group.name
    );
    agree(arguments.yes, &question, "nothing was recovered")?;
    let key = keep.frost().recover(Some(&group.pubkey))?;
    session.output.warn(
        ErrorCode::RefusedByPolicy,
        &format!("the secret key of {} follows: the threshold protects it no longer", group.name),
        "move to a new key, or make sure that nobody and nothing keeps this one",
    );
    session.output.show(&Recovered { group: &key.group, npub: &key.npub, secret: key.secret.expose() })
}
