//! A proxy before any relay that loses, repeats, reorders, delays and disconnects.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{Sink, SinkExt, Stream, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{accept_async, client_async};

use crate::rng::SplitMix;

/// How long a reordered message waits for another to overtake it.
const OVERTAKE: Duration = Duration::from_millis(50);

/// What happens to messages in both directions, as probabilities in a thousand. Only `EVENT` messages are lost,
/// repeated and reordered: a relay may do that to events, while TCP keeps the rest in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProxyFaults {
    /// Lost.
    pub drop: u16,
    /// Sent twice.
    pub duplicate: u16,
    /// Sent after the next one.
    pub reorder: u16,
    /// The connection ends at this message, which is lost.
    pub disconnect: u16,
    /// Each message waits up to so long; order is kept.
    pub max_delay: Duration,
}

/// A websocket proxy with faults. Listens on a free port of 127.0.0.1 until it is dropped.
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    upstream: SocketAddr,
    faults: Mutex<ProxyFaults>,
    refusing: AtomicBool,
    /// Raised to cut all connections.
    cut: watch::Sender<u64>,
    connections: AtomicU64,
    seed: u64,
}

impl FaultProxy {
    /// A proxy before the relay at `upstream` (plain `ws`). Connections and directions have sequences of their own,
    /// drawn from `seed`.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(upstream: SocketAddr, seed: u64, faults: ProxyFaults) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            upstream,
            faults: Mutex::new(faults),
            refusing: AtomicBool::new(false),
            cut: watch::Sender::new(0),
            connections: AtomicU64::new(0),
            seed,
        });
        let task = tokio::spawn(accept(listener, shared.clone()));
        Ok(Self { address, shared, task })
    }

    /// The address to give to clients.
    pub fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// Changes the weather from now on.
    pub fn set_faults(&self, faults: ProxyFaults) {
        *self.shared.faults.lock().unwrap_or_else(PoisonError::into_inner) = faults;
    }

    /// Ends all present connections at once, without a goodbye.
    pub fn cut(&self) {
        self.shared.cut.send_modify(|n| *n += 1);
    }

    /// Whether new connections are refused.
    pub fn refuse(&self, refuse: bool) {
        self.shared.refusing.store(refuse, Ordering::Relaxed);
    }

    /// How many connections were made so far.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
        self.cut();
    }
}

impl fmt::Debug for FaultProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultProxy({})", self.address)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        if shared.refusing.load(Ordering::Relaxed) {
            continue;
        }
        let number = shared.connections.fetch_add(1, Ordering::Relaxed);
        let shared = shared.clone();
        tokio::spawn(async move {
            let mut cut = shared.cut.subscribe();
            let relay = std::pin::pin!(relay(client, &shared, number));
            let cut = std::pin::pin!(cut.changed());
            futures_util::future::select(relay, cut).await;
        });
    }
}

async fn relay(client: TcpStream, shared: &Shared, number: u64) -> Option<()> {
    client.set_nodelay(true).ok()?;
    let server = TcpStream::connect(shared.upstream).await.ok()?;
    server.set_nodelay(true).ok()?;
    let client = accept_async(client).await.ok()?;
    let (server, _) = client_async(format!("ws://{}", shared.upstream), server).await.ok()?;
    let ((to_client, from_client), (to_server, from_server)) = (client.split(), server.split());
    let up = Pump::new(shared, 2 * number);
    let down = Pump::new(shared, 2 * number + 1);
    // The first direction that ends takes the other with it.
    let up = std::pin::pin!(up.run(from_client, to_server));
    let down = std::pin::pin!(down.run(from_server, to_client));
    futures_util::future::select(up, down).await;
    Some(())
}

/// One direction of one connection.
struct Pump<'a> {
    shared: &'a Shared,
    rng: SplitMix,
    held: Option<Message>,
}

impl<'a> Pump<'a> {
    fn new(shared: &'a Shared, number: u64) -> Self {
        let seed = shared.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self { shared, rng: SplitMix::seeded(seed), held: None }
    }

    async fn run<R, W, E>(mut self, mut from: R, mut to: W)
    where
        R: Stream<Item = Result<Message, E>> + Unpin,
        W: Sink<Message> + Unpin,
    {
        loop {
            let wait = if self.held.is_some() { OVERTAKE } else { Duration::from_secs(86_400) };
            let next = match timeout(wait, from.next()).await {
                Ok(Some(Ok(Message::Close(_)) | Err(_)) | None) => return,
                Ok(Some(Ok(message))) => self.pass(message).await,
                Err(_) => Some(self.held.take().into_iter().collect()),
            };
            let Some(messages) = next else { return };
            for message in messages {
                if to.send(message).await.is_err() {
                    return;
                }
            }
        }
    }

    /// What is to be sent now; `None` to end the connection.
    async fn pass(&mut self, message: Message) -> Option<Vec<Message>> {
        let faults = *self.shared.faults.lock().unwrap_or_else(PoisonError::into_inner);
        if !faults.max_delay.is_zero() {
            let micros = u64::try_from(faults.max_delay.as_micros()).unwrap_or(u64::MAX);
            sleep(Duration::from_micros(self.rng.below(micros))).await;
        }
        if self.rng.chance(faults.disconnect) {
            return None;
        }
        let is_event = matches!(&message, Message::Text(text) if text.starts_with("[\"EVENT\""));
        if !is_event {
            return Some(vec![message]);
        }
        if self.rng.chance(faults.drop) {
            return Some(Vec::new());
        }
        let mut messages = vec![message.clone()];
        if self.rng.chance(faults.duplicate) {
            messages.push(message);
        }
        if let Some(held) = self.held.take() {
            messages.push(held);
        } else if self.rng.chance(faults.reorder) {
            self.held = messages.pop();
        }
        Some(messages)
    }
}
