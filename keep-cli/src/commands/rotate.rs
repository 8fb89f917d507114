//! `keep rotate-password` and `keep rotate-data-key`.

use std::io::{self, IsTerminal, Write};

use keep_sdk::{ErrorCode, Fault, RotationPlan, SecretText, StanzaView, are, counted};
use serde::Serialize;

use crate::args::{RotateDataKey, RotatePassword};
use crate::commands::stanza::{HOW_TO_KEEP, One, line, words};
use crate::ending::Ending;
use crate::output::{View, optional_in_clear};
use crate::secrets::{Source, read_file};
use crate::session::Session;
use crate::style::Style;
use crate::terminal::Terminal;

pub fn password(session: &Session, arguments: &RotatePassword) -> Result<(), Ending> {
    let source = Source::new_vault(arguments.new_password_file.as_deref());
    let given = source.given()?;
    if given.is_none() {
        source.terminal()?;
    }
    let keep = session.open()?;
    let new = match given {
        Some(new) => new,
        None => source.get_new(session.yes_safe())?,
    };
    session.output.show(&One(keep.unlocking().change_passphrase(new, arguments.stanza.clone())?))?;
    session.output.talk(
        "The new passphrase opens the vault from now on. The data key is the same as before: whoever has an old copy of the\n\
         vault and the old passphrase can open that copy, and with its header also the records of today. If the old\n\
         passphrase may be known to somebody: keep rotate-data-key, and replace the keys themselves.",
    );
    Ok(())
}

#[derive(Serialize)]
struct Done {
    records: u64,
    #[serde(serialize_with = "optional_in_clear")]
    recovery_code: Option<SecretText>,
    kept: Vec<StanzaView>,
    dropped: Vec<StanzaView>,
    not_wiped: Option<String>,
}

impl View for Done {
    fn human(&self, style: Style) -> String {
        let done = format!(
            "{} {} {} under a new data key",
            style.tick(),
            counted(self.records, "record"),
            are(self.records)
        );
        match &self.recovery_code {
            Some(code) => format!("{done}\n\nThe new recovery code:\n{}", words(code)),
            None => done,
        }
    }
}

pub fn data_key(session: &Session, arguments: &RotateDataKey) -> Result<(), Ending> {
    if !arguments.yes {
        terminal()?;
    }
    let also: Vec<SecretText> =
        arguments.also_password_file.iter().map(|file| read_file(file)).collect::<Result<_, _>>()?;
    let (keep, password) = session.open_directly()?;
    let presented: Vec<SecretText> = std::iter::once(password).chain(also).collect();
    let plan = keep.unlocking().plan_rotation(&presented)?;
    if arguments.yes {
        say_dropped(session, &plan);
    } else {
        ask(session, &plan)?;
    }
    let mut progress = Progress::new(session);
    let done = keep.unlocking().rotate(plan, &mut |done, of| progress.say(done, of));
    progress.end();
    let done = done?;
    if let Some(why) = &done.not_wiped {
        session.output.warn(
            ErrorCode::StorageBusy,
            &format!("the old ciphertext could not be wiped from the file: {why}"),
            "close what has the vault open; the next rotation wipes it",
        );
    }
    let has_code = done.recovery_code.is_some();
    session.output.show(&Done {
        records: done.records,
        recovery_code: done.recovery_code,
        kept: done.kept,
        dropped: done.dropped,
        not_wiped: done.not_wiped,
    })?;
    if has_code {
        session.output.talk(HOW_TO_KEEP);
    }
    session.output.talk(
        "What has the vault open must unlock it again. Copies that were made before, and what a disk keeps of overwritten\n\
         blocks, stay under the old data key: if that may be known, replace the keys themselves.",
    );
    Ok(())
}

fn list(session: &Session, stanzas: &[StanzaView]) -> String {
    let style = session.output.talk_style();
    stanzas.iter().map(|stanza| format!("  {}", line(stanza, style))).collect::<Vec<_>>().join("\n")
}

/// Which ways to unlock end, where nobody is asked.
fn say_dropped(session: &Session, plan: &RotationPlan) {
    if !plan.drops.is_empty() {
        let dropped = list(session, &plan.drops);
        session.output.talk(&format!(
            "These do not open the vault any more, because nobody presented them:\n{dropped}"
        ));
    }
}

fn ask(session: &Session, plan: &RotationPlan) -> Result<(), Ending> {
    session.output.ask(&format!("These go on opening the vault:\n{}", list(session, &plan.keeps)));
    if !plan.drops.is_empty() {
        let dropped = list(session, &plan.drops);
        session.output.ask(&format!("These will not, because nobody presented them:\n{dropped}"));
    }
    if terminal()?.ask_yes("Give the vault a new data key?")? {
        return Ok(());
    }
    Err(Fault::new(ErrorCode::RefusedByPerson, "nothing was changed")
        .with_hint("--also-password-file presents another passphrase or recovery code")
        .into())
}

fn terminal() -> Result<Terminal, Fault> {
    Terminal::open().ok_or_else(|| {
        Fault::new(
            ErrorCode::ApprovalUnavailable,
            "a new data key needs a yes, and there is no terminal to ask on",
        )
        .with_hint("pass --yes if you mean it; see the ways to unlock with `keep vault stanza list`")
    })
}

/// How far it is, on one line of a terminal.
pub struct Progress {
    shown: bool,
    begun: bool,
}

impl Progress {
    /// Shows only where a person looks.
    pub fn new(session: &Session) -> Self {
        Self { shown: session.output.is_talkative() && io::stderr().is_terminal(), begun: false }
    }

    pub fn say(&mut self, done: u64, of: u64) {
        if !self.shown || of == 0 {
            return;
        }
        self.begun = true;
        let filled = usize::try_from(done * 30 / of).unwrap_or(30).min(30);
        let bar = format!("\r[{}{}] {done} of {of} ", "#".repeat(filled), " ".repeat(30 - filled));
        // A terminal that is gone hears nothing.
        let _ = io::stderr().write_all(bar.as_bytes()).and_then(|()| io::stderr().flush());
    }

    pub fn end(&mut self) {
        if self.begun {
            let _ = io::stderr().write_all(b"\n");
        }
    }
}
