//! `keep vault stanza`.

use keep_sdk::{ErrorCode, Fault, SecretText, StanzaView};
use serde::Serialize;

use crate::args::{Stanza, StanzaAdd, StanzaRemove};
use crate::ending::Ending;
use crate::output::{View, in_clear};
use crate::secrets::Source;
use crate::session::{Session, name};
use crate::style::Style;
use crate::terminal::Terminal;

#[derive(Serialize)]
struct All {
    stanzas: Vec<StanzaView>,
}

impl View for All {
    fn human(&self, style: Style) -> String {
        self.stanzas.iter().map(|stanza| line(stanza, style)).collect::<Vec<_>>().join("\n")
    }
}

#[derive(Serialize)]
#[serde(transparent)]
pub struct One(pub StanzaView);

impl View for One {
    fn human(&self, style: Style) -> String {
        line(&self.0, style)
    }
}

#[derive(Serialize)]
struct Code {
    stanza: StanzaView,
    #[serde(serialize_with = "in_clear")]
    recovery_code: SecretText,
}

impl View for Code {
    fn human(&self, style: Style) -> String {
        format!("{}\n{}", line(&self.stanza, style), words(&self.recovery_code))
    }
}

pub fn run(session: &Session, command: &Stanza) -> Result<(), Ending> {
    match command {
        Stanza::List => {
            let stanzas = session.open()?.unlocking().list()?;
            session.output.show(&All { stanzas })
        }
        Stanza::Add(arguments) => add(session, arguments),
        Stanza::Remove(arguments) => remove(session, arguments),
    }
}

fn add(session: &Session, arguments: &StanzaAdd) -> Result<(), Ending> {
    let label = arguments.label.as_deref().map(name).transpose()?;
    if arguments.recovery_code {
        let code = session.open()?.unlocking().add_recovery_code(label)?;
        session.output.show(&Code { stanza: code.stanza, recovery_code: code.recovery_code })?;
        session.output.talk(HOW_TO_KEEP);
        return Ok(());
    }
    let source = Source::new_vault(arguments.new_password_file.as_deref());
    let given = source.given()?;
    if given.is_none() {
        source.terminal()?;
    }
    let keep = session.open()?;
    let passphrase = match given {
        Some(passphrase) => passphrase,
        None => source.get_new(session.yes_safe())?,
    };
    session.output.show(&One(keep.unlocking().add_passphrase(passphrase, label)?))
}

fn remove(session: &Session, arguments: &StanzaRemove) -> Result<(), Ending> {
    let mut terminal = None;
    if !arguments.yes {
        terminal = Some(Terminal::open().ok_or_else(|| {
            Fault::new(
                ErrorCode::ApprovalUnavailable,
                "removing a way to unlock needs a yes, and there is no terminal to ask on",
            )
            .with_hint("pass --yes if you mean it")
        })?);
    }
    let keep = session.open()?;
    if let Some(mut terminal) = terminal {
        let question = format!("{} will not open the vault any more. Remove it?", arguments.stanza);
        if !terminal.ask_yes(&question)? {
            return Err(Fault::new(ErrorCode::RefusedByPerson, "nothing was removed").into());
        }
    }
    session.output.show(&One(keep.unlocking().remove(&arguments.stanza)?))?;
    session.output.talk(
        "Copies of the vault that were made before still open with it. If it may be known to somebody:\n\
         keep rotate-data-key",
    );
    Ok(())
}

/// What to do with a recovery code.
pub const HOW_TO_KEEP: &str = "Print the words or write them down, in this order, and keep the paper where only you find it.\n\
     They open the vault wherever its passphrase does, and are not shown again.";

/// One way to unlock, in a line.
pub fn line(stanza: &StanzaView, style: Style) -> String {
    let since = stanza.created_at.as_deref().map_or("", |time| &time[..10]);
    let label = stanza.label.as_deref().unwrap_or_default();
    let current = if stanza.current { "  (opened the vault now)" } else { "" };
    let text = format!("{}  {:13}  {}  {label}", style.bold(&stanza.id), stanza.kind, style.dim(since));
    format!("{}{current}", text.trim_end())
}

/// The words of a recovery code with their numbers, four in a line.
pub fn words(code: &SecretText) -> String {
    let words: Vec<&str> = code.expose().split(' ').collect();
    let rows = words.chunks(4).enumerate().map(|(row, four)| {
        let numbered = four.iter().enumerate().map(|(column, word)| {
            let number = row * 4 + column + 1;
            format!("{number:>2}. {word:10}")
        });
        numbered.collect::<String>().trim_end().to_owned()
    });
    rows.collect::<Vec<_>>().join("\n")
}
