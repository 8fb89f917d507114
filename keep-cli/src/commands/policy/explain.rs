//! `keep policy explain`.

use keep_sdk::{Explained, Question};
use serde::Serialize;

use crate::args::policy::Explain;
use crate::ending::Ending;
use crate::output::View;
use crate::session::Session;
use crate::style::Style;

#[derive(Serialize)]
#[serde(transparent)]
struct Answer(Explained);

impl View for Answer {
    fn human(&self, style: Style) -> String {
        let explained = &self.0;
        let said = &explained.explanation;
        let word = said.effect.as_str();
        let word = match word {
            "allow" => style.green(word),
            "deny" => style.red(word),
            _ => style.yellow(word),
        };
        let mut lines = vec![format!("{word}: {}", said.because)];
        if let Some(limit) = &explained.limit {
            lines.push(style.red(&format!("but now it is refused: {limit}")));
        }
        for left in &explained.left {
            let so_far = match left.left {
                Some(0) => style.red("; none is left now"),
                Some(left) => format!("; {left} left now"),
                None => " for each client".to_owned(),
            };
            lines.push(format!("limit of rule {}: {}{so_far}", left.rule, left.limits));
        }
        if let Some(releases) = &said.releases {
            lines.push(format!("releases only plaintexts that are {}", releases.join(" or ")));
        }
        for rule in &said.rules {
            let mark = match rule.matches {
                Some(true) => style.tick(),
                Some(false) => "-".to_owned(),
                None => "?".to_owned(),
            };
            let whose = if rule.remembered { "decision" } else { "rule" };
            let name = rule.name.as_ref().map(|name| format!(" \"{name}\"")).unwrap_or_default();
            let why = rule.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            lines.push(format!("  {mark} {whose} {}{name} ({}){why}", rule.rule, rule.effect.as_str()));
        }
        lines.join("\n")
    }
}

pub fn run(session: &Session, arguments: &Explain) -> Result<(), Ending> {
    let tags = arguments.tags.iter().map(|tag| tag.split(',').map(str::to_owned).collect()).collect();
    let question = Question {
        policy: arguments.policy.clone(),
        client: arguments.client.clone(),
        key: session.key_name().map(str::to_owned),
        method: arguments.method.clone(),
        kind: arguments.kind,
        tags,
        content: arguments.content.clone(),
        peer: arguments.peer.clone(),
        at: arguments.at,
    };
    session.output.show(&Answer(session.open()?.policies().explain(question)?))
}
