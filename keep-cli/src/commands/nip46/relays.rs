//! `keep nip46 relays`.

use keep_sdk::MovedView;
use serde::Serialize;

use crate::commands::serve::relays;
use crate::ending::Ending;
use crate::output::View;
use crate::session::Session;
use crate::style::Style;

#[derive(Serialize)]
struct Moved {
    moved: Vec<MovedView>,
}

impl View for Moved {
    fn human(&self, style: Style) -> String {
        let line = |view: &MovedView| {
            let left = match view.left.as_slice() {
                [] => String::new(),
                left => style.dim(&format!("\n  still listens on {}", left.join(", "))),
            };
            format!("{} clients are told to use {}{left}", style.tick(), view.relays.join(", "))
        };
        self.moved.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

pub fn run(session: &Session, whose: &str, given: &[String]) -> Result<(), Ending> {
    let given = relays(given)?;
    let moved = session.open()?.nip46().move_relays(whose, &given)?;
    session.output.show(&Moved { moved })
}
