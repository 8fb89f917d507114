//! A bunker inside your own program: a relay in the process, an approver that decides by a rule of its own, and a client.
//!
//! `KEEP_PASSWORD=… cargo run -p keep-examples --bin own_bunker -- /full/path/of/a/vault`
#![allow(clippy::print_stdout, reason = "a program that shows what it does")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use keep_sdk::{
    Approver, Builtin, Bunker, BunkerOptions, BunkerUri, Decision, EmbeddedRelay, EventTemplate, Fault, Home,
    Keep, Offer, Options, PoolOptions, Prompt, RelayOptions, RelayPolicy, RelayPool, RemoteSigner, Reply,
    SecretText,
};

/// Approves changes of the profile (kind 0), and nothing else that policy asks about.
struct ProfilesOnly;

impl Approver for ProfilesOnly {
    fn available(&self) -> bool {
        true
    }

    fn ask(&self, prompt: Prompt, reply: Reply) {
        let is_profile = prompt.kind.is_some_and(|kind| kind.as_u16() == 0);
        reply.decide(if is_profile { Decision::Approve } else { Decision::Decline });
    }
}

#[tokio::main]
async fn main() -> Result<(), Fault> {
    let directory = std::env::args_os().nth(1).unwrap_or_default();
    let passphrase = SecretText::new(std::env::var("KEEP_PASSWORD").unwrap_or_default());
    let keep = Keep::open(Home::new(directory)?, &passphrase, &Options::default())?;
    let key = keep.keys().find(None)?;

    let relay =
        EmbeddedRelay::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), RelayOptions::default()).await?;
    let bunker = keep.bunker(Arc::new(ProfilesOnly));
    let offer = Offer {
        relays: vec![relay.url().clone()],
        policy: Builtin::Social.policy(),
        limits: Default::default(),
    };
    let address = bunker.offer(&key, &offer)?.bunker_url;
    let transport = Arc::new(relay.local(Bunker::inbox_limits()));
    let serving = bunker.serve_over(&key, transport, BunkerOptions::default()).await?;

    // Any NIP-46 client would do; this one comes with the library.
    let pool = RelayPool::new(PoolOptions::default())?;
    pool.add(relay.url().clone(), RelayPolicy { allow_private: true });
    let client = RemoteSigner::connect(&BunkerUri::parse(&address)?, Arc::new(pool), "example").await?;
    for kind in [1, 0, 3] {
        let template = EventTemplate::new(kind, "{}", vec![], 1_700_000_000);
        match client.sign_event(template).await {
            Ok(event) => println!("kind {kind}: signed {}", event.id),
            Err(fault) => println!("kind {kind}: {fault}"),
        }
    }
    serving.stop().await?;
    relay.shutdown().await;
    Ok(())
}
