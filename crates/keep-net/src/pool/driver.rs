//! The task of one relay: connects, serves the connection, waits, connects again.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use keep_types::{DisplayText, Event};
use tokio::time::{Sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::Inner;
use super::relay::Relay;
use super::session::Session;
use crate::backoff::Backoff;
use crate::dial::{Socket, dial};
use crate::rng::SplitMix;
use crate::subscription::Stage;
use crate::wire::{Inbound, Wire, describe, yield_turn};
use crate::{AuthChallenge, RelayState};

/// Messages that are read before others get their turn on this thread.
const READS_PER_TURN: usize = 64;

/// Events that are taken from the mailbox while so many messages wait to be written.
const MAX_UNWRITTEN: usize = 256;

/// A connection that lasted so long was a good one: the back-off starts anew.
const STABLE_AFTER: Duration = Duration::from_secs(10);

/// How long a closing connection may take to write what is queued, and then to say goodbye.
const FAREWELL: Duration = Duration::from_secs(1);

/// When nothing else is due.
const FAR: Duration = Duration::from_secs(3600);

/// Why a connection ended.
enum Ended {
    Shutdown,
    Lost(DisplayText),
}

pub(super) struct Driver {
    inner: Arc<Inner>,
    relay: Arc<Relay>,
    session: Session,
    backoff: Backoff,
    rng: SplitMix,
    /// The version of the wanted feeds that was last acted on.
    version: u64,
    /// Why there is no connection; `None` before the first attempt has ended.
    failure: Option<DisplayText>,
}

/// The state of one connection that does not belong to the protocol.
struct Link {
    wire: Wire<Socket>,
    last_heard: Instant,
    pinged: bool,
    /// Since when the relay does not take what we write.
    blocked: Option<Instant>,
    closing: Option<Instant>,
    signing: Option<(AuthChallenge, BoxFuture<'static, Vec<Event>>)>,
}

impl Driver {
    pub fn new(inner: Arc<Inner>, relay: Arc<Relay>) -> Self {
        Self {
            session: Session::new(relay.clone(), inner.options.clone()),
            backoff: Backoff::new(inner.options.backoff_base, inner.options.backoff_cap),
            rng: SplitMix::from_system(),
            version: 0,
            failure: None,
            inner,
            relay,
        }
    }

    pub async fn run(mut self) {
        loop {
            self.set_state(RelayState::Connecting);
            let options = self.inner.options.clone();
            let (relay, tls) = (self.relay.clone(), self.inner.tls.clone());
            let attempt = timeout(options.connect_timeout, async move {
                dial(&relay.url, relay.policy, &tls, options.max_message).await
            });
            let Some(result) = self.meanwhile(attempt).await else { break };
            let reason = match result {
                Ok(Ok(wire)) => match self.serve(wire).await {
                    Ended::Shutdown => break,
                    Ended::Lost(reason) => reason,
                },
                Ok(Err(reason)) => DisplayText::truncated(&reason, 200),
                Err(_) => "no answer".into(),
            };
            self.failed(reason);
            let wait = self.backoff.next(&mut self.rng);
            if self.meanwhile(tokio::time::sleep(wait)).await.is_none() {
                break;
            }
        }
        let reason = "the connection to the relays has been shut down".into();
        self.session.outstanding.finish(&reason);
        self.set_state(RelayState::Failed { reason });
    }

    fn set_state(&self, state: RelayState) {
        // While attempts fail one after the other the reason is more telling than "connecting".
        if state == RelayState::Connecting && self.failure.is_some() {
            return;
        }
        if self.relay.set_state(state) {
            self.inner.bump_status();
        }
    }

    fn failed(&mut self, reason: DisplayText) {
        self.failure = Some(reason.clone());
        self.set_state(RelayState::Failed { reason });
        self.tell_feeds();
    }

    /// Tells all feeds why this relay does not serve them.
    fn tell_feeds(&mut self) {
        self.version = self.relay.jobs.version();
        if let Some(reason) = &self.failure {
            for feed in self.inner.feeds() {
                feed.stage_now(&self.relay.url, Stage::Failed(reason.clone()));
            }
        }
    }

    /// Waits for `future` while there is no connection; `None` when the pool shuts down. Published events that come
    /// meanwhile are kept until their time is over.
    async fn meanwhile<F: Future>(&mut self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        let mut timer = pin!(sleep_until((Instant::now() + FAR).into()));
        poll_fn(|cx| {
            self.relay.jobs.register(cx);
            if self.relay.jobs.is_closed() {
                return Poll::Ready(None);
            }
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            if self.relay.jobs.version() != self.version {
                self.tell_feeds();
            }
            for job in self.relay.jobs.drain(usize::MAX) {
                self.session.submit(job);
            }
            let pending = "not connected".into();
            self.session.tick(Instant::now(), self.failure.as_ref().unwrap_or(&pending));
            if let Some(due) = self.session.next_deadline() {
                wait_until(timer.as_mut(), due, cx);
            }
            Poll::Pending
        })
        .await
    }

    async fn serve(&mut self, wire: Wire<Socket>) -> Ended {
        let begun = Instant::now();
        self.relay.connections.fetch_add(1, Ordering::Relaxed);
        self.failure = None;
        self.session.opened();
        self.version = 0;
        self.set_state(RelayState::Connected);
        let mut link =
            Link { wire, last_heard: begun, pinged: false, blocked: None, closing: None, signing: None };
        let mut timer = pin!(sleep_until((begun + FAR).into()));

        let ended = poll_fn(|cx| self.poll_link(&mut link, timer.as_mut(), cx)).await;
        let silence = link.last_heard.elapsed();
        let reason = match &ended {
            Ended::Lost(reason) => reason.clone(),
            Ended::Shutdown => {
                let _ = timeout(FAREWELL, link.wire.close()).await;
                "shut down".into()
            }
        };
        if begun.elapsed() >= STABLE_AFTER {
            self.backoff.reset();
        }
        self.session.lost(&reason, self.inner.options.clock.now().minus(silence));
        ended
    }

    /// One turn: read, act, then write all at once.
    fn poll_link(&mut self, link: &mut Link, timer: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<Ended> {
        self.relay.jobs.register(cx);
        let now = Instant::now();
        let more = match self.read(link, now, cx) {
            Ok(more) => more,
            Err(reason) => return Poll::Ready(Ended::Lost(reason)),
        };
        self.session.tick(now, &"not connected".into());
        self.take_work(link, now, cx);
        self.show_auth();
        if let Some(reason) = self.keep_alive(link, now) {
            return lost(reason);
        }
        let written = match link.wire.poll_send(cx, &mut self.session.out) {
            Poll::Ready(Err(e)) => return lost(describe(&e)),
            Poll::Ready(Ok(())) => true,
            Poll::Pending => false,
        };
        link.blocked = if written { None } else { link.blocked.or(Some(now)) };
        let idle = self.relay.jobs.is_empty();
        if let Some(since) = link.closing
            && (now >= since + FAREWELL || (written && idle))
        {
            return Poll::Ready(Ended::Shutdown);
        }
        let unasked = link.signing.is_none() && self.session.has_auth_query();
        if more || (written && !idle) || unasked {
            yield_turn(cx);
        } else {
            wait_until(timer, self.next_deadline(link), cx);
        }
        Poll::Pending
    }

    /// Takes what the pool and the signer have for this relay.
    fn take_work(&mut self, link: &mut Link, now: Instant, cx: &mut Context<'_>) {
        if self.relay.jobs.is_closed() && link.closing.is_none() {
            link.closing = Some(now);
        }
        let version = self.relay.jobs.version();
        if version != self.version {
            self.version = version;
            self.session.reconcile(&self.inner.feeds(), now);
        }
        if self.session.out.len() < MAX_UNWRITTEN {
            for job in self.relay.jobs.drain(MAX_UNWRITTEN) {
                self.session.submit(job);
            }
        }
        if link.signing.is_none()
            && let Some(signer) = &self.inner.options.auth
            && let Some(challenge) = self.session.take_auth_query()
        {
            link.signing = Some((challenge.clone(), signer.answer(challenge)));
        }
        if let Some((challenge, signing)) = &mut link.signing
            && let Poll::Ready(answers) = signing.as_mut().poll(cx)
        {
            self.session.offer_auth(challenge, answers, now);
            link.signing = None;
        }
    }

    /// Reads what is there, up to a limit. True if there may be more.
    fn read(&mut self, link: &mut Link, now: Instant, cx: &mut Context<'_>) -> Result<bool, DisplayText> {
        for _ in 0..READS_PER_TURN {
            match link.wire.poll_recv(cx) {
                Poll::Ready(Some(Ok(inbound))) => {
                    link.last_heard = now;
                    link.pinged = false;
                    if let Inbound::Text(text) = inbound {
                        self.session.receive(text.as_str(), now)?;
                    }
                }
                Poll::Ready(Some(Err(e))) => return Err(DisplayText::truncated(&describe(&e), 200)),
                Poll::Ready(None) => return Err("connection closed".into()),
                Poll::Pending => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Sends a ping when it is time, and gives the reason when the relay is dead.
    fn keep_alive(&mut self, link: &mut Link, now: Instant) -> Option<String> {
        let options = &self.inner.options;
        let silence = now.saturating_duration_since(link.last_heard);
        if silence >= options.ping_after + options.pong_timeout {
            return Some("no sign of life".to_owned());
        }
        if link.blocked.is_some_and(|since| now.saturating_duration_since(since) >= options.pong_timeout) {
            return Some("does not take what is sent".to_owned());
        }
        if silence >= options.ping_after && !link.pinged {
            link.pinged = true;
            self.session.out.push_back(Message::Ping(Bytes::new()));
        }
        None
    }

    fn show_auth(&self) {
        let unmet = self.session.is_auth_unmet();
        self.set_state(if unmet { RelayState::AuthRequired } else { RelayState::Connected });
    }

    fn next_deadline(&self, link: &Link) -> Instant {
        let options = &self.inner.options;
        let life = link.last_heard + options.ping_after;
        let life = if link.pinged { life + options.pong_timeout } else { life };
        let blocked = link.blocked.map(|since| since + options.pong_timeout);
        let farewell = link.closing.map(|since| since + FAREWELL);
        [self.session.next_deadline(), blocked, farewell].into_iter().flatten().fold(life, Instant::min)
    }
}

fn lost(reason: impl AsRef<str>) -> Poll<Ended> {
    Poll::Ready(Ended::Lost(DisplayText::truncated(reason.as_ref(), 200)))
}

/// Has the task polled again at `due` (at once if that is past).
fn wait_until(mut timer: Pin<&mut Sleep>, due: Instant, cx: &mut Context<'_>) {
    timer.as_mut().reset(due.into());
    if timer.poll(cx).is_ready() {
        cx.waker().wake_by_ref();
    }
}
