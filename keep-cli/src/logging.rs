//! Log lines on stderr, for whoever asks for them.

use std::str::FromStr;

use tracing::Level;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::terminal::LogWriter;

/// The variable that chooses log lines by their module: `warn,keep_net=trace`.
const VARIABLE: &str = "RUST_LOG";

/// Starts to log. `verbose` counts the `-v`; `RUST_LOG` says it more precisely and wins.
pub fn start(verbose: u8, json: bool) {
    let chosen = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
    let level = match verbose {
        // Programs that read stderr as JSON get log lines only when they ask for them.
        0 if json => LevelFilter::OFF,
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let targets = match chosen.as_deref().map(Targets::from_str) {
        Some(Ok(targets)) => targets,
        Some(Err(_)) | None => Targets::new().with_default(level),
    };
    let detailed = chosen.is_some() || verbose > 0;
    let lines = tracing_subscriber::fmt::layer().with_writer(|| LogWriter).with_ansi(false);
    // Fails only if somebody started before us, and then there is a log already.
    let _ = if detailed {
        tracing_subscriber::registry().with(lines.with_filter(targets)).try_init()
    } else {
        tracing_subscriber::registry()
            .with(lines.without_time().with_target(false).with_filter(targets))
            .try_init()
    };
    if let Some(Err(error)) = chosen.as_deref().map(Targets::from_str) {
        tracing::event!(Level::WARN, "{VARIABLE} is ignored: {error}");
    }
}
