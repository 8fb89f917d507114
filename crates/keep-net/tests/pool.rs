//! The pool against real relays: delivery, several relays, loss and return.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use common::*;
use keep_net::testing::{FaultProxy, ProxyFaults};
use keep_net::{
    EmbeddedRelay, Filter, NetError, Outcome, PoolOptions, RelayOptions, RelayPolicy, RelayPool, RelayState,
    RelayUrl, Relays, Transport,
};
use keep_types::{ErrorCode, Fault, Kind};
use nostr::{JsonUtil, Keys};

#[tokio::test]
async fn what_one_publishes_the_other_receives() {
    let (relay, alice, bob) = (relay().await, Keys::generate(), Keys::generate());
    let (a, b) = (pool(&relay), pool(&relay));
    let inbox = b.subscribe(inbox_of(&bob.public_key()), &Relays::All);
    assert_eq!(inbox.subscribed().await.unwrap(), [relay.url().clone()]);
    let event = note(&alice, &bob.public_key(), "hello");
    assert_eq!(a.publish(&event, &Relays::All).accepted().await.unwrap(), *relay.url());
    let received = next(&inbox).await;
    assert_eq!((&received.relay, received.stored), (relay.url(), false));
    assert_eq!(received.event.verify().unwrap(), event);
    let status = b.status().remove(0);
    assert_eq!((status.state, status.received, status.connections), (RelayState::Connected, 1, 1));
}

#[tokio::test]
async fn a_relay_that_is_down_is_named_and_does_not_hold_up_the_others() {
    let (relay, keys) = (relay().await, Keys::generate());
    let down: RelayUrl = "ws://127.0.0.1:1".parse().unwrap();
    let alone = pool_with(quick(), &[&down]);
    let inbox = alone.subscribe(inbox_of(&keys.public_key()), &Relays::All);
    let error = inbox.subscribed().await.unwrap_err();
    assert!(error.to_string().contains("ws://127.0.0.1:1: connection refused"), "{error}");
    assert_eq!(Fault::from(error).code(), ErrorCode::RelayUnreachable);
    let event = note(&keys, &keys.public_key(), "x");
    let error = alone.publish(&event, &Relays::All).accepted().await.unwrap_err();
    assert!(matches!(error, NetError::Unreachable { .. }));

    let both = pool_with(quick(), &[&down, relay.url()]);
    let inbox = both.subscribe(inbox_of(&keys.public_key()), &Relays::All);
    assert_eq!(inbox.subscribed().await.unwrap(), [relay.url().clone()]);
    let reports = both.publish(&event, &Relays::All).reports().await;
    let outcomes: Vec<_> = reports.iter().map(|r| (r.relay.as_str(), &r.outcome)).collect();
    assert!(outcomes.contains(&(relay.url().as_str(), &Outcome::Accepted)), "{outcomes:?}");
    assert!(
        outcomes.contains(&(down.as_str(), &Outcome::NotSent("connection refused".into()))),
        "{outcomes:?}"
    );
    let none = pool_with(quick(), &[]);
    let error = none.subscribe(vec![Filter::new()], &Relays::All).subscribed().await.unwrap_err();
    assert_eq!(error, NetError::NoRelay);
}

#[tokio::test]
async fn relays_named_by_others_cannot_lead_into_the_private_network() {
    let relay = relay().await;
    let port = relay.address().port();
    for text in [
        format!("ws://127.0.0.1:{port}"),
        format!("ws://localhost:{port}"),
        format!("ws://[::ffff:127.0.0.1]:{port}"),
    ] {
        let pool = RelayPool::new(quick()).unwrap();
        pool.add(text.parse().unwrap(), RelayPolicy::STRANGER);
        let error = pool.subscribe(vec![Filter::new()], &Relays::All).subscribed().await.unwrap_err();
        assert!(error.to_string().contains("private network"), "{text}: {error}");
    }
}

#[test]
fn without_a_runtime_there_is_an_error() {
    assert_eq!(RelayPool::new(PoolOptions::default()).unwrap_err(), NetError::NoRuntime);
}

#[tokio::test]
async fn subscriptions_change_while_connected() {
    let (relay, client) = (relay().await, Keys::generate());
    let (first, second) = (Keys::generate().public_key(), Keys::generate().public_key());
    let pool = pool(&relay);
    let inbox = pool.subscribe(inbox_of(&first), &Relays::All);
    inbox.subscribed().await.unwrap();
    inbox.update(vec![Filter::new().kinds([Kind::from(24133)]).to([first, second])]);
    inbox.subscribed().await.unwrap();
    for to in [first, second] {
        pool.publish(&note(&client, &to, &to.to_hex()), &Relays::All).accepted().await.unwrap();
        assert_eq!(content(&inbox).await, to.to_hex());
    }
    inbox.update(inbox_of(&second));
    inbox.subscribed().await.unwrap();
    // The old request is closed only after the new one is live; wait until the relay has seen that.
    tokio::time::sleep(Duration::from_millis(50)).await;
    pool.publish(&note(&client, &first, "no longer wanted"), &Relays::All).accepted().await.unwrap();
    pool.publish(&note(&client, &second, "wanted"), &Relays::All).accepted().await.unwrap();
    assert_eq!(content(&inbox).await, "wanted");
    drop(inbox);
    let other = pool.subscribe(inbox_of(&second), &Relays::All);
    other.subscribed().await.unwrap();
    pool.publish(&note(&client, &second, "to the other"), &Relays::All).accepted().await.unwrap();
    assert_eq!(content(&other).await, "to the other");
}

#[tokio::test]
async fn nothing_is_missed_or_doubled_while_a_subscription_changes() {
    let (relay, client, me) = (relay().await, Keys::generate(), Keys::generate().public_key());
    let (sender, receiver) = (pool(&relay), pool(&relay));
    let inbox = receiver.subscribe(inbox_of(&me), &Relays::All);
    inbox.subscribed().await.unwrap();
    for i in 0..200 {
        if i % 10 == 0 {
            let extra = Keys::generate().public_key();
            inbox.update(vec![Filter::new().kinds([Kind::from(24133)]).to([me, extra])]);
        }
        sender.publish(&note(&client, &me, &i.to_string()), &Relays::All).accepted().await.unwrap();
    }
    let mut got = Vec::new();
    for _ in 0..200 {
        got.push(content(&inbox).await.parse::<u32>().unwrap());
    }
    got.sort_unstable();
    assert_eq!(got, (0..200).collect::<Vec<_>>());
    nothing(&inbox, Duration::from_millis(100)).await;
}

#[tokio::test]
async fn copies_from_several_relays_arrive_once() {
    let (one, two, alice) = (relay().await, relay().await, Keys::generate());
    let sender = pool_with(PoolOptions::default(), &[one.url(), two.url()]);
    let receiver = pool_with(PoolOptions::default(), &[one.url(), two.url()]);
    let me = Keys::generate().public_key();
    let inbox = receiver.subscribe(inbox_of(&me), &Relays::All);
    assert_eq!(inbox.subscribed().await.unwrap().len(), 2);
    for i in 0..50 {
        let publication = sender.publish(&note(&alice, &me, &i.to_string()), &Relays::All);
        assert!(publication.reports().await.iter().all(|report| report.outcome == Outcome::Accepted));
    }
    let got: BTreeSet<_> = {
        let mut got = BTreeSet::new();
        for _ in 0..50 {
            got.insert(content(&inbox).await);
        }
        got
    };
    assert_eq!(got.len(), 50);
    nothing(&inbox, Duration::from_millis(100)).await;
    let received: u64 = receiver.status().iter().map(|status| status.received).sum();
    assert_eq!(received, 100);
}

#[tokio::test]
async fn relays_can_be_chosen_added_and_removed() {
    let (one, two, alice) = (relay().await, relay().await, Keys::generate());
    let me = Keys::generate().public_key();
    let receiver = pool(&one);
    let inbox = receiver.subscribe(inbox_of(&me), &Relays::All);
    inbox.subscribed().await.unwrap();
    assert!(receiver.add(two.url().clone(), RelayPolicy::OWNER));
    assert!(!receiver.add(two.url().clone(), RelayPolicy::OWNER));
    assert_eq!(inbox.subscribed().await.unwrap().len(), 2);

    let sender = pool_with(PoolOptions::default(), &[one.url(), two.url()]);
    let only_two = Relays::from(two.url().clone());
    let reports = sender.publish(&note(&alice, &me, "two"), &only_two).reports().await;
    assert_eq!(reports.len(), 1);
    assert_eq!(next(&inbox).await.relay, *two.url());

    assert!(receiver.remove(two.url()) && !receiver.remove(two.url()));
    assert_eq!(inbox.subscribed().await.unwrap(), [one.url().clone()]);
    sender.publish(&note(&alice, &me, "unheard"), &only_two).accepted().await.unwrap();
    sender.publish(&note(&alice, &me, "heard"), &one.url().clone().into()).accepted().await.unwrap();
    assert_eq!(content(&inbox).await, "heard");
    let error = receiver.publish(&note(&alice, &me, "x"), &only_two).accepted().await.unwrap_err();
    assert!(matches!(error, NetError::Unreachable { .. }));
}

#[tokio::test]
async fn a_killed_relay_is_found_again_and_waiting_events_are_sent() {
    let (relay, alice, me) = (relay().await, Keys::generate(), Keys::generate().public_key());
    let address = relay.address();
    let options = PoolOptions { publish_timeout: LONG, ..quick() };
    let (sender, receiver) = (pool_with(options.clone(), &[relay.url()]), pool_with(options, &[relay.url()]));
    let inbox = receiver.subscribe(inbox_of(&me), &Relays::All);
    inbox.subscribed().await.unwrap();
    relay.shutdown().await;
    until(&receiver, |state| matches!(state, RelayState::Failed { .. })).await;
    until(&sender, |state| matches!(state, RelayState::Failed { .. })).await;
    inbox.update(inbox_of(&me));
    assert!(matches!(inbox.subscribed().await, Err(NetError::Unreachable { .. })));
    let waiting = sender.publish(&note(&alice, &me, "from the outage"), &Relays::All);

    // The receiver first, since the event is of an ephemeral kind.
    let again = EmbeddedRelay::bind(address, RelayOptions { require_auth: false, ..RelayOptions::default() })
        .await
        .unwrap();
    until(&receiver, |state| *state == RelayState::Connected).await;
    assert_eq!(waiting.accepted().await.unwrap(), *again.url());
    inbox.subscribed().await.unwrap();
    sender.publish(&note(&alice, &me, "afterwards"), &Relays::All).accepted().await.unwrap();
    loop {
        if content(&inbox).await == "afterwards" {
            break;
        }
    }
    assert!(receiver.status()[0].connections >= 2);
}

#[tokio::test]
async fn what_was_stored_during_a_gap_is_caught_up_with() {
    let (relay, alice) = (relay().await, Keys::generate());
    let proxy = FaultProxy::start(relay.address(), 1, ProxyFaults::default()).await.unwrap();
    let url: RelayUrl = proxy.url().parse().unwrap();
    let receiver = pool_with(quick(), &[&url]);
    // Only new events at first; after a gap, what happened in it.
    let inbox = receiver.subscribe(vec![Filter::new().kinds([Kind::from(1)]).limit(0)], &Relays::All);
    let direct = pool(&relay);
    direct.publish(&signed(&alice, 1, "x", "long before"), &Relays::All).accepted().await.unwrap();
    inbox.subscribed().await.unwrap();
    direct.publish(&signed(&alice, 1, "x", "before"), &Relays::All).accepted().await.unwrap();
    assert_eq!(content(&inbox).await, "before");
    proxy.refuse(true);
    proxy.cut();
    until(&receiver, |state| matches!(state, RelayState::Failed { .. })).await;
    direct.publish(&signed(&alice, 1, "x", "meanwhile"), &Relays::All).accepted().await.unwrap();
    proxy.refuse(false);
    let received = next(&inbox).await;
    // The overlap brings what lies shortly before the gap, except what was delivered already.
    let mut caught = vec![(received.event.content().to_owned(), received.stored)];
    let received = next(&inbox).await;
    caught.push((received.event.content().to_owned(), received.stored));
    caught.sort();
    assert_eq!(caught, [("long before".to_owned(), true), ("meanwhile".to_owned(), true)]);
    nothing(&inbox, Duration::from_millis(100)).await;
}

#[tokio::test]
async fn shutdown_writes_what_is_queued_and_ends_subscriptions() {
    let (relay, alice) = (relay().await, Keys::generate());
    let sender = pool(&relay);
    let inbox = sender.subscribe(vec![Filter::new().kinds([Kind::from(2)])], &Relays::All);
    inbox.subscribed().await.unwrap();
    let events: Vec<_> = (0..1000).map(|i| signed(&alice, 1, "x", &i.to_string())).collect();
    for event in &events {
        drop(sender.publish(event, &Relays::All));
    }
    sender.shutdown().await;
    assert_eq!(inbox.recv().await, None);
    assert_eq!(inbox.subscribed().await.unwrap_err(), NetError::Closed);
    assert_eq!(sender.publish(&events[0], &Relays::All).accepted().await.unwrap_err(), NetError::NoRelay);
    let reader = pool(&relay);
    let all = reader.subscribe(vec![Filter::new().kinds([Kind::from(1)]).limit(1000)], &Relays::All);
    let mut got = BTreeSet::new();
    for _ in 0..1000 {
        got.insert(next(&all).await.event.id());
    }
    assert_eq!(got.len(), 1000);
}

#[tokio::test]
async fn a_relay_that_is_away_cannot_make_memory_grow() {
    let keys = Keys::generate();
    let down: RelayUrl = "ws://127.0.0.1:1".parse().unwrap();
    let options = PoolOptions { max_queued: 100, max_unanswered: 100, ..quick() };
    let pool = pool_with(options, &[&down]);
    let event = |i: u32| note(&keys, &keys.public_key(), &i.to_string());
    let publications: Vec<_> = (0..1000).map(|i| pool.publish(&event(i), &Relays::All)).collect();
    let mut not_sent = 0;
    for publication in &publications[..800] {
        let outcome = publication.reports().await.remove(0).outcome;
        assert!(matches!(outcome, Outcome::NotSent(_)));
        not_sent += 1;
    }
    assert_eq!(not_sent, 800);
    pool.shutdown().await;
    for publication in publications {
        assert!(matches!(publication.reports().await.remove(0).outcome, Outcome::NotSent(_)));
    }
}

#[tokio::test]
async fn bad_weather_delays_but_loses_nothing_that_is_repeated() {
    let (relay, alice, me) = (relay().await, Keys::generate(), Keys::generate().public_key());
    let faults = ProxyFaults {
        drop: 50,
        duplicate: 50,
        reorder: 100,
        disconnect: 10,
        max_delay: Duration::from_micros(500),
    };
    let front = FaultProxy::start(relay.address(), 42, faults).await.unwrap();
    let back = FaultProxy::start(relay.address(), 43, faults).await.unwrap();
    let options = || PoolOptions { publish_timeout: Duration::from_millis(200), ..quick() };
    let sender = pool_with(options(), &[&front.url().parse().unwrap()]);
    let receiver = pool_with(options(), &[&back.url().parse().unwrap()]);
    // A stored kind, so that what comes while the receiver is away waits for it.
    let inbox = receiver.subscribe(vec![Filter::new().kinds([Kind::from(4)]).limit(500)], &Relays::All);
    let events: Vec<_> = (0..150).map(|i| signed(&alice, 4, &me.to_hex(), &i.to_string())).collect();
    for event in &events {
        while sender.publish(event, &Relays::All).accepted().await.is_err() {}
    }
    let mut missing: BTreeSet<_> = events.iter().map(|event| event.id).collect();
    while !missing.is_empty() {
        match tokio::time::timeout(Duration::from_millis(500), inbox.recv()).await {
            Ok(received) => {
                let event = received.unwrap().event.verify().unwrap();
                assert!(event.as_json().contains(&alice.public_key().to_hex()));
                missing.remove(&event.id);
            }
            // Lost between relay and receiver: a new connection asks again for what is stored.
            Err(_) => back.cut(),
        }
    }
    assert!(front.connections() > 1 && back.connections() > 1);
}
