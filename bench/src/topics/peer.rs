//! Keep's bunker beside one that is built on nostr-connect 0.44.1: the same client, the same relay, the same machine,
//! in turns.
//!
//! Keep's keeps a durable record of every signature meanwhile; the other one keeps none. Beside both, at the near relay,
//! the barest bunker there can be, without and with a record: what any bunker at all can reach on this machine.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use keep_sdk::{Builtin, BunkerOptions, Headless, Limits, Offer, RelayUrl};

use super::barest::{Barest, Records};
use super::fixture::Place;
use super::relayed::{IN_FLIGHT, unbounded};
use crate::load::{Burst, Load};
use crate::measure::{median, process_time, threads_time};
use crate::table::{Quantity, Row};

const THEIRS: &str = "a bunker on nostr-connect 0.44.1";

const ROUNDS: usize = 7;

/// A relay, and how much it is used.
struct Relay {
    name: &'static str,
    away: Duration,
    counts: Counts,
    /// Which barest bunkers are tried there, and what they are called.
    barest: &'static [(Records, &'static str)],
}

/// Requests of a volley with one in flight, and with many.
#[derive(Clone, Copy)]
struct Counts {
    alone: usize,
    together: usize,
}

const NEAR: Relay = Relay {
    name: "a relay that forwards",
    away: Duration::ZERO,
    counts: Counts { alone: 600, together: 4_000 },
    barest: &[(Records::None, "barest bunker, no record"), (Records::Synced, "barest bunker, synced record")],
};

/// Public ones are further away.
const FAR: Relay = Relay {
    name: "one 5 ms away",
    away: Duration::from_millis(5),
    counts: Counts { alone: 10, together: 320 },
    barest: &[],
};

pub fn rows() -> Result<Vec<Row>> {
    let mut rows = compare(&NEAR)?;
    rows.extend(compare(&FAR)?);
    Ok(rows)
}

fn compare(&Relay { name, away, counts, barest }: &Relay) -> Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut load = Load::start(away)?;
    let peer = Peer::start(load.relay());
    let place = Place::new()?;
    let (keep, key) = place.keep("bunker")?;
    let bunker = keep.bunker(Arc::new(Headless));
    let relays = vec![RelayUrl::parse(load.relay())?];
    let offer = Offer { relays, policy: Builtin::Full.policy(), limits: Limits::default() };
    let url = bunker.offer(&key, &offer)?.bunker_url;
    let options = BunkerOptions { limits: unbounded(), ..BunkerOptions::default() };
    let _serving = runtime.block_on(bunker.serve(&key, options))?;
    let (mut ours, mut theirs) = (Volleys::default(), Volleys::default());
    let mut bare: Vec<_> = barest.iter().map(|_| Volleys::default()).collect();
    for _ in 0..ROUNDS {
        ours.fire(&mut load, &url, counts, || Ok(process_time()))?;
        for ((records, _), volleys) in barest.iter().zip(&mut bare) {
            let bunker = runtime.block_on(Barest::serve(load.relay(), *records, &place))?;
            volleys.fire(&mut load, &bunker.url, counts, || Ok(process_time()))?;
        }
        if let Ok(peer) = &peer {
            theirs.fire(&mut load, &peer.url, counts, || peer.process_time())?;
        }
    }
    let what = format!("requests over {name}");
    if let Err(error) = peer {
        return Ok(vec![Row::alone(what, ours.rate(1), format!("{error:#}"))]);
    }
    let mut rows = ours.beside(&theirs, &what);
    for ((_, bunker), volleys) in barest.iter().zip(&bare) {
        rows.extend(volleys.beside(&theirs, &format!("{bunker}: {what}")));
    }
    Ok(rows)
}

/// All volleys at one bunker: with one request in flight, and with many.
#[derive(Default)]
struct Volleys {
    bursts: [Vec<Burst>; 2],
    cpu: [Vec<Duration>; 2],
}

impl Volleys {
    fn fire(
        &mut self,
        load: &mut Load,
        url: &str,
        counts: Counts,
        cpu: impl Fn() -> Result<Duration>,
    ) -> Result<()> {
        for (at, (in_flight, count)) in
            [(1, counts.alone), (IN_FLIGHT, counts.together)].into_iter().enumerate()
        {
            let before = cpu()?;
            self.bursts[at].push(load.volley(url, in_flight, count)?);
            self.cpu[at].push(cpu()?.saturating_sub(before) / u32::try_from(count)?);
        }
        Ok(())
    }

    fn time(&self, at: usize, of: fn(&Burst) -> Duration) -> Duration {
        median(self.bursts[at].iter().map(of).collect())
    }

    fn rate(&self, at: usize) -> Quantity {
        Quantity::Rate(1.0 / self.time(at, |burst| burst.each).as_secs_f64())
    }

    fn beside(&self, theirs: &Self, what: &str) -> Vec<Row> {
        let mut rows = Vec::new();
        for (at, how) in [(1, format!("{IN_FLIGHT} in flight")), (0, "one in flight".to_owned())] {
            rows.push(Row::new(format!("{what}, {how}"), self.rate(at), THEIRS, theirs.rate(at)));
            for (name, of) in [
                ("median of one answer's time", (|burst| burst.p50) as fn(&Burst) -> Duration),
                ("99th percentile of an answer's time", |burst| burst.p99),
            ] {
                rows.push(Row::new(format!("  {name}"), self.time(at, of), THEIRS, theirs.time(at, of)));
            }
            let cpu = |of: &Self| median(of.cpu[at].clone());
            rows.push(Row::new("  CPU of the bunker's process", cpu(self), THEIRS, cpu(theirs)));
        }
        rows
    }
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

    /// What all of its threads have computed so far.
    fn process_time(&self) -> Result<Duration> {
        threads_time(&self.child.id().to_string(), None)
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
