//! Clients that begin otherwise than with a fresh `bunker://` address.

use keep_nip46::client::{Paired, Pairing};
use keep_nip46::message::{Outcome, Reply};
use keep_nip46::{ClientMetadata, ConnectSecret, TransportKey, envelope};
use keep_sdk::{
    BunkerUri, ConnectTerms, ConnectedView, EmbeddedRelay, ErrorCode, Fault, Limits, Name, NostrConnectUri,
    Permissions, PoolOptions, RelayOptions, RelayPolicy, RelayPool, RemoteSigner, TokenTerms, Transport,
};
use nostr::Event;

use super::{World, raw};

/// A client that listens on `relay` and waits to be answered.
struct Asking {
    transport: TransportKey,
    inbox: keep_net::Subscription,
    _pool: RelayPool,
}

impl Asking {
    async fn at(relay: &EmbeddedRelay) -> Self {
        let transport = TransportKey::new(&RemoteSigner::fresh_key().unwrap()).unwrap();
        let pool = RelayPool::new(PoolOptions::default()).unwrap();
        pool.add(relay.url().clone(), RelayPolicy { allow_private: true });
        let filter = keep_net::Filter::new().kinds([nostr::Kind::NostrConnect]).to([*transport.public_key()]);
        let inbox = pool.subscribe(vec![filter], &keep_net::Relays::All);
        inbox.subscribed().await.unwrap();
        Self { transport, inbox, _pool: pool }
    }

    async fn answer(&self) -> Event {
        self.inbox.recv().await.unwrap().event.into_claim().unwrap()
    }
}

fn terms(uri: String) -> ConnectTerms {
    ConnectTerms {
        uri,
        without_secret: false,
        key: None,
        policy: "social".to_owned(),
        name: None,
        seconds: None,
        limits: Limits::default(),
    }
}

async fn connect(world: &World, terms: ConnectTerms) -> Result<ConnectedView, Fault> {
    let nip46 = world.keep.nip46();
    tokio::task::spawn_blocking(move || nip46.connect(terms)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_asks_for_a_signer_gets_one() {
    let world = World::new().await;
    let (_serving, _attendance) = world.serve().await;
    let asking = Asking::at(&world.relay).await;
    let secret = ConnectSecret::from_random(&[7; 24]);
    let metadata = ClientMetadata::new(Some("My Client"), Some("https://c.example"), None);
    let relays = vec![world.relay.url().clone()];
    let client = *asking.transport.public_key();
    let uri = NostrConnectUri::new(client, relays, &secret, Permissions::default(), metadata).unwrap();
    let view = connect(&world, terms(uri.to_string())).await.unwrap();
    assert!(view.serving);
    assert_eq!(view.claims.unwrap().as_str(), "My Client");
    let answer = asking.answer().await;
    let pairing = Pairing::new(&uri, asking.transport);
    assert!(matches!(pairing.receive(&answer), Paired::Done(_)), "the secret comes back");
    assert_eq!(world.keep.nip46().apps().unwrap().len(), 1);

    // A bunker that serves another key does not serve this one.
    world.keep.keys().generate(Name::new("other").unwrap()).unwrap();
    let of_other = ConnectTerms { key: Some("other".to_owned()), ..terms(uri.to_string()) };
    assert!(!connect(&world, of_other).await.unwrap().serving);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_a_secret_is_answered_ack_if_the_owner_wants_that() {
    let world = World::new().await;
    let (_serving, _attendance) = world.serve().await;
    let asking = Asking::at(&world.relay).await;
    // As rust-nostr before 0.45 writes it.
    let uri = format!(
        "nostrconnect://{}?metadata={{\"name\":\"C# tool\"}}&relay={}",
        asking.transport.public_key().to_hex(),
        world.relay.url()
    );
    let fault = connect(&world, terms(uri.clone())).await.unwrap_err();
    assert_eq!(fault.code(), ErrorCode::InvalidUri);
    assert!(fault.hint().contains("--without-secret"), "{fault}");
    assert!(world.keep.nip46().apps().unwrap().is_empty());

    let view = connect(&world, ConnectTerms { without_secret: true, ..terms(uri) }).await.unwrap();
    assert_eq!(view.claims.unwrap().as_str(), "C# tool");
    let answer = asking.answer().await;
    let opened = envelope::open(&answer, &asking.transport).unwrap().verify().unwrap();
    let Outcome::Success(result) = Reply::parse(opened.plaintext.expose()).unwrap().outcome else { panic!() };
    assert_eq!(result.expose(), "ack");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_does_not_go_where_an_application_wanted_to_be() {
    let world = World::new().await;
    let (_serving, _attendance) = world.serve().await;
    let ours = world.token("social");
    let theirs = EmbeddedRelay::bind(([127, 0, 0, 1], 0).into(), RelayOptions::default()).await.unwrap();
    let asking = Asking::at(&theirs).await;
    let client = asking.transport.public_key().to_hex();
    let uri = format!("nostrconnect://{client}?relay={}&secret=their-own-secret", theirs.url());
    assert_eq!(connect(&world, terms(uri)).await.unwrap().relays, [theirs.url().to_string()]);
    let terms = TokenTerms {
        key: None,
        policy: "social".to_owned(),
        name: None,
        uses: 1,
        seconds: None,
        relays: vec![],
        limits: Limits::default(),
    };
    let next = world.keep.nip46().create_token(terms).unwrap();
    let relays = |url: &str| BunkerUri::parse(url).unwrap().relays().to_vec();
    assert_eq!(relays(&next.bunker_url), relays(&ours.bunker_url));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_takes_the_bunker_for_the_user_is_told_so() {
    let world = World::new().await;
    let (_serving, _attendance) = world.serve().await;
    let token = world.token("social");
    let key = RemoteSigner::fresh_key().unwrap();
    world.client_as(&token, Some(&key)).await.unwrap();
    let named = |author: &str| {
        format!(r#"{{"kind":1,"content":"","tags":[],"created_at":1700000000,"pubkey":"{author}"}}"#)
    };
    let remote = BunkerUri::parse(&token.bunker_url).unwrap().remote().to_hex();
    let told = raw(&world, &token, &key, "sign_event", &[&named(&remote)]).await;
    assert!(told.contains("takes this bunker's key for the user's"), "{told}");
    let told = raw(&world, &token, &key, "sign_event", &[&named(&"ab".repeat(32))]).await;
    assert!(told.contains("another author"), "{told}");
}
