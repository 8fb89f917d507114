//! `keep config`.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use keep_sdk::{ErrorCode, Fault};
use serde::Serialize;

use crate::args;
use crate::config::{Config, From, TEMPLATE};
use crate::ending::Ending;
use crate::output::View;
use crate::session::Session;
use crate::style::Style;

#[derive(Serialize)]
#[serde(transparent)]
struct Shown<'a>(&'a Config);

impl View for Shown<'_> {
    fn human(&self, style: Style) -> String {
        let config = self.0;
        let from = |from: From| match from {
            From::Environment => "from the environment",
            From::File => "from the file",
            From::Default => "built in",
        };
        let line = |name: &str, value: String, source| {
            format!("{name:<10}  {}  {}", style.bold(&value), style.dim(from(source)))
        };
        let key = config.key.value.clone().unwrap_or_else(|| "the only one".to_owned());
        let relays =
            if config.relays.value.is_empty() { "none".to_owned() } else { config.relays.value.join(", ") };
        [
            line("key", key, config.key.from),
            line("relays", relays, config.relays.from),
            line("unlock_for", config.unlock_for.value.clone(), config.unlock_for.from),
            line("network", config.network.value.clone(), config.network.from),
            line("confirm", config.confirm.value.to_string(), config.confirm.from),
            line("auth_url", config.auth_url.value.to_string(), config.auth_url.from),
        ]
        .join("\n")
    }
}

#[derive(Serialize)]
struct Place {
    #[serde(serialize_with = "shown")]
    path: PathBuf,
    exists: bool,
}

/// A path need not be UTF-8 text; JSON must be.
fn shown<S: serde::Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

impl View for Place {
    fn human(&self, _: Style) -> String {
        self.path.display().to_string()
    }
}

pub fn run(session: &Session, command: &args::Config) -> Result<(), Ending> {
    match command {
        args::Config::Show => session.output.show(&Shown(session.config()?)),
        args::Config::Path => session.output.show(&place()?),
        args::Config::Init { force } => init(session, *force),
    }
}

fn place() -> Result<Place, Fault> {
    let path = Config::path().ok_or_else(|| {
        Fault::new(ErrorCode::InvalidInput, "there is no home directory to keep settings in")
            .with_hint("set KEEP_CONFIG to the full path of the file")
    })?;
    Ok(Place { exists: path.exists(), path })
}

fn init(session: &Session, force: bool) -> Result<(), Ending> {
    let path = place()?.path;
    let cannot = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Fault::new(ErrorCode::AlreadyExists, format!("there is {} already", path.display()))
                .with_hint("edit it, or pass --force to write it anew")
        }
        _ => Fault::new(ErrorCode::Storage, format!("cannot write {}: {error}", path.display())),
    };
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).map_err(cannot)?;
    }
    let mut options = OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    options.open(&path).and_then(|mut file| file.write_all(TEMPLATE.as_bytes())).map_err(cannot)?;
    session.output.show(&Place { path, exists: true })
}
