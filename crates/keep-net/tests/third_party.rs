//! The pool against a relay that is not ours: run with `KEEP_TEST_RELAY=ws://… cargo test -- --ignored`.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod common;

use std::time::{Duration, Instant};

use common::*;
use keep_net::{Filter, Outcome, PoolOptions, RelayUrl, Relays, Transport};
use keep_types::{Clock, Kind, SystemClock};
use nostr::Keys;

#[tokio::test]
#[ignore = "run by the interop suite, which starts the relay"]
async fn another_relay_serves_the_pool() {
    let url: RelayUrl = std::env::var("KEEP_TEST_RELAY").expect("KEEP_TEST_RELAY").parse().unwrap();
    let (alice, bob) = (Keys::generate(), Keys::generate());
    let (sender, receiver) =
        (pool_with(PoolOptions::default(), &[&url]), pool_with(PoolOptions::default(), &[&url]));
    let inbox = receiver.subscribe(inbox_of(&bob.public_key()), &Relays::All);
    let begun = Instant::now();
    inbox.subscribed().await.unwrap();
    println!("subscribed after {:?}", begun.elapsed());

    let mut trips = Vec::new();
    for i in 0..50 {
        let event = note(&alice, &bob.public_key(), &i.to_string());
        let begun = Instant::now();
        let publication = sender.publish(&event, &Relays::All);
        assert_eq!(next(&inbox).await.event.verify().unwrap(), event);
        trips.push(begun.elapsed());
        let outcome = publication.reports().await.remove(0).outcome;
        assert!(matches!(outcome, Outcome::Accepted | Outcome::NoAnswer), "{outcome:?}");
        if i == 0 {
            println!("an ephemeral event: {outcome:?}");
        }
    }
    trips.sort();
    println!("publish to receive: p50 {:?}, worst {:?}", trips[25], trips[49]);

    // A change of subscription, with only new events wanted.
    let now = SystemClock.now().minus(Duration::from_secs(60));
    inbox.update(vec![
        Filter::new()
            .kinds([Kind::from(24133)])
            .to([bob.public_key(), alice.public_key()])
            .since(now)
            .limit(0),
    ]);
    let begun = Instant::now();
    inbox.subscribed().await.unwrap();
    println!("changed after {:?}", begun.elapsed());
    drop(sender.publish(&note(&bob, &alice.public_key(), "to the new one"), &Relays::All));
    while content(&inbox).await != "to the new one" {}

    let stored = signed(&alice, 1, &bob.public_key().to_hex(), "stored");
    sender.publish(&stored, &Relays::All).accepted().await.unwrap();
    let history = receiver
        .subscribe(vec![Filter::new().authors([alice.public_key()]).kinds([Kind::from(1)])], &Relays::All);
    let received = next(&history).await;
    assert_eq!((received.event.verify().unwrap(), received.stored), (stored, true));
    println!("{:?}", receiver.status());
}
