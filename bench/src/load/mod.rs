//! Load for bunkers, made in a process of its own: a relay on loopback that only forwards, and a client whose requests
//! are signed and sealed before the clock starts. What is measured is the bunker, and as little else as there can be.
//!
//! The process is this program again, with [`FLAG`]. It is told what to do in lines of JSON, and answers in such lines.

mod forwarder;
mod volley;

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncBufReadExt as _;
use tokio::task::LocalSet;

use volley::Volley;

/// The argument that makes this program the source of load, with the milliseconds to its relay.
const FLAG: &str = "--make-load";

/// Requests to the bunker at `url`: `count` of them, at most `in_flight` unanswered at any time.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    url: String,
    in_flight: usize,
    count: usize,
}

/// How it went, in nanoseconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Outcome {
    each: u64,
    p50: u64,
    p99: u64,
}

/// How a volley of requests went.
#[derive(Debug, Clone, Copy)]
pub struct Burst {
    /// The whole time, for each request.
    pub each: Duration,
    /// The time from request to answer: median and 99th percentile.
    pub p50: Duration,
    pub p99: Duration,
}

/// The other process. It ends with its standard input.
pub struct Load {
    child: Child,
    orders: Option<ChildStdin>,
    outcomes: BufReader<ChildStdout>,
    relay: String,
}

impl Load {
    /// Starts it, and with it a relay that is `away` from whoever talks to it.
    pub fn start(away: Duration) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(format!("{FLAG}={}", away.as_millis()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the source of load does not start")?;
        let (orders, output) = (child.stdin.take(), child.stdout.take());
        let mut outcomes = BufReader::new(output.context("the source of load has no output")?);
        let mut relay = String::new();
        outcomes.read_line(&mut relay)?;
        let relay = relay.trim().to_owned();
        ensure!(relay.starts_with("ws://"), "the source of load has no relay");
        Ok(Self { child, orders, outcomes, relay })
    }

    /// The relay's address.
    pub fn relay(&self) -> &str {
        &self.relay
    }

    /// Sends the bunker at `url` so many requests, and checks every answer after the time was taken.
    pub fn volley(&mut self, url: &str, in_flight: usize, count: usize) -> Result<Burst> {
        let orders = self.orders.as_mut().context("the source of load has ended")?;
        let order = Order { url: url.to_owned(), in_flight, count };
        writeln!(orders, "{}", serde_json::to_string(&order)?)?;
        let mut line = String::new();
        self.outcomes.read_line(&mut line)?;
        let outcome: Outcome = serde_json::from_str(&line).context("the source of load failed")?;
        let [each, p50, p99] = [outcome.each, outcome.p50, outcome.p99].map(Duration::from_nanos);
        Ok(Burst { each, p50, p99 })
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        drop(self.orders.take());
        // It may have ended by itself.
        let _ = self.child.wait();
    }
}

/// The other process: orders on standard input; relay and client share a thread.
pub fn run(away: Duration) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, obey(away))
}

async fn obey(away: Duration) -> Result<()> {
    println!("{}", forwarder::start(away).await?);
    let mut orders = tokio::io::BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = orders.next_line().await? {
        let order: Order = serde_json::from_str(&line)?;
        let volley = Volley::load(&order.url, order.count).await?;
        println!("{}", serde_json::to_string(&volley.fire(order.in_flight).await?)?);
    }
    Ok(())
}
