//! `keep policy`.

mod explain;
mod file;
mod simulate;

use keep_sdk::{PersonView, Policies, PolicyCheck, PolicyShown, PolicyView, counted};
use serde::Serialize;

use crate::args::policy::{Person, Policy};
use crate::ending::Ending;
use crate::output::View;
use crate::session::Session;
use crate::style::Style;

pub fn run(session: &Session, command: Policy) -> Result<(), Ending> {
    let policies = || Ok::<_, Ending>(session.open()?.policies());
    match command {
        Policy::List => session.output.show(&Listed { policies: policies()?.list()? }),
        Policy::Show { name } => session.output.show(&Shown(policies()?.show(&name)?)),
        Policy::Add { file } => {
            let text = file::read(&file)?;
            Policies::check(&text)?;
            session.output.show(&Checked { check: policies()?.put(&text, false)?, done: "added" })
        }
        Policy::Edit { name, file } => edit(session, &name, file.as_deref()),
        Policy::Remove { name } => {
            policies()?.remove(&name)?;
            session.output.show(&Removed { removed: name })
        }
        Policy::Check { file } => {
            session.output.show(&Checked { check: Policies::check(&file::read(&file)?)?, done: "reads well" })
        }
        Policy::Explain(arguments) => explain::run(session, &arguments),
        Policy::Simulate(arguments) => simulate::run(session, &arguments),
        Policy::Person(command) => person(session, command),
    }
}

fn edit(session: &Session, name: &str, given: Option<&std::path::Path>) -> Result<(), Ending> {
    let policies = session.open()?.policies();
    let shown = policies.show(name)?;
    let text = match given {
        Some(path) => file::read(path)?,
        None => file::edit(&shown.toml)?,
    };
    let check = Policies::check(&text)?;
    if check.name != name {
        return Err(file::other_name(name, &check.name).into());
    }
    session.output.show(&Checked { check: policies.put(&text, true)?, done: "changed" })
}

#[derive(Serialize)]
struct Listed {
    policies: Vec<PolicyView>,
}

impl View for Listed {
    fn human(&self, style: Style) -> String {
        let width = self.policies.iter().map(|policy| policy.name.len()).max().unwrap_or(0);
        let line = |policy: &PolicyView| {
            let whose = if policy.builtin { "built in" } else { "yours" };
            let clients = match policy.clients {
                0 => String::new(),
                clients => format!(" · {}", counted(clients, "client")),
            };
            let description = policy.description.as_deref().unwrap_or_default();
            let name = style.bold(&format!("{:width$}", policy.name));
            format!(
                "{name}  {}  {description}",
                style.dim(&format!("{whose:8} · {}{clients}", counted(policy.rules, "rule")))
            )
        };
        self.policies.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct Shown(PolicyShown);

impl View for Shown {
    fn human(&self, _: Style) -> String {
        self.0.toml.trim_end().to_owned()
    }
}

#[derive(Serialize)]
struct Checked {
    #[serde(flatten)]
    check: PolicyCheck,
    #[serde(skip)]
    done: &'static str,
}

impl View for Checked {
    fn human(&self, style: Style) -> String {
        let check = &self.check;
        let mut text =
            format!("{} {} {}, {}", style.tick(), check.name, self.done, counted(check.rules, "rule"));
        for rule in &check.unreachable {
            text.push_str(
                &style.yellow(&format!("\n  rule {rule} never decides: an earlier rule covers all of it")),
            );
        }
        text
    }
}

#[derive(Serialize)]
struct Removed {
    removed: String,
}

impl View for Removed {
    fn human(&self, style: Style) -> String {
        format!("{} {} is removed", style.tick(), self.removed)
    }
}

#[derive(Serialize)]
struct Persons {
    persons: Vec<PersonView>,
}

impl View for Persons {
    fn human(&self, style: Style) -> String {
        if self.persons.is_empty() {
            return style.dim("nobody but you may approve");
        }
        let line = |person: &PersonView| format!("{}  {}", person.name, style.dim(&person.added_at));
        self.persons.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

#[derive(Serialize)]
struct Added<'a> {
    name: &'a str,
    code: &'a str,
}

impl View for Added<'_> {
    fn human(&self, _: Style) -> String {
        self.code.to_owned()
    }
}

fn person(session: &Session, command: Person) -> Result<(), Ending> {
    let policies = session.open()?.policies();
    match command {
        Person::List => session.output.show(&Persons { persons: policies.persons()? }),
        Person::Add { name } => {
            let code = policies.add_person(&name)?;
            session.output.talk(&format!("Give this code to {name} and to nobody else. It is kept nowhere."));
            session.output.show(&Added { name: &name, code: code.expose() })
        }
        Person::Remove { name } => {
            policies.remove_person(&name)?;
            session.output.show(&Removed { removed: name })
        }
    }
}
