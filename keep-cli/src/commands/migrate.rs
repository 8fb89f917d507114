//! `keep migrate`.

use keep_sdk::{FormatView, Home, Keep};
use serde::Serialize;

use crate::ending::Ending;
use crate::output::View;
use crate::session::Session;
use crate::style::Style;

#[derive(Serialize)]
#[serde(transparent)]
struct Format(FormatView);

impl View for Format {
    fn human(&self, style: Style) -> String {
        let format = &self.0;
        let said = if format.needs_migration {
            format!("it is read, and written in format {} from now on", format.writes)
        } else {
            "nothing is to be done".to_owned()
        };
        format!("{} format {}: {said}", style.tick(), format.format)
    }
}

pub fn status(session: &Session) -> Result<(), Ending> {
    let home = Home::from_environment()?;
    session.output.show(&Format(Keep::format(&home)?))
}
