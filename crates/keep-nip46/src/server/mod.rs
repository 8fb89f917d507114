//! The bunker's side: what is let in, what must be answered, and how often an answer is sent.
//!
//! [`Server`] is one state machine for all endpoints of a bunker. It holds no key, reads no clock and does no input or
//! output: the caller brings events and the time in, and carries out the [`Effect`]s that come back. What a client may
//! do, what is stored and how an answer reads is not decided here.
//!
//! The way of a request:
//!
//! 1. [`Server::admit`] — before any cryptography: is the event fresh, unexpired, not seen before, and is there room
//!    for a stranger? Gives an [`Admission`].
//! 2. [`envelope::open`] and [`Opened::verify`](crate::envelope::Opened::verify), on any thread.
//! 3. [`Server::receive`] — takes the admission and the verified message: [`Effect::Handle`], once for each event, or
//!    [`Effect::Refuse`], or [`Effect::Drop`].
//! 4. [`Server::wait_for_person`], if somebody has to be asked.
//! 5. [`Server::answer`] — takes the [`Ticket`], which exists once: [`Effect::Publish`], again after 2, 10 and 30
//!    seconds from [`Server::tick`] until [`Server::acknowledged`], then [`Effect::Finished`].

mod bucket;
mod counters;
mod limits;
mod outbox;
mod seen;
mod ticket;
mod work;

pub use counters::{Counters, DropReason};
pub use limits::{Limits, Rate};
pub use ticket::{Admission, Job, Standing, Ticket};

use std::sync::Arc;

use keep_types::{EndpointId, ErrorCode, Event, EventId, Fault, Timestamp};

use crate::envelope::{self, Received};
use crate::message::Call;
use bucket::{Bucket, ClientBuckets};
use outbox::Outbox;
use seen::Seen;
use work::Work;

/// What the caller has to do.
#[derive(Debug)]
pub enum Effect {
    /// Decide and answer this request. Each event leads here at most once.
    Handle(Box<Job>),
    /// Answer with this error, without deciding anything.
    Refuse(Ticket, Fault),
    /// Send this event to the relays of the endpoint.
    Publish(Publication),
    /// Nothing more will be sent for this answer.
    Finished {
        /// The request's event, or nothing for an unsolicited message.
        request: Option<EventId>,
        /// Whether a relay took the answer.
        delivered: bool,
    },
    /// Nothing: the message gets no answer.
    Drop(DropReason),
}

/// An event to be sent.
#[derive(Debug, Clone)]
pub struct Publication {
    /// Which endpoint's relays.
    pub endpoint: EndpointId,
    /// The event; the same in every attempt.
    pub event: Arc<Event>,
    /// Which attempt, from 1.
    pub attempt: u8,
}

/// How much the machine holds at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// Event ids that are remembered.
    pub seen: usize,
    /// Requests that are being handled.
    pub in_flight: usize,
    /// Requests that wait for a person.
    pub waiting: usize,
    /// Answers that no relay has taken yet.
    pub outgoing: usize,
    /// Clients whose rate is being measured.
    pub clients: usize,
}

/// The state machine of a bunker. See the [module](self).
#[derive(Debug)]
pub struct Server {
    limits: Limits,
    seen_known: Seen,
    seen_strangers: Seen,
    clients: ClientBuckets,
    strangers: Bucket,
    refusals: Bucket,
    work: Work,
    outbox: Outbox,
    counters: Counters,
}

impl Server {
    /// A machine at rest.
    pub fn new(limits: Limits) -> Self {
        Self {
            seen_known: Seen::new(limits.seen_known),
            seen_strangers: Seen::new(limits.seen_strangers),
            clients: ClientBuckets::new(limits.clients),
            strangers: Bucket::full(limits.strangers),
            refusals: Bucket::full(limits.refusals),
            work: Work::default(),
            outbox: Outbox::new(limits.outgoing, limits.outgoing_bytes),
            counters: Counters::default(),
            limits,
        }
    }

    /// The first gate, before any cryptography. The event may be forged, so nothing of it is remembered. `now` is the
    /// effective time of the vault, which never runs backwards.
    ///
    /// # Errors
    /// Why the event is dropped, already counted.
    pub fn admit(
        &mut self,
        event: &Event,
        endpoint: EndpointId,
        standing: Standing,
        now: Timestamp,
    ) -> Result<Admission, DropReason> {
        let (created_at, expires) = (envelope::created_at(event), envelope::expires(event));
        let verdict = self.check_time(created_at, expires, now).and_then(|()| {
            if self.has_seen(created_at, event.id) {
                Err(DropReason::Duplicate)
            } else if standing == Standing::Stranger && !self.strangers.take(self.limits.strangers, now) {
                Err(DropReason::TooManyStrangers)
            } else {
                Ok(Admission { event_id: event.id, endpoint, standing })
            }
        });
        verdict.inspect_err(|reason| self.counters.drop(*reason))
    }

    /// The second gate, for a message that was opened and verified.
    pub fn receive(&mut self, admission: Admission, message: Received, now: Timestamp) -> Effect {
        let fresh = if admission.event_id == message.event_id {
            self.check_time(message.created_at, message.expires, now)
        } else {
            Err(DropReason::Unreadable)
        };
        let taken = fresh.and_then(|()| {
            if self.remember(&message, admission.standing, now) { Ok(()) } else { Err(DropReason::Duplicate) }
        });
        match taken {
            Ok(()) => self.take_in(message, admission.endpoint, admission.standing, Some(now)),
            Err(reason) => self.dropped(reason),
        }
    }

    /// Takes up a request that was accepted before a restart and has no answer yet. Neither its age nor the client's
    /// rate matters again.
    pub fn resume(&mut self, message: Received, endpoint: EndpointId, now: Timestamp) -> Effect {
        if !self.remember(&message, Standing::Known, now) {
            return self.dropped(DropReason::Duplicate);
        }
        self.take_in(message, endpoint, Standing::Known, None)
    }

    /// A person has to be asked: the request no longer counts as being handled, but among those that wait.
    ///
    /// # Errors
    /// When too many wait already, of this client or of all: answer the ticket with this error.
    pub fn wait_for_person(&mut self, ticket: &Ticket) -> Result<(), Fault> {
        if self.work.wait(ticket, &self.limits) {
            return Ok(());
        }
        let message = "too many requests wait for a person";
        Err(Fault::new(ErrorCode::ApprovalUnavailable, message)
            .with_hint("decide those that wait, then try again"))
    }

    /// Sends the answer to a request. The ticket is gone with it, so no request is answered twice.
    pub fn answer(&mut self, ticket: Ticket, event: Event, now: Timestamp) -> Vec<Effect> {
        self.work.end(&ticket);
        self.counters.answered += 1;
        if ticket.refused {
            // Refusals are sent once: nothing was decided, and resending them would let junk keep us busy.
            let publication = Publication { endpoint: ticket.endpoint, event: Arc::new(event), attempt: 1 };
            return vec![Effect::Publish(publication)];
        }
        self.send(Some(ticket.event_id), ticket.endpoint, event, now)
    }

    /// Sends a message that answers no request: the `connect` answer to a `nostrconnect://` URI.
    pub fn announce(&mut self, endpoint: EndpointId, event: Event, now: Timestamp) -> Vec<Effect> {
        self.send(None, endpoint, event, now)
    }

    /// A relay took (`OK true`) or refused an event of ours. One relay that takes it is enough; a refusal leaves it to
    /// the schedule.
    pub fn acknowledged(&mut self, event: &EventId, taken: bool) -> Option<Effect> {
        if !taken {
            self.counters.refused_by_relay += 1;
            return None;
        }
        let request = self.outbox.remove(event)?;
        Some(Effect::Finished { request, delivered: true })
    }

    /// What is due: answers to send again or to give up, and tickets that were lost without an answer. Call it about
    /// once a second.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Effect> {
        self.counters.lost += self.work.drop_lost();
        let effects = self.outbox.due(now);
        for effect in &effects {
            self.count_outgoing(effect);
        }
        effects
    }

    /// Counts a message that was dropped between the gates: not for us, unreadable, badly signed.
    pub fn dropped(&mut self, reason: DropReason) -> Effect {
        self.counters.drop(reason);
        Effect::Drop(reason)
    }

    /// What happened since the start.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How much the machine holds at present; bounded by [`Limits`], whatever comes in.
    pub fn load(&self) -> Load {
        Load {
            seen: self.seen_known.len() + self.seen_strangers.len(),
            in_flight: self.work.in_flight(),
            waiting: self.work.waiting(),
            outgoing: self.outbox.len(),
            clients: self.clients.len(),
        }
    }

    fn check_time(
        &self,
        created_at: Timestamp,
        expires: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), DropReason> {
        if created_at.plus(self.limits.window) < now {
            Err(DropReason::Stale)
        } else if created_at > now.plus(self.limits.window) {
            Err(DropReason::FromTheFuture)
        } else if expires.is_some_and(|expires| expires <= now) {
            Err(DropReason::Expired)
        } else {
            Ok(())
        }
    }

    fn has_seen(&self, created_at: Timestamp, id: EventId) -> bool {
        self.work.is_open(&id)
            || self.seen_known.contains(created_at, id)
            || self.seen_strangers.contains(created_at, id)
    }

    /// Remembers a verified event; false if it is a repetition. Strangers have a memory of their own, so that they
    /// cannot push out what known clients sent.
    fn remember(&mut self, message: &Received, standing: Standing, now: Timestamp) -> bool {
        if self.has_seen(message.created_at, message.event_id) {
            return false;
        }
        let oldest = now.minus(self.limits.window);
        let seen = match standing {
            Standing::Known => &mut self.seen_known,
            Standing::Stranger => &mut self.seen_strangers,
        };
        seen.insert(message.created_at, message.event_id, oldest);
        true
    }

    /// Reads the message and makes room for it. `measured` is the time for the client's rate, or nothing if the rate
    /// does not matter.
    fn take_in(
        &mut self,
        message: Received,
        endpoint: EndpointId,
        standing: Standing,
        measured: Option<Timestamp>,
    ) -> Effect {
        let call = match Call::parse(message.plaintext.expose()) {
            Ok(call) => call,
            Err(bad) => {
                let Some(id) = bad.id else { return self.dropped(DropReason::Malformed) };
                let ticket = Ticket::refusal(&message, endpoint, id);
                return self.refuse(ticket, bad.error.into(), measured);
            }
        };
        let within_rate = match (measured, standing) {
            (Some(now), Standing::Known) => self.clients.take(message.author, self.limits.client, now),
            // Strangers were measured at the first gate.
            (Some(_), Standing::Stranger) | (None, _) => true,
        };
        if !within_rate {
            let ticket = Ticket::refusal(&message, endpoint, call.id);
            let fault = Fault::new(ErrorCode::RateLimited, "too many requests from this client");
            return self.refuse(ticket, fault, measured);
        }
        let Some(place) = self.work.begin(message.event_id, message.author, &self.limits, measured.is_some())
        else {
            let ticket = Ticket::refusal(&message, endpoint, call.id);
            let fault = Fault::new(ErrorCode::RateLimited, "too many requests are being handled");
            return self.refuse(ticket, fault, measured);
        };
        self.counters.accepted += 1;
        Effect::Handle(Box::new(Job::new(message, endpoint, standing, call, place)))
    }

    /// Refuses with an answer, as long as there are not too many refusals to answer.
    fn refuse(&mut self, ticket: Ticket, fault: Fault, measured: Option<Timestamp>) -> Effect {
        if measured.is_some_and(|now| !self.refusals.take(self.limits.refusals, now)) {
            return self.dropped(DropReason::TooManyRefusals);
        }
        self.counters.refused += 1;
        Effect::Refuse(ticket, fault)
    }

    fn send(
        &mut self,
        request: Option<EventId>,
        endpoint: EndpointId,
        event: Event,
        now: Timestamp,
    ) -> Vec<Effect> {
        let effects = self.outbox.send(request, endpoint, event, now);
        for effect in &effects {
            self.count_outgoing(effect);
        }
        effects
    }

    fn count_outgoing(&mut self, effect: &Effect) {
        match effect {
            Effect::Publish(publication) if publication.attempt > 1 => self.counters.resent += 1,
            Effect::Finished { delivered: false, .. } => self.counters.unconfirmed += 1,
            Effect::Publish(_)
            | Effect::Finished { .. }
            | Effect::Handle(_)
            | Effect::Refuse(..)
            | Effect::Drop(_) => {}
        }
    }
}
