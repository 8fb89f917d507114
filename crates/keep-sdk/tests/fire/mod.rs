//! A client that does not give up, and what must hold of everything that it was ever told.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use keep_net::{Filter, Relays, Subscription, Transport};
use keep_nip46::envelope::{self, Seal};
use keep_nip46::message::{CallId, Outcome, Reply, write_call};
use keep_nip46::{BunkerUri, TransportKey};
use keep_sdk::{PublicKey, RemoteSigner, Scheme, Timestamp};
use nostr::JsonUtil;

/// How often a client asks the same before the test fails.
const MOST_TRIES: usize = 2_000;

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::getrandom(&mut bytes).unwrap();
    bytes
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_secs(since.as_secs())
}

/// A client that asks again, in a new event, until it is answered; and keeps every answer that it ever gets.
pub struct Client {
    transport: TransportKey,
    remote: PublicKey,
    network: Arc<dyn Transport>,
    inbox: Subscription,
    answers: BTreeMap<String, BTreeSet<String>>,
    /// How long it waits before it asks again.
    pub patience: Duration,
}

impl Client {
    pub fn new(uri: &BunkerUri, network: Arc<dyn Transport>) -> Self {
        let transport = TransportKey::new(&RemoteSigner::fresh_key().unwrap()).unwrap();
        let filter = Filter::new().kinds([nostr::Kind::NostrConnect]).to([*transport.public_key()]);
        let inbox = network.subscribe(vec![filter], &Relays::All);
        Self {
            transport,
            remote: *uri.remote(),
            network,
            inbox,
            answers: BTreeMap::new(),
            patience: Duration::from_millis(60),
        }
    }

    fn send(&self, id: &CallId, method: &str, params: &[&str]) {
        let seal = Seal {
            to: self.remote,
            scheme: Scheme::Nip44,
            created_at: now(),
            nonce: random(),
            aux_rand: random(),
        };
        let text = write_call(id, method, params);
        let event = envelope::seal(&self.transport, text.expose(), &seal).unwrap();
        let _ = self.network.publish(&event, &Relays::All);
    }

    fn take(&mut self, event: keep_net::Received) {
        let Ok(event) = event.event.into_claim() else { return };
        let Ok(opened) = envelope::open(&event, &self.transport) else { return };
        // What was changed on the way is no answer.
        let Ok(message) = opened.verify() else { return };
        let reply = Reply::parse(message.plaintext.expose()).unwrap();
        let said = match reply.outcome {
            Outcome::Success(text) => text.expose().to_owned(),
            Outcome::Failure(text) => format!("error {text}"),
            Outcome::Challenge(text) => format!("challenge {text}"),
        };
        self.answers.entry(reply.id.to_text()).or_default().insert(said);
    }

    async fn ask(&mut self, id: &CallId, method: &str, params: &[&str]) {
        for _ in 0..MOST_TRIES {
            self.send(id, method, params);
            let until = tokio::time::Instant::now() + self.patience;
            while let Ok(Some(received)) = tokio::time::timeout_at(until, self.inbox.recv()).await {
                self.take(received);
                if self.answers.contains_key(&id.to_text()) {
                    return;
                }
            }
        }
        panic!("a request was never answered");
    }

    /// Connects, and has so many events signed, one after the other.
    pub async fn work(mut self, secret: String, requests: usize, done: Arc<AtomicUsize>) -> Self {
        let remote = self.remote.to_hex();
        self.ask(&CallId::from_random(&random()), "connect", &[&remote, &secret]).await;
        for number in 0..requests {
            let content = format!("{} {number}", self.transport.public_key().to_hex());
            let event = format!(r#"{{"kind":1,"content":"{content}","tags":[],"created_at":1700000000}}"#);
            self.ask(&CallId::from_random(&random()), "sign_event", &[&event]).await;
            done.fetch_add(1, Ordering::Relaxed);
        }
        self
    }
}

/// Every answer that ever came: one result for each request, and it is the event that was asked for.
pub fn check(clients: &mut [Client], requests: usize) {
    for client in clients {
        while let Some(received) = client.inbox.try_recv() {
            client.take(received);
        }
        assert_eq!(client.answers.len(), requests + 1);
        for (id, results) in &client.answers {
            assert_eq!(results.len(), 1, "{id} has two results: {results:?}");
            let result = results.first().unwrap();
            if result != "ack" {
                nostr::Event::from_json(result).expect(result).verify().unwrap();
            }
        }
    }
}
