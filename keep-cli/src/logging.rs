//! Log lines on stderr, for whoever asks for them.

use std::str::FromStr;

use tracing::{Level, Metadata};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{FilterExt, LevelFilter, Targets, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::terminal::LogWriter;

/// The variable that chooses log lines by their module: `warn,keep_net=trace`.
const VARIABLE: &str = "RUST_LOG";

/// The library whose lines hold whole messages, with the texts that agents encrypt and decrypt.
const MESSAGES: &str = "rmcp";

/// Whether a line may be shown at all, whatever was chosen. Ours hold no texts and no secrets; what others write below
/// a warning (frames, requests, answers) is not ours to vouch for.
fn may_be_shown(line: &Metadata<'_>) -> bool {
    is_vouched_for(line.target(), *line.level())
}

fn is_vouched_for(target: &str, level: Level) -> bool {
    let is_of = |name: &str| target.split("::").next() == Some(name);
    let is_ours = target.split([':', '_']).next() == Some("keep");
    is_ours || (level <= Level::WARN && !is_of(MESSAGES))
}

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
    let targets = targets.and(filter_fn(may_be_shown));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_lines_are_shown_in_detail() {
        for ours in ["keep", "keep_net::pool", "keep_cli::web", "keep_mcp::http"] {
            assert!(is_vouched_for(ours, Level::TRACE), "{ours}");
        }
        for others in ["hyper::proto", "tungstenite", "rustls", "keeper::of::texts", "log"] {
            assert!(!is_vouched_for(others, Level::INFO), "{others}");
            assert!(is_vouched_for(others, Level::WARN), "{others}");
        }
        for level in [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE] {
            assert!(!is_vouched_for("rmcp::service", level) && !is_vouched_for("rmcp", level));
        }
    }
}
