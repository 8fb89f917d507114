//! Many requests at once through the pipeline, on a real disk: the owner's, and those of a client, whose repeats must be
//! known as such and whose uses are counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use keep_signer::Repeatable;
use keep_store::SqliteStore;
use keep_types::{Clock as _, EventTemplate, Intent, Origin, PublicKey, Request, RequestId, SystemClock};
use tokio::task::JoinSet;

use super::fixture::{Connected, Place};
use crate::measure::{median, process_time};
use crate::table::{Quantity, Row};

/// Requests that wait at the same time.
const IN_FLIGHT: u64 = 32;
/// Requests of each of them in one round.
const EACH: u64 = 20;
/// Requests in a round that has one at a time.
const ALONE: u64 = 40;
const ROUNDS: usize = 9;

pub fn rows() -> Result<Vec<Row>> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(measure())
}

/// What one round took, for each request.
struct Round {
    wall: Duration,
    cpu: Duration,
    commits: f64,
}

async fn measure() -> Result<Vec<Row>> {
    let place = Place::new()?;
    let store = Arc::new(SqliteStore::create(place.path("flight")?.join("keep.db"))?);
    let client = PublicKey::from_byte_array([3; 32]);
    let world = Arc::new(Connected::new(store, client).await?);
    let of_client = Origin::Nip46 { client, endpoint: world.endpoint.id };
    let mut rows = compare(&world, Origin::Cli, "the owner's").await?;
    rows.extend(compare(&world, of_client, "a client's").await?);
    Ok(rows)
}

/// The same requests one at a time and together, in turns.
async fn compare(world: &Arc<Connected>, origin: Origin, whose: &str) -> Result<Vec<Row>> {
    let (mut alone, mut together) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push(round(world, origin, 1, ALONE).await?);
        together.push(round(world, origin, IN_FLIGHT, EACH).await?);
    }
    let wall = |rounds: &[Round]| median(rounds.iter().map(|round| round.wall).collect());
    let cpu = |rounds: &[Round]| median(rounds.iter().map(|round| round.cpu).collect());
    let commits = together.iter().map(|round| round.commits).sum::<f64>() / ROUNDS as f64;
    let rate = |time: Duration| Quantity::Rate(1.0 / time.as_secs_f64());
    let many = format!("{whose} signatures with {IN_FLIGHT} in flight");
    Ok(vec![
        Row::new(many, rate(wall(&together)), "one at a time", rate(wall(&alone))),
        Row::new("  CPU of each", cpu(&together), "one at a time", cpu(&alone)),
        Row::new("  commits (syncs) of each", Quantity::Count(commits), "the goal", Quantity::Count(0.2)),
    ])
}

async fn round(world: &Arc<Connected>, origin: Origin, tasks: u64, each: u64) -> Result<Round> {
    let before = world.commits()?;
    let (begin, begin_cpu) = (Instant::now(), process_time());
    let mut running = JoinSet::new();
    for _ in 0..tasks {
        let world = Arc::clone(world);
        running.spawn(async move {
            for _ in 0..each {
                let (request, repeat) = request(&world, origin)?;
                world.signer.handle(request, repeat).await.map_err(|error| anyhow!("{error}"))?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = running.join_next().await {
        done??;
    }
    let (wall, cpu) = (begin.elapsed(), process_time().saturating_sub(begin_cpu));
    let count = tasks * each;
    let share = u32::try_from(count)?;
    let commits = (world.commits()? - before) as f64 / count as f64;
    Ok(Round { wall: wall / share, cpu: cpu / share, commits })
}

/// A request of its own, and what makes a client's repeatable.
fn request(world: &Connected, origin: Origin) -> Result<(Request, Option<Repeatable>)> {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let mut id = [0; 32];
    id[..8].copy_from_slice(&number.to_be_bytes());
    let template = EventTemplate::new(1, "hello", Vec::new(), 1_700_000_000 + number);
    let intent = Intent::SignEvent(template.into_unsigned(world.key.nostr_key())?);
    let id = RequestId::from_bytes(id);
    let request = Request { id, origin, key: world.key.id, intent, asked_at: SystemClock.now() };
    let fingerprint = Some(hex::encode(id.as_bytes()));
    let repeat = Repeatable { received: vec![7; 400], fingerprint };
    Ok((request, (origin != Origin::Cli).then_some(repeat)))
}
