//! Exactly once under fire: many clients over a relay that drops, repeats, reorders and changes what it carries, and a
//! bunker that is cut off and started again in the middle. Every request is answered, none with two different results,
//! every use is counted once, and the log verifies.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use keep_net::testing::{Faults, MemoryNetwork};
use keep_net::{Filter, Relays, Subscription, Transport};
use keep_nip46::envelope::{self, Seal};
use keep_nip46::message::{CallId, Outcome, Reply, write_call};
use keep_nip46::server::{Limits as ServerLimits, Rate};
use keep_nip46::{BunkerUri, TransportKey};
use keep_sdk::{
    BunkerOptions, Headless, Home, KdfCost, Keep, Limits, Name, Options, PublicKey, RemoteSigner, Scheme,
    SecretText, Serving, Timestamp, TokenTerms,
};
use nostr::JsonUtil;

const CLIENTS: usize = 10;
const RESTARTS: usize = 5;

/// Requests of each client: enough to meet every weather; the long form is for the soak.
fn requests() -> usize {
    if std::env::var_os("KEEP_SOAK").is_some() { 1_000 } else { 200 }
}

fn options() -> Options {
    let cheap = KdfCost::Custom { memory_kib: 64, iterations: 1, lanes: 1 };
    Options::default().allow_weak_kdf().kdf_cost(cheap)
}

fn passphrase() -> SecretText {
    SecretText::from("correct horse".to_owned())
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::getrandom(&mut bytes).unwrap();
    bytes
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_secs(since.as_secs())
}

async fn serve(keep: &Keep, network: &MemoryNetwork) -> Serving {
    let key = keep.keys().find(None).unwrap();
    let rate = Rate { per_second: 1 << 20, burst: 1 << 30 };
    let limits = ServerLimits { client: rate, strangers: rate, refusals: rate, ..ServerLimits::default() };
    let options = BunkerOptions { limits, ..BunkerOptions::default() };
    keep.bunker(Arc::new(Headless)).serve_over(&key, Arc::new(network.transport()), options).await.unwrap()
}

/// A client that asks again, in a new event, until it is answered; and keeps every answer that it ever gets.
struct Client {
    transport: TransportKey,
    remote: PublicKey,
    network: Arc<dyn Transport>,
    inbox: Subscription,
    answers: BTreeMap<String, BTreeSet<String>>,
}

impl Client {
    fn new(uri: &BunkerUri, network: &MemoryNetwork) -> Self {
        let transport = TransportKey::new(&RemoteSigner::fresh_key().unwrap()).unwrap();
        let filter = Filter::new().kinds([nostr::Kind::NostrConnect]).to([*transport.public_key()]);
        let network: Arc<dyn Transport> = Arc::new(network.transport());
        let inbox = network.subscribe(vec![filter], &Relays::All);
        Self { transport, remote: *uri.remote(), network, inbox, answers: BTreeMap::new() }
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
        for _ in 0..2_000 {
            self.send(id, method, params);
            let until = tokio::time::Instant::now() + Duration::from_millis(60);
            while let Ok(Some(received)) = tokio::time::timeout_at(until, self.inbox.recv()).await {
                self.take(received);
                if self.answers.contains_key(&id.to_text()) {
                    return;
                }
            }
        }
        panic!("a request was never answered");
    }

    async fn work(mut self, secret: String, done: Arc<AtomicUsize>) -> Self {
        let remote = self.remote.to_hex();
        self.ask(&CallId::from_random(&random()), "connect", &[&remote, &secret]).await;
        for number in 0..requests() {
            let content = format!("{} {number}", self.transport.public_key().to_hex());
            let event = format!(r#"{{"kind":1,"content":"{content}","tags":[],"created_at":1700000000}}"#);
            self.ask(&CallId::from_random(&random()), "sign_event", &[&event]).await;
            done.fetch_add(1, Ordering::Relaxed);
        }
        self
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_request_is_decided_once_and_answered_alike() {
    let directory = tempfile::tempdir().unwrap();
    let home = || Home::new(directory.path().join("vault")).unwrap();
    let mut keep = Keep::create(home(), &passphrase(), &options()).unwrap();
    keep.keys().generate(Name::new("main").unwrap()).unwrap();
    let weather = Faults { drop: 100, duplicate: 120, reorder: 150, delay: 40, corrupt: 20, no_answer: 100 };
    let network = MemoryNetwork::new(42, weather).unwrap();
    let terms = TokenTerms {
        key: None,
        policy: "full".to_owned(),
        name: None,
        uses: u32::try_from(CLIENTS).unwrap(),
        seconds: None,
        relays: vec![network.transport().status()[0].relay.clone()],
        limits: Limits::default(),
    };
    let token = keep.nip46().create_token(terms).unwrap();
    let uri = BunkerUri::parse(&token.bunker_url).unwrap();
    let secret = uri.secret().unwrap().to_owned();
    let done = Arc::new(AtomicUsize::new(0));
    let mut serving = serve(&keep, &network).await;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| tokio::spawn(Client::new(&uri, &network).work(secret.clone(), Arc::clone(&done))))
        .collect();
    let total = CLIENTS * requests();
    for restart in 1..=RESTARTS {
        while done.load(Ordering::Relaxed) < total * restart / (RESTARTS + 1) {
            tokio::time::sleep(Duration::from_millis(5)).await;
            network.advance(1);
        }
        // Cut off in the middle: nothing is written down, nobody is told.
        drop(serving);
        drop(keep);
        tokio::time::sleep(Duration::from_millis(100)).await;
        keep = Keep::open(home(), &passphrase(), &options()).unwrap();
        serving = serve(&keep, &network).await;
    }
    let mut finished = Vec::new();
    for client in clients {
        finished.push(client.await.unwrap());
    }
    network.set_faults(Faults::default());
    network.settle();
    tokio::time::sleep(Duration::from_secs(1)).await;
    check(&mut finished);
    serving.stop().await.unwrap();
    let apps = keep.nip46().apps().unwrap();
    assert_eq!(apps.len(), CLIENTS);
    for app in apps {
        assert_eq!(app.uses, requests() as u64, "every use is counted once");
    }
    let signed = keep.audit().list(1_000_000).unwrap();
    let signed =
        signed.iter().filter(|entry| entry.action == "sign_event" && entry.outcome == "allowed").count();
    assert_eq!(signed, total, "every signature is recorded once");
    keep.audit().verify().unwrap();
    let tally = network.tally();
    assert!(tally.dropped > 100 && tally.duplicated > 100 && tally.corrupted > 10, "{tally:?}");
}

/// Every answer that ever came: one result for each request, and it is the event that was asked for.
fn check(clients: &mut [Client]) {
    for client in clients {
        while let Some(received) = client.inbox.try_recv() {
            client.take(received);
        }
        assert_eq!(client.answers.len(), requests() + 1);
        for (id, results) in &client.answers {
            assert_eq!(results.len(), 1, "{id} has two results: {results:?}");
            let result = results.first().unwrap();
            if result != "ack" {
                nostr::Event::from_json(result).expect(result).verify().unwrap();
            }
        }
    }
}
