//! What the behaviour tests share.
#![allow(dead_code, missing_docs)]

use std::net::Ipv4Addr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use keep_net::{
    EmbeddedRelay, Filter, PoolOptions, Received, RelayOptions, RelayPolicy, RelayPool, RelayState, RelayUrl,
    Subscription, Transport,
};
use keep_types::{Event, Kind, PublicKey, Tag};
use nostr::{EventBuilder, Keys};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, accept_async, client_async};

/// Longer than anything here may take.
pub const LONG: Duration = Duration::from_secs(20);

/// Short time limits, so that tests of failures are quick.
pub fn quick() -> PoolOptions {
    PoolOptions {
        connect_timeout: Duration::from_millis(500),
        eose_timeout: Duration::from_millis(300),
        publish_timeout: Duration::from_millis(700),
        ping_after: Duration::from_millis(300),
        pong_timeout: Duration::from_millis(300),
        backoff_base: Duration::from_millis(20),
        backoff_cap: Duration::from_millis(100),
        ..PoolOptions::default()
    }
}

pub async fn relay_with(options: RelayOptions) -> EmbeddedRelay {
    EmbeddedRelay::bind((Ipv4Addr::LOCALHOST, 0).into(), options).await.unwrap()
}

pub async fn relay() -> EmbeddedRelay {
    relay_with(RelayOptions::default()).await
}

pub fn pool_with(options: PoolOptions, urls: &[&RelayUrl]) -> RelayPool {
    let pool = RelayPool::new(options).unwrap();
    for url in urls {
        assert!(pool.add((*url).clone(), RelayPolicy::OWNER));
    }
    pool
}

pub fn pool(relay: &EmbeddedRelay) -> RelayPool {
    pool_with(PoolOptions::default(), &[relay.url()])
}

/// A kind-24133 event to `to`.
pub fn note(keys: &Keys, to: &PublicKey, content: &str) -> Event {
    signed(keys, 24133, &to.to_hex(), content)
}

pub fn signed(keys: &Keys, kind: u16, p: &str, content: &str) -> Event {
    EventBuilder::new(Kind::from(kind), content)
        .tag(Tag::parse(["p", p]).unwrap())
        .allow_self_tagging()
        .sign_with_keys(keys)
        .unwrap()
}

/// Kind 24133 to `to`, as a bunker subscribes.
pub fn inbox_of(to: &PublicKey) -> Vec<Filter> {
    vec![Filter::new().kinds([Kind::from(24133)]).to([*to])]
}

pub async fn next(subscription: &Subscription) -> Received {
    timeout(LONG, subscription.recv()).await.expect("an event in time").expect("an open subscription")
}

/// The content of the next event, verified.
pub async fn content(subscription: &Subscription) -> String {
    next(subscription).await.event.verify().unwrap().content
}

pub async fn nothing(subscription: &Subscription, wait: Duration) {
    if let Ok(received) = timeout(wait, subscription.recv()).await {
        panic!("unexpected: {received:?}");
    }
}

/// Waits for a state of the only relay.
pub async fn until(pool: &dyn Transport, wanted: impl Fn(&RelayState) -> bool) {
    let mut changes = pool.status_changes();
    timeout(LONG, async {
        while !pool.status().iter().all(|status| wanted(&status.state)) {
            changes.changed().await.unwrap();
        }
    })
    .await
    .unwrap_or_else(|_| panic!("{:?}", pool.status()));
}

pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if holds() {
            return;
        }
        sleep(Duration::from_millis(5)).await;
    }
    panic!("never: {what}");
}

/// A client that speaks JSON by hand.
pub struct Raw(pub WebSocketStream<TcpStream>);

impl Raw {
    pub async fn connect(url: &RelayUrl) -> Self {
        Self::try_connect(url).await.unwrap()
    }

    pub async fn try_connect(url: &RelayUrl) -> Option<Self> {
        let address = url.as_str().trim_start_matches("ws://").to_owned();
        let stream = TcpStream::connect(address).await.ok()?;
        stream.set_nodelay(true).ok()?;
        Some(Self(client_async(url.as_str(), stream).await.ok()?.0))
    }

    /// As soon as the relay has a place.
    pub async fn wait_for_place(url: &RelayUrl) -> Self {
        timeout(LONG, async {
            loop {
                match Self::try_connect(url).await {
                    Some(raw) => return raw,
                    None => sleep(Duration::from_millis(20)).await,
                }
            }
        })
        .await
        .expect("a place in time")
    }

    pub async fn say(&mut self, text: impl Into<String>) {
        self.0.send(Message::text(text.into())).await.unwrap();
    }

    pub async fn hear(&mut self) -> serde_json::Value {
        loop {
            let message =
                timeout(LONG, self.0.next()).await.expect("an answer in time").expect("open").unwrap();
            if let Message::Text(text) = message {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    pub async fn ask(&mut self, text: impl Into<String>) -> serde_json::Value {
        self.say(text).await;
        self.hear().await
    }

    /// Whether the other side has ended the connection.
    pub async fn is_ended(&mut self) -> bool {
        loop {
            match timeout(LONG, self.0.next()).await.expect("an end in time") {
                None | Some(Err(_) | Ok(Message::Close(_))) => return true,
                Some(Ok(Message::Text(_))) => return false,
                Some(Ok(_)) => {}
            }
        }
    }
}

/// A relay that is played by the test.
pub struct Server {
    listener: TcpListener,
    pub url: RelayUrl,
}

impl Server {
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap()).parse().unwrap();
        Self { listener, url }
    }

    /// The next connection, before any handshake.
    pub async fn tcp(&self) -> TcpStream {
        let stream = timeout(LONG, self.listener.accept()).await.expect("a connection in time").unwrap().0;
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// The next connection, after the websocket handshake.
    pub async fn accept(&self) -> Raw {
        Raw(accept_async(self.tcp().await).await.unwrap())
    }
}
