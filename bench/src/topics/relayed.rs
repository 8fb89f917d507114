//! Requests over a relay on loopback: how many there are in a second, and how long each of them takes.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use keep_nip46::server::{Limits as ServerLimits, Rate};
use keep_sdk::{
    Builtin, Bunker, BunkerOptions, BunkerUri, EmbeddedRelay, EventTemplate, Headless, Limits, Offer,
    PoolOptions, RelayOptions, RelayPolicy, RelayPool, RemoteSigner, Transport,
};
use tokio::task::JoinSet;

use super::fixture::Place;
use crate::measure::{median, percentile, process_time};
use crate::table::{Quantity, Row};

/// Requests that are on their way at the same time.
pub const IN_FLIGHT: usize = 32;
/// Requests with one in flight, and with many.
const ALONE: usize = 200;
const TOGETHER: usize = 3_200;

/// How the bunker reaches the relay. The client always comes over a websocket.
#[derive(Clone, Copy)]
enum Reached {
    /// Over a websocket, as any other.
    Elsewhere,
    /// As a part of its own process, whose verifications it shares.
    Embedded,
}

/// One in flight, and many.
struct Bursts {
    alone: Burst,
    together: Burst,
}

/// How a burst of requests went.
struct Burst {
    each: Duration,
    p50: Duration,
    p99: Duration,
    cpu: Duration,
}

impl Burst {
    fn rate(&self) -> Quantity {
        Quantity::Rate(1.0 / self.each.as_secs_f64())
    }
}

/// No bound stands in the way of the measurement.
pub fn unbounded() -> ServerLimits {
    let rate = Rate { per_second: 1 << 20, burst: 1 << 30 };
    ServerLimits { client: rate, ..ServerLimits::default() }
}

/// Many requests at once against one at a time.
pub fn rows() -> Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut rows = runtime.block_on(compare(Reached::Elsewhere))?;
    rows.extend(runtime.block_on(compare(Reached::Embedded))?);
    Ok(rows)
}

async fn compare(reached: Reached) -> Result<Vec<Row>> {
    let Bursts { alone, together } = of_keep(reached).await?;
    let how = match reached {
        Reached::Elsewhere => "a relay",
        Reached::Embedded => "the embedded relay",
    };
    let (what, one) = (format!("sign_event over NIP-46 and {how}"), "one in flight");
    Ok(vec![
        Row::new(format!("{what}, {IN_FLIGHT} in flight"), together.rate(), one, alone.rate()),
        Row::new("  median of one answer's time", together.p50, one, alone.p50),
        Row::new("  99th percentile of an answer's time", together.p99, one, alone.p99),
        Row::new("  CPU of bunker, relay and client", together.cpu, one, alone.cpu),
    ])
}

/// Client, relay and bunker in this process, between them websockets on loopback; policy and durable records on.
async fn of_keep(reached: Reached) -> Result<Bursts> {
    let place = Place::new()?;
    let (keep, key) = place.keep("bunker")?;
    let relay = relay().await?;
    let bunker = keep.bunker(Arc::new(Headless));
    let relays = vec![relay.url().clone()];
    let offer = Offer { relays, policy: Builtin::Full.policy(), limits: Limits::default() };
    let url = bunker.offer(&key, &offer)?.bunker_url;
    let options = BunkerOptions { limits: unbounded(), ..BunkerOptions::default() };
    let _serving = match reached {
        Reached::Elsewhere => bunker.serve(&key, options).await?,
        Reached::Embedded => {
            let local = Arc::new(relay.local(Bunker::inbox_limits()));
            bunker.serve_over(&key, local, options).await?
        }
    };
    bursts(&url, &relay).await
}

/// A relay on loopback.
pub async fn relay() -> Result<EmbeddedRelay> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Ok(EmbeddedRelay::bind(address, RelayOptions::default()).await?)
}

/// What a client of this process sees of the bunker at `url`, over a websocket.
async fn bursts(url: &str, relay: &EmbeddedRelay) -> Result<Bursts> {
    let pool = RelayPool::new(PoolOptions::default())?;
    pool.add(relay.url().clone(), RelayPolicy { allow_private: true });
    let pool: Arc<dyn Transport> = Arc::new(pool);
    let client = Arc::new(RemoteSigner::connect(&BunkerUri::parse(url)?, pool, "bench").await?);
    burst(&client, 4, 40).await?;
    let alone = burst(&client, 1, ALONE).await?;
    let together = burst(&client, IN_FLIGHT, TOGETHER).await?;
    Ok(Bursts { alone, together })
}

async fn burst(client: &Arc<RemoteSigner>, tasks: usize, count: usize) -> Result<Burst> {
    let (begin, begin_cpu) = (Instant::now(), process_time());
    let mut running = JoinSet::new();
    for task in 0..tasks {
        let client = Arc::clone(client);
        running.spawn(async move {
            let mut times = Vec::new();
            for number in (task..count).step_by(tasks) {
                let template = EventTemplate::new(1, "hello", Vec::new(), 1_700_000_000 + number as u64);
                let asked = Instant::now();
                client.sign_event(template).await?;
                times.push(asked.elapsed());
            }
            anyhow::Ok(times)
        });
    }
    let mut times = Vec::new();
    while let Some(done) = running.join_next().await {
        times.extend(done??);
    }
    ensure!(times.len() == count, "answers are missing");
    let share = u32::try_from(count)?;
    let cpu = process_time().saturating_sub(begin_cpu) / share;
    Ok(Burst { each: begin.elapsed() / share, p99: percentile(times.clone(), 99), p50: median(times), cpu })
}
