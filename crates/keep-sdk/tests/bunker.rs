//! The bunker end to end: a client over a websocket to an embedded relay, and the bunker behind it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use keep_sdk::{
    Builtin, Bunker, BunkerOptions, BunkerUri, EmbeddedRelay, ErrorCode, EventTemplate, GrantTerms, Headless,
    Home, KdfCost, Keep, Limits, Name, Offer, Options, PoolOptions, RelayOptions, RelayPolicy, RelayPool,
    RemoteSigner, SecretText, Serving, Transport,
};

const NOW: u64 = 1_700_000_000;

fn passphrase() -> SecretText {
    SecretText::from("correct horse".to_owned())
}

fn options() -> Options {
    let cheap = KdfCost::Custom { memory_kib: 64, iterations: 1, lanes: 1 };
    Options::default().allow_weak_kdf().kdf_cost(cheap)
}

async fn relay() -> EmbeddedRelay {
    EmbeddedRelay::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), RelayOptions::default()).await.unwrap()
}

fn client_transport(relay: &EmbeddedRelay) -> Arc<dyn Transport> {
    let pool = RelayPool::new(PoolOptions::default()).unwrap();
    pool.add(relay.url().clone(), RelayPolicy { allow_private: true });
    Arc::new(pool)
}

fn offer(relay: &EmbeddedRelay, policy: Builtin) -> Offer {
    Offer { relays: vec![relay.url().clone()], policy: policy.policy(), limits: Default::default() }
}

fn bunker(keep: &Keep) -> Bunker {
    keep.bunker(Arc::new(Headless))
}

async fn serve(keep: &Keep, relay: &EmbeddedRelay, policy: Builtin) -> (BunkerUri, Serving) {
    let key = keep.keys().find(Some("main")).unwrap();
    let bunker = bunker(keep);
    let view = bunker.offer(&key, &offer(relay, policy)).unwrap();
    let serving = bunker.serve(&key, BunkerOptions::default()).await.unwrap();
    (BunkerUri::parse(&view.bunker_url).unwrap(), serving)
}

struct World {
    directory: tempfile::TempDir,
    keep: Keep,
    relay: EmbeddedRelay,
}

impl World {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path().join("vault")).unwrap();
        let keep = Keep::create(home, &passphrase(), &options()).unwrap();
        keep.keys().generate(Name::new("main").unwrap()).unwrap();
        Self { directory, keep, relay: relay().await }
    }

    fn reopen(&self) -> Keep {
        let home = Home::new(self.directory.path().join("vault")).unwrap();
        Keep::open(home, &passphrase(), &options()).unwrap()
    }
}

fn note(text: &str) -> EventTemplate {
    EventTemplate::new(1, text, vec![], NOW)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_connects_signs_and_is_recorded() {
    let world = World::new().await;
    let (uri, serving) = serve(&world.keep, &world.relay, Builtin::Social).await;
    let client = RemoteSigner::connect(&uri, client_transport(&world.relay), "test app").await.unwrap();
    let key = world.keep.keys().find(None).unwrap();
    assert_eq!(client.public_key().to_hex(), key.pubkey);
    assert_ne!(uri.remote().to_hex(), key.pubkey, "the URL does not name the identity");
    let event = client.sign_event(note("hello")).await.unwrap();
    assert!(event.verify().is_ok());
    client.ping().await.unwrap();
    serving.stop().await.unwrap();
    let log = world.keep.audit().list(10).unwrap();
    let last = log.last().unwrap();
    assert_eq!(
        (last.action.as_str(), last.outcome.as_str(), last.origin.as_str()),
        ("sign_event", "allowed", "nip46")
    );
    assert_eq!(last.subject.as_deref(), Some(event.id.to_hex().as_str()));
    world.keep.audit().verify().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_policy_does_not_cover_is_answered_with_an_error() {
    let world = World::new().await;
    let (uri, _serving) = serve(&world.keep, &world.relay, Builtin::Social).await;
    let client = RemoteSigner::connect(&uri, client_transport(&world.relay), "app").await.unwrap();
    let error = client.sign_event(EventTemplate::new(0, "{}", vec![], NOW)).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Peer);
    assert!(error.message().contains("approval_unavailable"), "{error}");
    // The connection goes on.
    client.sign_event(note("still here")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_is_for_one_client() {
    let world = World::new().await;
    let (uri, _serving) = serve(&world.keep, &world.relay, Builtin::Social).await;
    let transport = client_transport(&world.relay);
    let first = RemoteSigner::connect(&uri, transport.clone(), "first").await.unwrap();
    let error = RemoteSigner::connect(&uri, transport, "second").await.unwrap_err();
    assert!(error.message().contains("invalid_secret"), "{error}");
    first.ping().await.unwrap();
    // A new offer has a new URL, an untaken one keeps its URL.
    let key = world.keep.keys().find(None).unwrap();
    let make = |policy| bunker(&world.keep).offer(&key, &offer(&world.relay, policy)).unwrap().bunker_url;
    let fresh = make(Builtin::Social);
    assert_ne!(fresh, uri.to_string());
    assert_eq!(make(Builtin::Social), fresh);
    assert_ne!(make(Builtin::Full), fresh);
}

/// A client that the bunker knows does not take leave because it is refused for a time.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_refused_for_a_time_stays_known() {
    let world = World::new().await;
    let (uri, _serving) = serve(&world.keep, &world.relay, Builtin::Social).await;
    let key = RemoteSigner::fresh_key().unwrap();
    let connect = || RemoteSigner::connect_as(&uri, client_transport(&world.relay), "agent", Some(&key));
    connect().await.unwrap().sign_event(note("before")).await.unwrap();
    let suspend = |suspended: bool| {
        let terms = GrantTerms {
            client: world.keep.nip46().apps().unwrap().remove(0).npub,
            key: None,
            name: None,
            permitted: None,
            duration: None,
            unlimited: false,
            limits: Limits::default(),
            suspended: Some(suspended),
        };
        world.keep.nip46().grant(terms).unwrap();
    };
    suspend(true);
    let error = connect().await.unwrap_err();
    assert!(error.message().contains("suspended"), "{error}");
    suspend(false);
    connect().await.unwrap().sign_event(note("after")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_go_on_after_the_bunker_comes_back() {
    let world = World::new().await;
    let (uri, serving) = serve(&world.keep, &world.relay, Builtin::Social).await;
    let client = RemoteSigner::connect(&uri, client_transport(&world.relay), "app").await.unwrap();
    client.sign_event(note("before")).await.unwrap();
    drop(serving);
    let again = world.reopen();
    let key = again.keys().find(None).unwrap();
    let _serving = bunker(&again).serve(&key, BunkerOptions::default()).await.unwrap();
    client.sign_event(note("after")).await.unwrap();
}

/// What was accepted for a key that is gone by now is given up, once; the rest waits for whoever serves it.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_can_answer_any_more_is_given_up() {
    let world = World::new().await;
    world.keep.keys().generate(Name::new("other").unwrap()).unwrap();
    let (uri, serving) = serve(&world.keep, &world.relay, Builtin::Social).await;
    let client = RemoteSigner::connect(&uri, client_transport(&world.relay), "app").await.unwrap();
    client.sign_event(note("before")).await.unwrap();
    // Not stopped: that its answers left is written nowhere.
    drop(serving);
    let given_up = |keep: &Keep| {
        let entries = keep.audit().list(100).unwrap();
        entries.into_iter().filter(|entry| entry.outcome == "abandoned").count()
    };
    let serve_other = async |keep: &Keep| {
        let other = keep.keys().find(Some("other")).unwrap();
        let serving = bunker(keep).serve(&other, BunkerOptions::default()).await.unwrap();
        // Its last commit comes after whatever it began with.
        serving.stop().await.unwrap();
    };
    let again = world.reopen();
    serve_other(&again).await;
    assert_eq!(given_up(&again), 0, "another process may serve the key");
    again.keys().delete(&again.keys().find(Some("main")).unwrap()).unwrap();
    serve_other(&again).await;
    let number = given_up(&again);
    assert!(number > 0, "nothing was given up");
    serve_other(&again).await;
    serve_other(&again).await;
    assert_eq!(given_up(&again), number, "given up once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_is_answered_in_full() {
    let world = World::new().await;
    let (uri, serving) = serve(&world.keep, &world.relay, Builtin::Social).await;
    let client = Arc::new(RemoteSigner::connect(&uri, client_transport(&world.relay), "app").await.unwrap());
    let tasks: Vec<_> = (0..200)
        .map(|n| {
            let client = Arc::clone(&client);
            tokio::spawn(async move { client.sign_event(note(&format!("note {n}"))).await.map(|e| e.id) })
        })
        .collect();
    let mut ids = std::collections::HashSet::new();
    for task in tasks {
        ids.insert(task.await.unwrap().unwrap());
    }
    assert_eq!(ids.len(), 200);
    serving.stop().await.unwrap();
    let report = world.keep.audit().verify().unwrap();
    assert!(report.entries >= 203);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_vault_can_be_managed_while_it_serves() {
    let world = World::new().await;
    let (uri, _serving) = serve(&world.keep, &world.relay, Builtin::Social).await;
    let client = RemoteSigner::connect(&uri, client_transport(&world.relay), "app").await.unwrap();
    let other = world.reopen();
    for n in 0..5 {
        other.keys().generate(Name::new(&format!("key {n}")).unwrap()).unwrap();
        client.sign_event(note("between")).await.unwrap();
        other.audit().verify().unwrap();
    }
    assert_eq!(other.keys().list().unwrap().len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_wants_authentication_gets_the_transport_key() {
    let world = World::new().await;
    let options = RelayOptions { require_auth: true, ..RelayOptions::default() };
    let relay = EmbeddedRelay::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), options).await.unwrap();
    let key = world.keep.keys().find(None).unwrap();
    let bunker = bunker(&world.keep);
    bunker.offer(&key, &offer(&relay, Builtin::Social)).unwrap();
    let serving = bunker.serve(&key, BunkerOptions::default()).await.unwrap();
    let connected = tokio::time::timeout(Duration::from_secs(5), async {
        while serving.relays().iter().any(|relay| relay.state != keep_sdk::RelayState::Connected) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    connected.await.expect("the bunker authenticates");
}
