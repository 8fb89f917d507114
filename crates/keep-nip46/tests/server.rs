//! The bunker's machine, one rule after the other.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::time::Duration;

use common::{ENDPOINT, at, key, letter, public, sign};
use keep_nip46::envelope::{self, KIND};
use keep_nip46::server::{DropReason, Effect, Job, Limits, Load, Rate, Server, Standing, Ticket};
use keep_nip46::{EnvelopeError, TransportKey};
use keep_types::{ErrorCode, Event, Fault};
use nostr::Tag;

const NOW: u64 = 1_000_000;

/// A bunker with key 1 and its clients.
struct House {
    server: Server,
    ours: TransportKey,
    now: u64,
    letters: u32,
}

impl House {
    fn new(limits: Limits) -> Self {
        Self { server: Server::new(limits), ours: key(1), now: NOW, letters: 0 }
    }

    fn request(&mut self, client: u8, method: &str) -> Event {
        self.letters += 1;
        let text = format!(r#"{{"id":"{}","method":"{method}","params":[]}}"#, self.letters);
        letter(&key(client), &public(1), &text, self.now, self.letters)
    }

    fn bring(&mut self, event: &Event, standing: Standing) -> Effect {
        let admission = match self.server.admit(event, ENDPOINT, standing, at(self.now)) {
            Ok(admission) => admission,
            Err(reason) => return Effect::Drop(reason),
        };
        match envelope::open(event, &self.ours).and_then(envelope::Opened::verify) {
            Ok(message) => self.server.receive(admission, message, at(self.now)),
            Err(error) => self.server.dropped(DropReason::from(&error)),
        }
    }

    fn ask(&mut self, client: u8, method: &str) -> Effect {
        let event = self.request(client, method);
        self.bring(&event, Standing::Known)
    }

    fn job(&mut self, client: u8) -> Job {
        handled(self.ask(client, "ping"))
    }

    fn answer(&mut self, ticket: Ticket) -> (Event, Vec<Effect>) {
        self.letters += 1;
        let event = letter(&self.ours, &ticket.client, "answer", self.now, self.letters);
        (event.clone(), self.server.answer(ticket, event, at(self.now)))
    }

    /// The events published at `now`, and the requests finished.
    fn tick(&mut self, now: u64) -> (Vec<Event>, Vec<bool>) {
        self.now = now;
        let effects = self.server.tick(at(now));
        (published(&effects), finished(&effects))
    }
}

fn handled(effect: Effect) -> Job {
    match effect {
        Effect::Handle(job) => *job,
        other => panic!("{other:?}"),
    }
}

fn refused(effect: Effect) -> (Ticket, Fault) {
    match effect {
        Effect::Refuse(ticket, fault) => (ticket, fault),
        other => panic!("{other:?}"),
    }
}

fn dropped(effect: &Effect) -> DropReason {
    match effect {
        Effect::Drop(reason) => *reason,
        other => panic!("{other:?}"),
    }
}

fn published(effects: &[Effect]) -> Vec<Event> {
    let events = effects.iter().filter_map(|effect| match effect {
        Effect::Publish(publication) => Some((*publication.event).clone()),
        _ => None,
    });
    events.collect()
}

fn finished(effects: &[Effect]) -> Vec<bool> {
    let ends = effects.iter().filter_map(|effect| match effect {
        Effect::Finished { delivered, .. } => Some(*delivered),
        _ => None,
    });
    ends.collect()
}

#[test]
fn an_event_is_handled_once() {
    let mut house = House::new(Limits::default());
    let event = house.request(2, "ping");
    let job = handled(house.bring(&event, Standing::Known));
    assert_eq!((job.ticket.client, job.ticket.event_id, job.asked_at), (public(2), event.id, at(NOW)));
    assert!(job.plaintext.expose().contains("ping"));
    assert_eq!(dropped(&house.bring(&event, Standing::Known)), DropReason::Duplicate);
    house.answer(job.ticket);
    assert_eq!(dropped(&house.bring(&event, Standing::Stranger)), DropReason::Duplicate);
    assert_eq!(house.server.counters().dropped(DropReason::Duplicate), 2);
    assert_eq!(house.server.counters().accepted, 1);
}

#[test]
fn the_window_is_five_minutes_either_way() {
    let mut house = House::new(Limits::default());
    for (created_at, expected) in [
        (NOW - 301, Some(DropReason::Stale)),
        (NOW - 300, None),
        (NOW + 300, None),
        (NOW + 301, Some(DropReason::FromTheFuture)),
    ] {
        let event = letter(&key(2), &public(1), r#"{"id":"1","method":"ping"}"#, created_at, 1);
        match (house.bring(&event, Standing::Known), expected) {
            (Effect::Handle(_), None) => {}
            (effect, Some(reason)) => assert_eq!(dropped(&effect), reason),
            (other, None) => panic!("{created_at}: {other:?}"),
        }
    }
}

#[test]
fn expired_events_are_dropped_at_either_gate() {
    let mut house = House::new(Limits::default());
    let content = house.request(2, "ping").content;
    let tags = |expires: u64| {
        let p = Tag::parse(["p", &public(1).to_hex()]).unwrap();
        vec![p, Tag::parse(["expiration", &expires.to_string()]).unwrap()]
    };
    let late = sign(2, KIND, tags(NOW), &content, NOW);
    assert_eq!(dropped(&house.bring(&late, Standing::Known)), DropReason::Expired);
    // In time at the first gate, too late at the second.
    let close = sign(2, KIND, tags(NOW + 1), &content, NOW);
    let admission = house.server.admit(&close, ENDPOINT, Standing::Known, at(NOW)).unwrap();
    let message = envelope::open(&close, &house.ours).unwrap().verify().unwrap();
    let effect = house.server.receive(admission, message, at(NOW + 1));
    assert_eq!(dropped(&effect), DropReason::Expired);
    let job = handled(house.bring(&close, Standing::Known));
    assert_eq!(job.expires, Some(at(NOW + 1)));
}

/// An id that was never verified must not keep the real event out.
#[test]
fn a_forged_event_does_not_block_the_real_one() {
    let mut house = House::new(Limits::default());
    let real = house.request(2, "ping");
    let mut forged = real.clone();
    forged.sig = house.request(2, "ping").sig;
    assert_eq!(dropped(&house.bring(&forged, Standing::Known)), DropReason::BadSignature);
    let mut garbled = real.clone();
    garbled.content = house.request(3, "ping").content;
    assert_eq!(dropped(&house.bring(&garbled, Standing::Known)), DropReason::Unreadable);
    handled(house.bring(&real, Standing::Known));
}

#[test]
fn an_admission_is_for_its_own_event() {
    let mut house = House::new(Limits::default());
    let (first, second) = (house.request(2, "ping"), house.request(2, "ping"));
    let admission = house.server.admit(&first, ENDPOINT, Standing::Known, at(NOW)).unwrap();
    let message = envelope::open(&second, &house.ours).unwrap().verify().unwrap();
    assert_eq!(dropped(&house.server.receive(admission, message, at(NOW))), DropReason::Unreadable);
    handled(house.bring(&second, Standing::Known));
}

#[test]
fn an_answer_is_sent_until_a_relay_takes_it() {
    let mut house = House::new(Limits::default());
    let ticket = house.job(2).ticket;
    let (answer, effects) = house.answer(ticket);
    assert_eq!(published(&effects), vec![answer.clone()]);
    assert_eq!(house.tick(NOW + 1).0, vec![]);
    assert_eq!(house.tick(NOW + 2).0, vec![answer.clone()]);
    assert_eq!(house.tick(NOW + 3).0, vec![]);
    assert!(house.server.acknowledged(&answer.id, false).is_none());
    assert_eq!(house.tick(NOW + 10).0, vec![answer.clone()]);
    let done = house.server.acknowledged(&answer.id, true);
    assert!(matches!(done, Some(Effect::Finished { request: Some(_), delivered: true })));
    assert!(house.server.acknowledged(&answer.id, true).is_none());
    assert_eq!(house.tick(NOW + 100), (vec![], vec![]));
    assert_eq!(house.server.counters().resent, 2);
    assert_eq!(house.server.counters().refused_by_relay, 1);
}

#[test]
fn an_answer_that_no_relay_takes_is_given_up() {
    let mut house = House::new(Limits::default());
    let ticket = house.job(2).ticket;
    let (answer, _) = house.answer(ticket);
    for later in [2, 10] {
        assert_eq!(house.tick(NOW + later), (vec![answer.clone()], vec![]));
    }
    assert_eq!(house.tick(NOW + 30), (vec![answer], vec![false]));
    assert_eq!(house.tick(NOW + 31), (vec![], vec![]));
    assert_eq!(house.server.load().outgoing, 0);
    assert_eq!(house.server.counters().unconfirmed, 1);
}

#[test]
fn a_late_tick_sends_once() {
    let mut house = House::new(Limits::default());
    let ticket = house.job(2).ticket;
    let (answer, _) = house.answer(ticket);
    assert_eq!(house.tick(NOW + 20), (vec![answer.clone()], vec![]));
    assert_eq!(house.tick(NOW + 3_600), (vec![answer], vec![false]));
}

#[test]
fn an_announcement_is_sent_like_an_answer() {
    let mut house = House::new(Limits::default());
    let event = letter(&house.ours, &public(2), "the secret", NOW, 1);
    let effects = house.server.announce(ENDPOINT, event.clone(), at(NOW));
    assert_eq!(published(&effects), vec![event.clone()]);
    assert_eq!(house.tick(NOW + 2).0, vec![event.clone()]);
    let done = house.server.acknowledged(&event.id, true);
    assert!(matches!(done, Some(Effect::Finished { request: None, delivered: true })));
}

#[test]
fn strangers_share_one_rate_and_cannot_stop_known_clients() {
    let limits = Limits { strangers: Rate { per_second: 2, burst: 3 }, ..Limits::default() };
    let mut house = House::new(limits);
    for stranger in 10..13 {
        let event = house.request(stranger, "connect");
        let job = handled(house.bring(&event, Standing::Stranger));
        assert_eq!(job.standing, Standing::Stranger);
    }
    let event = house.request(13, "connect");
    assert_eq!(dropped(&house.bring(&event, Standing::Stranger)), DropReason::TooManyStrangers);
    house.job(2);
    house.now += 1;
    handled(house.bring(&event, Standing::Stranger));
}

#[test]
fn a_client_over_its_rate_is_told_and_others_are_not_held_up() {
    let limits = Limits { client: Rate { per_second: 1, burst: 2 }, ..Limits::default() };
    let mut house = House::new(limits);
    house.job(2);
    house.job(2);
    let (ticket, fault) = refused(house.ask(2, "ping"));
    assert_eq!(fault.code(), ErrorCode::RateLimited);
    house.job(3);
    let (answer, effects) = house.answer(ticket);
    assert_eq!((published(&effects), finished(&effects)), (vec![answer], vec![]));
    // Refusals are not sent again.
    assert_eq!(house.tick(NOW + 2), (vec![], vec![]));
    house.job(2);
}

#[test]
fn refusals_have_a_rate_of_their_own() {
    let limits = Limits {
        client: Rate { per_second: 0, burst: 0 },
        refusals: Rate { per_second: 1, burst: 2 },
        ..Limits::default()
    };
    let mut house = House::new(limits);
    refused(house.ask(2, "ping"));
    refused(house.ask(3, "ping"));
    assert_eq!(dropped(&house.ask(4, "ping")), DropReason::TooManyRefusals);
    house.now += 1;
    refused(house.ask(4, "ping"));
    assert_eq!(house.server.counters().refused, 3);
}

#[test]
fn what_cannot_be_understood_is_refused_and_junk_is_dropped() {
    let mut house = House::new(Limits::default());
    let mut bring = |text: &str, number| {
        let event = letter(&key(2), &public(1), text, NOW, number);
        house.bring(&event, Standing::Known)
    };
    let (ticket, fault) = refused(bring(r#"{"id":"q","method":"sign_event","params":["{}"]}"#, 1));
    assert_eq!((ticket.call_id.to_string().as_str(), fault.code()), ("q", ErrorCode::InvalidEvent));
    assert_eq!(dropped(&bring(r#"{"id":"q","result":"ack"}"#, 2)), DropReason::Malformed);
    assert_eq!(dropped(&bring("junk", 3)), DropReason::Malformed);
    handled(bring(r#"{"id":"q","method":"describe"}"#, 4));
}

#[test]
fn work_is_bounded_in_all_and_for_each_client() {
    let limits = Limits { in_flight: 3, in_flight_per_client: 2, ..Limits::default() };
    let mut house = House::new(limits);
    let first = house.job(2);
    let _second = house.job(2);
    assert_eq!(refused(house.ask(2, "ping")).1.code(), ErrorCode::RateLimited);
    let _third = house.job(3);
    assert_eq!(refused(house.ask(4, "ping")).1.code(), ErrorCode::RateLimited);
    house.answer(first.ticket);
    let _fourth = house.job(4);
    assert_eq!(house.server.load().in_flight, 3);
}

#[test]
fn who_waits_for_a_person_holds_nobody_up() {
    let limits = Limits { in_flight: 2, waiting: 3, waiting_per_client: 2, ..Limits::default() };
    let mut house = House::new(limits);
    let mut waiting = vec![];
    for client in [2, 2, 3] {
        let job = house.job(client);
        house.server.wait_for_person(&job.ticket).unwrap();
        house.server.wait_for_person(&job.ticket).unwrap();
        waiting.push(job.ticket);
        let too_many = house.job(2);
        if waiting.len() >= 2 {
            let fault = house.server.wait_for_person(&too_many.ticket).unwrap_err();
            assert_eq!(fault.code(), ErrorCode::ApprovalUnavailable);
        }
        house.answer(too_many.ticket);
    }
    let job = house.job(4);
    assert!(house.server.wait_for_person(&job.ticket).is_err(), "three wait in all");
    house.answer(job.ticket);
    assert_eq!(house.server.load(), Load { waiting: 3, ..house.server.load() });
    for ticket in waiting {
        house.answer(ticket);
    }
    assert_eq!((house.server.load().waiting, house.server.load().in_flight), (0, 0));
}

#[test]
fn a_lost_ticket_frees_its_place() {
    let limits = Limits { in_flight: 1, waiting: 1, ..Limits::default() };
    let mut house = House::new(limits);
    let waiting = house.job(2);
    house.server.wait_for_person(&waiting.ticket).unwrap();
    drop(house.job(2));
    refused(house.ask(2, "ping"));
    drop(waiting);
    house.tick(NOW + 1);
    assert_eq!((house.server.counters().lost, house.server.load().waiting), (2, 0));
    let job = house.job(2);
    house.server.wait_for_person(&job.ticket).unwrap();
}

#[test]
fn requests_from_before_a_restart_are_taken_up_whatever_their_age() {
    let mut house = House::new(Limits { in_flight: 0, ..Limits::default() });
    let event = house.request(2, "ping");
    house.now += 4_000;
    let stored = || envelope::open(&event, &key(1)).unwrap().verify().unwrap();
    let job = handled(house.server.resume(stored(), ENDPOINT, at(house.now)));
    assert_eq!(job.asked_at, at(NOW));
    assert_eq!(dropped(&house.server.resume(stored(), ENDPOINT, at(house.now))), DropReason::Duplicate);
    let (answer, effects) = house.answer(job.ticket);
    assert_eq!(published(&effects), vec![answer]);
}

#[test]
fn the_outbox_is_bounded_and_gives_up_the_oldest() {
    let mut house = House::new(Limits { outgoing: 2, ..Limits::default() });
    let tickets: Vec<Ticket> = (0..3).map(|_| house.job(2).ticket).collect();
    let ends: Vec<Vec<bool>> = tickets.into_iter().map(|ticket| finished(&house.answer(ticket).1)).collect();
    assert_eq!(ends, [vec![], vec![], vec![false]]);
    assert_eq!(house.server.load().outgoing, 2);

    let mut house = House::new(Limits { outgoing_bytes: 300, ..Limits::default() });
    let tickets: Vec<Ticket> = (0..3).map(|_| house.job(2).ticket).collect();
    for ticket in tickets {
        house.answer(ticket);
    }
    assert_eq!(house.server.load().outgoing, 2, "each answer has 132 characters");
}

#[test]
fn strangers_cannot_make_it_forget_known_clients() {
    let limits = Limits { seen_strangers: 4, window: Duration::from_secs(300), ..Limits::default() };
    let mut house = House::new(limits);
    let known = house.request(2, "ping");
    let ticket = handled(house.bring(&known, Standing::Known)).ticket;
    house.answer(ticket);
    for stranger in 10..30 {
        let event = house.request(stranger, "connect");
        let ticket = handled(house.bring(&event, Standing::Stranger)).ticket;
        house.answer(ticket);
    }
    assert_eq!(house.server.load().seen, 5);
    assert_eq!(dropped(&house.bring(&known, Standing::Known)), DropReason::Duplicate);
}

/// Even where the memory of ids is too small, a request that is still open is not handled a second time.
#[test]
fn an_open_request_is_remembered_by_itself() {
    let mut house = House::new(Limits { seen_known: 1, ..Limits::default() });
    let event = house.request(2, "ping");
    let job = handled(house.bring(&event, Standing::Known));
    house.now += 1;
    let other = house.job(3);
    assert_eq!(dropped(&house.bring(&event, Standing::Known)), DropReason::Duplicate);
    house.answer(job.ticket);
    house.answer(other.ticket);
    assert_eq!(house.server.load().in_flight, 0);
}

#[test]
fn errors_of_the_envelope_have_their_counters() {
    let mut house = House::new(Limits::default());
    let not_ours = letter(&key(2), &public(3), "{}", NOW, 1);
    assert_eq!(dropped(&house.bring(&not_ours, Standing::Stranger)), DropReason::NotForUs);
    assert_eq!(DropReason::from(&EnvelopeError::OwnEvent), DropReason::NotForUs);
    for reason in DropReason::ALL {
        let expected = u64::from(*reason == DropReason::NotForUs);
        assert_eq!(house.server.counters().dropped(*reason), expected, "{}", reason.as_str());
    }
}
