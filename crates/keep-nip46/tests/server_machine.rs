//! Whatever happens in whatever order: each accepted request is handled once, answered once and always alike, and the
//! machine stays within its bounds.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use common::{ENDPOINT, at, key, letter, public};
use keep_nip46::envelope::{self, Received};
use keep_nip46::server::{DropReason, Effect, Limits, Rate, Server, Standing, Ticket};
use keep_types::{Event, EventId};
use proptest::prelude::*;

const LIMITS: Limits = Limits {
    window: std::time::Duration::from_secs(60),
    // Room for every event that a run can make: beyond it, the stored requests are what knows a repetition.
    seen_known: 128,
    seen_strangers: 128,
    client: Rate { per_second: 3, burst: 6 },
    clients: 4,
    strangers: Rate { per_second: 2, burst: 4 },
    refusals: Rate { per_second: 2, burst: 3 },
    in_flight: 6,
    in_flight_per_client: 3,
    waiting: 3,
    waiting_per_client: 2,
    outgoing: 5,
    outgoing_bytes: 1_000,
};

/// One thing that happens.
#[derive(Debug, Clone)]
enum Step {
    /// A request with this number (the same number is the same event), this many seconds old.
    Request { number: u8, age: u8, known: bool },
    /// A request that nobody signed, under the id of one that somebody may.
    Forged { number: u8 },
    /// Junk from a known client.
    Junk { number: u8 },
    /// The oldest open request is to wait for a person.
    Wait,
    /// An open request is answered: the oldest or the newest.
    Answer { newest: bool },
    /// A ticket is lost.
    Lose,
    /// A relay answers for an event sent some time ago.
    Acknowledge { which: u8, taken: bool },
    /// Time passes.
    Pass { seconds: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0_u8..60, 0_u8..70, any::<bool>()).prop_map(|(number, age, known)| Step::Request { number, age, known }),
        1 => (0_u8..60).prop_map(|number| Step::Forged { number }),
        1 => (0_u8..60).prop_map(|number| Step::Junk { number }),
        2 => Just(Step::Wait),
        5 => any::<bool>().prop_map(|newest| Step::Answer { newest }),
        1 => Just(Step::Lose),
        3 => (any::<u8>(), any::<bool>()).prop_map(|(which, taken)| Step::Acknowledge { which, taken }),
        4 => (0_u8..20).prop_map(|seconds| Step::Pass { seconds }),
    ]
}

/// The machine, and beside it what must be true of it.
struct World {
    server: Server,
    now: u64,
    made: BTreeMap<(u8, bool), Event>,
    open: VecDeque<Ticket>,
    handled: BTreeSet<EventId>,
    lost: u64,
    /// The one event that answers each request.
    answers: BTreeMap<EventId, Event>,
    sent: Vec<EventId>,
    times_sent: BTreeMap<EventId, u8>,
    finished: BTreeSet<EventId>,
}

impl World {
    fn new() -> Self {
        Self {
            server: Server::new(LIMITS),
            now: 10_000,
            made: BTreeMap::new(),
            open: VecDeque::new(),
            handled: BTreeSet::new(),
            lost: 0,
            answers: BTreeMap::new(),
            sent: vec![],
            times_sent: BTreeMap::new(),
            finished: BTreeSet::new(),
        }
    }

    fn client(number: u8) -> u8 {
        2 + number % 6
    }

    fn event(&mut self, number: u8, age: u8, junk: bool) -> Event {
        let created_at = self.now - u64::from(age);
        let text = if junk { "junk".to_owned() } else { format!(r#"{{"id":"{number}","method":"ping"}}"#) };
        let make = || letter(&key(Self::client(number)), &public(1), &text, created_at, u32::from(number));
        self.made.entry((number, junk)).or_insert_with(make).clone()
    }

    fn bring(&mut self, event: &Event, standing: Standing) {
        let now = at(self.now);
        let Ok(admission) = self.server.admit(event, ENDPOINT, standing, now) else { return };
        let effect = match envelope::open(event, &key(1)).and_then(envelope::Opened::verify) {
            Ok(message) => self.receive(admission, message),
            Err(error) => self.server.dropped(DropReason::from(&error)),
        };
        match effect {
            Effect::Handle(job) => {
                assert!(self.handled.insert(job.ticket.event_id), "handled twice");
                self.open.push_back(job.ticket);
            }
            Effect::Refuse(ticket, _) => self.answer(ticket, "refused"),
            Effect::Drop(_) => {}
            other => panic!("{other:?}"),
        }
    }

    fn receive(&mut self, admission: keep_nip46::server::Admission, message: Received) -> Effect {
        self.server.receive(admission, message, at(self.now))
    }

    fn answer(&mut self, ticket: Ticket, text: &str) {
        let (request, client) = (ticket.event_id, ticket.client);
        let number = u32::try_from(self.answers.len()).unwrap();
        let event = letter(&key(1), &client, text, self.now, number);
        assert!(self.answers.insert(request, event.clone()).is_none() || text == "refused");
        let effects = self.server.answer(ticket, event, at(self.now));
        assert!(matches!(effects.first(), Some(Effect::Publish(_))), "every answer is sent");
        self.carry_out(effects);
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Publish(publication) => {
                    let id = publication.event.id;
                    assert!(
                        self.answers.values().any(|answer| *answer == *publication.event),
                        "another answer"
                    );
                    let times = self.times_sent.entry(id).or_default();
                    *times += 1;
                    assert!(*times <= 4 && publication.attempt >= *times, "sent too often");
                    self.sent.push(id);
                }
                Effect::Finished { request, .. } => {
                    assert!(self.finished.insert(request.unwrap()), "finished twice");
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Request { number, age, known } => {
                let event = self.event(number, age, false);
                self.bring(&event, if known { Standing::Known } else { Standing::Stranger });
            }
            Step::Forged { number } => {
                let mut event = self.event(number, 0, false);
                event.sig = self.event(number, 0, true).sig;
                self.bring(&event, Standing::Known);
            }
            Step::Junk { number } => {
                let event = self.event(number, 0, true);
                self.bring(&event, Standing::Known);
            }
            Step::Wait => {
                if let Some(ticket) = self.open.front() {
                    let _ = self.server.wait_for_person(ticket);
                }
            }
            Step::Answer { newest } => {
                let ticket = if newest { self.open.pop_back() } else { self.open.pop_front() };
                if let Some(ticket) = ticket {
                    self.answer(ticket, "pong");
                }
            }
            Step::Lose => self.lost += u64::from(self.open.pop_front().is_some()),
            Step::Acknowledge { which, taken } => {
                if let Some(id) = self.sent.get(usize::from(which) % self.sent.len().max(1)).copied() {
                    let effect = self.server.acknowledged(&id, taken);
                    self.carry_out(effect.into_iter().collect());
                }
            }
            Step::Pass { seconds } => {
                self.now += u64::from(seconds);
                let effects = self.server.tick(at(self.now));
                self.carry_out(effects);
            }
        }
    }

    fn check_bounds(&self) {
        let load = self.server.load();
        assert!(load.seen <= LIMITS.seen_known + LIMITS.seen_strangers);
        assert!(load.in_flight <= LIMITS.in_flight && load.waiting <= LIMITS.waiting);
        assert!(load.outgoing <= LIMITS.outgoing && load.clients <= LIMITS.clients);
    }

    /// Lets everything come to its end.
    fn settle(mut self) {
        while let Some(ticket) = self.open.pop_front() {
            self.answer(ticket, "pong");
        }
        for _ in 0..4 {
            self.take(&Step::Pass { seconds: 19 });
        }
        let load = self.server.load();
        assert_eq!((load.in_flight, load.waiting, load.outgoing), (0, 0, 0));
        let counters = self.server.counters();
        assert_eq!(counters.lost, self.lost);
        assert_eq!(counters.accepted, self.handled.len() as u64);
        assert_eq!(counters.answered, counters.accepted + counters.refused - self.lost);
        let answered: BTreeSet<EventId> =
            self.handled.iter().copied().filter(|request| self.answers.contains_key(request)).collect();
        assert_eq!(answered.len() as u64, self.handled.len() as u64 - self.lost);
        assert_eq!(answered, self.finished, "every answer of an accepted request came to its end");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_accepted_request_is_answered_once(steps in prop::collection::vec(step(), 1..150)) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
            world.check_bounds();
        }
        world.settle();
    }
}
