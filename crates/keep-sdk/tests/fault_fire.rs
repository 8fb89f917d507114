//! Exactly once under fire: many clients over a relay that drops, repeats, reorders and changes what it carries, and a
//! bunker that is cut off and started again in the middle. Every request is answered, none with two different results,
//! every use is counted once, and the log verifies.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod fire;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fire::{Client, check};
use keep_net::Transport;
use keep_net::testing::{Faults, MemoryNetwork};
use keep_nip46::BunkerUri;
use keep_nip46::server::{Limits as ServerLimits, Rate};
use keep_sdk::{
    BunkerOptions, Headless, Home, KdfCost, Keep, Limits, Name, Options, SecretText, Serving, TokenTerms,
};

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

async fn serve(keep: &Keep, network: &MemoryNetwork) -> Serving {
    let key = keep.keys().find(None).unwrap();
    let rate = Rate { per_second: 1 << 20, burst: 1 << 30 };
    let limits = ServerLimits { client: rate, strangers: rate, refusals: rate, ..ServerLimits::default() };
    let options = BunkerOptions { limits, ..BunkerOptions::default() };
    keep.bunker(Arc::new(Headless)).serve_over(&key, Arc::new(network.transport()), options).await.unwrap()
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
        .map(|_| {
            tokio::spawn(Client::new(&uri, Arc::new(network.transport())).work(
                secret.clone(),
                requests(),
                Arc::clone(&done),
            ))
        })
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
    check(&mut finished, requests());
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
