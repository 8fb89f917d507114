//! Keep's bunker beside one that is built on nostr-connect 0.44.1: the same client, the same relay, the same machine.
//!
//! Keep's keeps a durable record of every signature meanwhile; the other one keeps none.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::relayed::{self, Bursts, IN_FLIGHT, Reached};
use crate::table::Row;

const WHAT: &str = "requests over a relay, beside nostr-connect";

pub fn rows() -> Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let theirs = match runtime.block_on(of_peer()) {
        Ok(theirs) => theirs,
        Err(error) => return Ok(vec![Row::alone(WHAT, Duration::ZERO, format!("{error:#}"))]),
    };
    let ours = runtime.block_on(relayed::of_keep(Reached::Elsewhere))?;
    let peer = "a bunker on nostr-connect 0.44.1";
    Ok(vec![
        Row::new(
            format!("{WHAT}, {IN_FLIGHT} in flight"),
            ours.together.rate(),
            peer,
            theirs.together.rate(),
        ),
        Row::new("  99th percentile of an answer's time", ours.together.p99, peer, theirs.together.p99),
        Row::new(format!("{WHAT}, one in flight"), ours.alone.rate(), peer, theirs.alone.rate()),
        Row::new("  median of one answer's time", ours.alone.p50, peer, theirs.alone.p50),
    ])
}

/// The other bunker, a process of its own. It ends with its standard input.
struct Peer {
    child: Child,
    url: String,
}

impl Peer {
    fn start(relay: &str) -> Result<Self> {
        // `cargo xtask bench` builds it, and says where it is.
        let program = std::env::var_os("KEEP_BENCH_PEER").context("the peer is not built")?;
        let mut command = Command::new(program);
        command.arg(relay).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("the peer does not start")?;
        let stdout = child.stdout.take().context("the peer has no output")?;
        let mut url = String::new();
        BufReader::new(stdout).read_line(&mut url)?;
        let peer = Self { child, url: url.trim().to_owned() };
        ensure!(peer.url.starts_with("bunker://"), "the peer did not say where it is");
        Ok(peer)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn of_peer() -> Result<Bursts> {
    let relay = relayed::relay().await?;
    let peer = Peer::start(relay.url().as_str())?;
    relayed::bursts(&peer.url, &relay).await
}
