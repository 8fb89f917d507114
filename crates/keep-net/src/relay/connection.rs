//! The task of one connection of the embedded relay.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::{Bytes, Message, Utf8Bytes};

use super::client::Client;
use super::hub::Hub;
use crate::mailbox::Mailbox;
use crate::wire::{Inbound, Wire, yield_turn};

/// Messages that are read before others get their turn: each may cost a verification, and the runtime looks at its
/// sockets only between turns.
const READS_PER_TURN: usize = 8;

/// Messages that may wait to be written before nothing more is read or forwarded to this client.
const MAX_UNWRITTEN: usize = 512;

/// How long a goodbye may take.
const FAREWELL: Duration = Duration::from_millis(500);

struct Connection {
    hub: Arc<Hub>,
    wire: Wire<TcpStream>,
    client: Client,
    mailbox: Arc<Mailbox<Utf8Bytes>>,
    last_heard: Instant,
    pinged: bool,
    blocked: Option<Instant>,
}

/// Serves a client until either side ends it.
pub(super) async fn serve(hub: Arc<Hub>, wire: Wire<TcpStream>) {
    let Some((id, mailbox)) = hub.join() else { return };
    let now = Instant::now();
    let client = Client::new(hub.clone(), id, now);
    let mut connection =
        Connection { hub, wire, client, mailbox, last_heard: now, pinged: false, blocked: None };
    let mut timer = pin!(sleep_until((now + Duration::from_secs(3600)).into()));
    poll_fn(|cx| connection.poll(timer.as_mut(), cx)).await;
    let _ = timeout(FAREWELL, connection.wire.close()).await;
}

impl Connection {
    /// One turn: read, then write all at once. Ready when the connection is to end.
    fn poll(&mut self, mut timer: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<()> {
        self.mailbox.register(cx);
        let now = Instant::now();
        if self.mailbox.is_closed() {
            return Poll::Ready(());
        }
        let Ok(more) = self.read(now, cx) else { return Poll::Ready(()) };
        if !self.is_alive(now) {
            return Poll::Ready(());
        }
        self.take_forwards();
        match self.wire.poll_send(cx, &mut self.client.out) {
            Poll::Ready(Err(_)) => return Poll::Ready(()),
            Poll::Ready(Ok(())) => self.blocked = None,
            Poll::Pending => self.blocked = self.blocked.or(Some(now)),
        }
        if more || (self.blocked.is_none() && !self.mailbox.is_empty()) {
            yield_turn(cx);
            return Poll::Pending;
        }
        timer.as_mut().reset(self.next_deadline().into());
        if timer.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Moves forwarded events to what is written next.
    fn take_forwards(&mut self) {
        if self.client.out.len() < MAX_UNWRITTEN {
            self.client.out.extend(self.mailbox.drain(MAX_UNWRITTEN).into_iter().map(Message::Text));
        }
    }

    /// Reads what is there, up to a limit. True if there may be more; an error ends the connection. A client that does
    /// not take our answers is not read from.
    fn read(&mut self, now: Instant, cx: &mut Context<'_>) -> Result<bool, ()> {
        for _ in 0..READS_PER_TURN {
            if self.blocked.is_some() && self.client.out.len() >= MAX_UNWRITTEN {
                return Ok(false);
            }
            match self.wire.poll_recv(cx) {
                Poll::Ready(Some(Ok(inbound))) => {
                    self.last_heard = now;
                    self.pinged = false;
                    if let Inbound::Text(text) = inbound {
                        self.client.receive(text.as_str(), now);
                    }
                }
                Poll::Ready(Some(Err(_)) | None) => return Err(()),
                Poll::Pending => return Ok(false),
            }
        }
        Ok(true)
    }

    fn is_alive(&mut self, now: Instant) -> bool {
        let options = &self.hub.options;
        let silence = now.saturating_duration_since(self.last_heard);
        let stuck =
            self.blocked.is_some_and(|since| now.saturating_duration_since(since) >= options.pong_timeout);
        if stuck || silence >= options.ping_after + options.pong_timeout {
            return false;
        }
        if silence >= options.ping_after && !self.pinged {
            self.pinged = true;
            self.client.out.push_back(Message::Ping(Bytes::new()));
        }
        true
    }

    fn next_deadline(&self) -> Instant {
        let options = &self.hub.options;
        let ping = self.last_heard + options.ping_after;
        let life = if self.pinged { ping + options.pong_timeout } else { ping };
        self.blocked.map_or(life, |since| life.min(since + options.pong_timeout))
    }
}
