//! 10,000 junk events while a client is served.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::*;
use futures_util::{SinkExt, StreamExt};
use keep_net::{RelayPool, RelayUrl, Relays, Subscription, Transport};
use keep_types::{Event, PublicKey};
use nostr::{JsonUtil, Keys};
use tokio_tungstenite::tungstenite::Message;

const JUNK: usize = 10_000;

/// Valid events by as many strangers, addressed to `to`.
fn junk(to: &PublicKey) -> Vec<Event> {
    (0..JUNK).map(|i| note(&Keys::generate(), to, &format!("junk {i}"))).collect()
}

async fn pour(url: RelayUrl, events: Vec<Event>) {
    let (mut sink, mut stream) = Raw::connect(&url).await.0.split();
    let reader = tokio::spawn(async move {
        let mut answers = 0;
        while answers < JUNK && stream.next().await.is_some_and(|message| message.is_ok()) {
            answers += 1;
        }
        answers
    });
    for batch in events.chunks(100) {
        for event in batch {
            sink.feed(Message::text(format!("[\"EVENT\",{}]", event.as_json()))).await.unwrap();
        }
        sink.flush().await.unwrap();
    }
    assert_eq!(reader.await.unwrap(), JUNK, "the relay answers every one of them");
}

/// Answers every request of `client`, and looks at the rest only as far as cheap checks go.
async fn bunker(pool: Arc<RelayPool>, inbox: Arc<Subscription>, me: Keys, client: PublicKey) {
    while let Some(received) = inbox.recv().await {
        if received.event.author() != client {
            continue;
        }
        let request = received.event.verify().unwrap();
        drop(pool.publish(&note(&me, &client, &request.content), &Relays::All));
    }
}

async fn round_trip(
    pool: &RelayPool,
    answers: &Subscription,
    keys: &Keys,
    to: &PublicKey,
    text: &str,
) -> Duration {
    let begun = Instant::now();
    drop(pool.publish(&note(keys, to, text), &Relays::All));
    loop {
        if content(answers).await == text {
            return begun.elapsed();
        }
    }
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or("VmRSS: 0 kB");
    line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_neither_ends_a_loop_nor_keeps_a_client_waiting_nor_grows_memory() {
    let relay = relay().await;
    let (me, client) = (Keys::generate(), Keys::generate());
    let (bunker_pool, client_pool) = (Arc::new(pool(&relay)), pool(&relay));
    let inbox = Arc::new(bunker_pool.subscribe(inbox_of(&me.public_key()), &Relays::All));
    inbox.prefer([client.public_key()]);
    let answers = client_pool.subscribe(inbox_of(&client.public_key()), &Relays::All);
    inbox.subscribed().await.unwrap();
    answers.subscribed().await.unwrap();
    let serving = tokio::spawn(bunker(bunker_pool.clone(), inbox.clone(), me.clone(), client.public_key()));

    let mut quiet = Vec::new();
    for i in 0..100 {
        quiet.push(round_trip(&client_pool, &answers, &client, &me.public_key(), &format!("q{i}")).await);
    }
    let events = junk(&me.public_key());
    let before = resident_kib();
    let flood = tokio::spawn(pour(relay.url().clone(), events));
    let mut loud = Vec::new();
    let mut i = 0;
    while !flood.is_finished() {
        loud.push(round_trip(&client_pool, &answers, &client, &me.public_key(), &format!("l{i}")).await);
        i += 1;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    flood.await.unwrap();
    let grown = resident_kib().saturating_sub(before);
    round_trip(&client_pool, &answers, &client, &me.public_key(), "afterwards").await;
    assert!(!serving.is_finished(), "the loop goes on");
    quiet.sort();
    loud.sort();
    let (median, worst) = (loud[loud.len() / 2], loud[loud.len() - 1]);
    println!(
        "quiet p50 {:?}; during the flood {} round trips, p50 {median:?}, worst {worst:?}; dropped {} at the relay, \
         {} at the inbox; memory +{grown} KiB",
        quiet[quiet.len() / 2],
        loud.len(),
        relay.dropped(),
        inbox.dropped(),
    );
    assert!(worst < Duration::from_secs(2), "{worst:?}");
    assert!(median < Duration::from_millis(100), "{median:?}");
    assert!(grown < 96 * 1024, "{grown} KiB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_never_reads_loses_events_and_costs_bounded_memory() {
    let relay = relay().await;
    let me = Keys::generate();
    let receiver = pool(&relay);
    let inbox = receiver.subscribe(inbox_of(&me.public_key()), &Relays::All);
    inbox.subscribed().await.unwrap();
    pour(relay.url().clone(), junk(&me.public_key())).await;
    eventually("everything has arrived or was dropped", || {
        receiver.status()[0].received + relay.dropped() == JUNK as u64
    })
    .await;
    let kept = std::iter::from_fn(|| inbox.try_recv()).count() as u64;
    assert_eq!(kept + inbox.dropped(), receiver.status()[0].received);
    assert!(kept <= 2048 && inbox.dropped() > 0);
}
