//! `keep secret`.

use keep_sdk::{ErrorCode, Fault, Home, Keep, SecretItemView, SecretText};
use serde::Serialize;

use crate::args::{Delete, Named, Secret, SecretAdd};
use crate::ending::Ending;
use crate::output::{View, in_clear};
use crate::secrets::read_text;
use crate::session::{Session, name};
use crate::style::Style;
use crate::terminal::Terminal;

#[derive(Serialize)]
#[serde(transparent)]
struct One<'a>(&'a SecretItemView);

impl View for One<'_> {
    fn human(&self, style: Style) -> String {
        line(self.0, 0, style)
    }
}

#[derive(Serialize)]
struct All {
    secrets: Vec<SecretItemView>,
}

impl View for All {
    fn human(&self, style: Style) -> String {
        let width = self.secrets.iter().map(|item| item.name.chars().count()).max().unwrap_or(0);
        self.secrets.iter().map(|item| line(item, width, style)).collect::<Vec<_>>().join("\n")
    }
}

#[derive(Serialize)]
struct Value {
    name: String,
    #[serde(serialize_with = "in_clear")]
    secret: SecretText,
}

impl View for Value {
    fn human(&self, _: Style) -> String {
        self.secret.expose().to_owned()
    }
}

pub fn run(session: &Session, command: &Secret) -> Result<(), Ending> {
    match command {
        Secret::Add(arguments) => add(session, arguments),
        Secret::Get(arguments) => get(session, arguments),
        Secret::List => {
            let secrets = session.open()?.secrets().list()?;
            session.output.show(&All { secrets })
        }
        Secret::Remove(arguments) => remove(session, arguments),
    }
}

fn add(session: &Session, arguments: &SecretAdd) -> Result<(), Ending> {
    let name = name(&arguments.named.name)?;
    Keep::expect_vault(&Home::from_environment()?)?;
    let secret = read_text(&session.output)?;
    if secret.expose().is_empty() {
        return Err(Fault::new(ErrorCode::InvalidInput, "the secret is empty")
            .with_hint("write it to stdin, or run in a terminal to be asked")
            .into());
    }
    let item = session.open()?.secrets().add(name, secret, arguments.note.clone(), arguments.replace)?;
    session.output.show(&One(&item))
}

fn get(session: &Session, arguments: &Named) -> Result<(), Ending> {
    let found = session.open()?.secrets().get(&arguments.name)?;
    session.output.show(&Value { name: found.name, secret: found.secret })
}

fn remove(session: &Session, arguments: &Delete) -> Result<(), Ending> {
    if !arguments.yes {
        let question = format!("{} is gone for good then. Remove it?", arguments.named.name);
        let mut terminal = Terminal::open().ok_or_else(|| {
            Fault::new(
                ErrorCode::ApprovalUnavailable,
                "removing a secret needs a yes, and there is no terminal to ask on",
            )
            .with_hint("pass --yes if you mean it")
        })?;
        if !terminal.ask_yes(&question)? {
            return Err(Fault::new(ErrorCode::RefusedByPerson, "nothing was removed").into());
        }
    }
    let item = session.open()?.secrets().remove(&arguments.named.name)?;
    session.output.show(&One(&item))
}

fn line(item: &SecretItemView, width: usize, style: Style) -> String {
    let name = style.bold(&format!("{:width$}", item.name));
    let note = item.note.as_deref().unwrap_or_default();
    format!("{name}  {}  {note}", style.dim(&item.changed_at[..10])).trim_end().to_owned()
}
