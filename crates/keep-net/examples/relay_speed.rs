//! How fast the embedded relay and the pool are on this machine: `cargo run --release --example relay_speed`.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keep_net::{
    EmbeddedRelay, Filter, InboxLimits, PoolOptions, RawEvent, RelayOptions, RelayPolicy, RelayPool, Relays,
    Subscription, Transport,
};
use keep_types::{Event, Kind, PublicKey, Tag};
use nostr::{EventBuilder, JsonUtil, Keys};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const HOPS: usize = 2_000;
const BURST: usize = 20_000;

fn message(keys: &Keys, to: &PublicKey, i: usize) -> Result<Event> {
    // About as large as a NIP-46 request. Signatures are random, so no two events are copies of each other.
    let content = format!("{i:08}{}", "A".repeat(392));
    let tag = Tag::parse(["p", &to.to_hex()])?;
    Ok(EventBuilder::new(Kind::from(24133), content).tag(tag).sign_with_keys(keys)?)
}

fn messages(count: usize, keys: &Keys, to: &PublicKey) -> Result<Vec<Event>> {
    (0..count).map(|i| message(keys, to, i)).collect()
}

fn pool(relay: &EmbeddedRelay) -> Result<RelayPool> {
    let inbox = InboxLimits { others: BURST, bytes: 256 << 20, ..InboxLimits::default() };
    let options = PoolOptions { inbox, max_queued: BURST, max_unanswered: BURST, ..PoolOptions::default() };
    let pool = RelayPool::new(options)?;
    pool.add(relay.url().clone(), RelayPolicy::OWNER);
    Ok(pool)
}

async fn inbox(transport: &dyn Transport, to: &PublicKey) -> Result<Subscription> {
    let inbox = transport.subscribe(vec![Filter::new().kinds([Kind::from(24133)]).to([*to])], &Relays::All);
    inbox.subscribed().await?;
    Ok(inbox)
}

fn percentiles(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default();
    println!("{what:<58} p50 {:>9.1?}  p99 {:>9.1?}", at(50), at(99));
}

/// Publish to receive, one at a time.
async fn one_by_one(what: &str, from: &dyn Transport, to: &Subscription, events: &[Event]) -> Result<()> {
    let mut times = Vec::with_capacity(events.len());
    for event in events {
        let begun = Instant::now();
        drop(from.publish(event, &Relays::All));
        to.recv().await.ok_or("closed")?;
        times.push(begun.elapsed());
    }
    percentiles(what, times);
    Ok(())
}

/// The processor time of this process so far (Linux; else zero).
fn processor() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks =
        after_name.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<u64>().ok()).sum::<u64>();
    Duration::from_millis(ticks * 10)
}

/// All at once.
async fn burst(what: &str, from: &dyn Transport, to: &Subscription, events: &[Event]) -> Result<()> {
    let (begun, processor_before) = (Instant::now(), processor());
    for event in events {
        drop(from.publish(event, &Relays::All));
    }
    for _ in events {
        to.recv().await.ok_or("closed")?;
    }
    let per_event = begun.elapsed() / u32::try_from(events.len())?;
    let used = (processor() - processor_before) / u32::try_from(events.len())?;
    let rate = 1.0 / per_event.as_secs_f64();
    println!("{what:<58} {per_event:>9.1?} an event, {rate:.0} events/s, {used:.1?} of processor time each");
    Ok(())
}

async fn there_and_back(relay: &EmbeddedRelay) -> Result<()> {
    let (client, bunker) = (Keys::generate(), Keys::generate());
    let (at_client, at_bunker) = (pool(relay)?, Arc::new(pool(relay)?));
    let requests = inbox(&*at_bunker, &bunker.public_key()).await?;
    let answers = inbox(&at_client, &client.public_key()).await?;
    let replies = messages(HOPS, &bunker, &client.public_key())?;
    let serving = tokio::spawn(async move {
        for reply in &replies {
            requests.recv().await;
            drop(at_bunker.publish(reply, &Relays::All));
        }
    });
    let mut times = Vec::with_capacity(HOPS);
    for request in messages(HOPS, &client, &bunker.public_key())? {
        let begun = Instant::now();
        drop(at_client.publish(&request, &Relays::All));
        answers.recv().await.ok_or("closed")?;
        times.push(begun.elapsed());
    }
    serving.await?;
    percentiles("request and answer, four connections' hops", times);
    Ok(())
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let relay = EmbeddedRelay::bind((Ipv4Addr::LOCALHOST, 0).into(), RelayOptions::default()).await?;
    let (alice, bob) = (Keys::generate(), Keys::generate());
    let events = messages(HOPS, &alice, &bob.public_key())?;

    let jsons: Vec<_> = events.iter().map(|event| event.as_json()).collect();
    let begun = Instant::now();
    let raw: Vec<_> = jsons.iter().filter_map(|json| RawEvent::from_json(json, 1 << 20).ok()).collect();
    println!("{:<58} {:>9.1?}", "parse an event", begun.elapsed() / u32::try_from(raw.len())?);
    let begun = Instant::now();
    let verified = raw.into_iter().filter_map(|event| event.verify().ok()).count();
    println!("{:<58} {:>9.1?}", "verify it (id and signature)", begun.elapsed() / u32::try_from(verified)?);

    let (sender, receiver) = (pool(&relay)?, pool(&relay)?);
    let to = inbox(&receiver, &bob.public_key()).await?;
    one_by_one("warm-up", &sender, &to, &events).await?;
    let events = messages(HOPS, &alice, &bob.public_key())?;
    one_by_one("publish to receive over the relay", &sender, &to, &events).await?;
    there_and_back(&relay).await?;
    let many = messages(BURST, &alice, &bob.public_key())?;
    burst("burst over the relay, verified once", &sender, &to, &many).await?;
    drop(to);

    let local = relay.local(InboxLimits { others: BURST, bytes: 256 << 20, ..InboxLimits::default() });
    let to = inbox(&local, &bob.public_key()).await?;
    let again = messages(HOPS, &alice, &bob.public_key())?;
    one_by_one("publish to receive in the relay's own process", &sender, &to, &again).await?;
    let many = messages(BURST, &alice, &bob.public_key())?;
    burst("burst into the relay's own process", &sender, &to, &many).await?;
    drop(to);

    let to = inbox(&receiver, &bob.public_key()).await?;
    let many = messages(BURST, &alice, &bob.public_key())?;
    burst("burst out of the relay's own process (no verification)", &local, &to, &many).await?;
    Ok(())
}
