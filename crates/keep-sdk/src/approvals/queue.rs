//! The queue in the process that serves. Terminal, command line and other approvers look at the same one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keep_audit::{Decider, Surface};
use keep_policy::{Prompt, Remember};
use keep_signer::{Approver, Decision, Person, Reply, Seat, Settled};
use keep_types::{DisplayText, ErrorCode, Fault, Origin, RequestId, Timestamp};
use tokio::sync::watch;

use crate::now;

/// Requests that wait. How many may wait is bounded by those that ask.
#[derive(Debug, Default)]
pub struct Approvals {
    waiting: Mutex<BTreeMap<u64, Waiting>>,
    next: AtomicUsize,
    attended: AtomicUsize,
    changes: watch::Sender<u64>,
}

/// A request that waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub id: String,
    pub prompt: Prompt,
    pub since: Timestamp,
    /// Who said yes so far.
    pub yes: Vec<Voice>,
    reply: Option<Reply>,
}

/// One who decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Voice {
    pub by: Decider,
    /// Of a person who approves beside the owner.
    seat: Option<Seat>,
    /// Since when this person may do so.
    since: Timestamp,
}

impl Voice {
    /// The owner's.
    pub const fn owner(surface: Surface) -> Self {
        Self { by: Decider::Owner(surface), seat: None, since: Timestamp::ZERO }
    }

    /// That of a person who approves beside the owner.
    pub fn of(person: &Person) -> Self {
        let by = Decider::Person(person.name.clone());
        Self { by, seat: Some(person.seat()), since: person.added_at }
    }

    /// Whether it counts for what was asked at `asked`, when these are the persons.
    fn counts(&self, persons: &[Person], asked: Timestamp) -> bool {
        let Some(seat) = &self.seat else { return true };
        persons.iter().any(|person| person.may_decide(seat, asked))
    }
}

impl Waiting {
    fn is_moot(&self) -> bool {
        self.reply.as_ref().is_none_or(Reply::is_moot)
    }
}

/// As long as this lives, somebody can be asked.
#[derive(Debug)]
#[must_use = "without it nobody can be asked"]
pub struct Attendance(Arc<Approvals>);

impl Drop for Attendance {
    fn drop(&mut self) {
        self.0.attended.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What a vote came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tally {
    /// The request is decided.
    Settled { approved: bool },
    /// So many more persons must say yes.
    NeedsMore(u8),
}

impl Approvals {
    /// Somebody can be asked from now on: at this terminal, or by `keep approve`.
    pub fn attend(self: &Arc<Self>) -> Attendance {
        self.attended.fetch_add(1, Ordering::AcqRel);
        Attendance(Arc::clone(self))
    }

    /// Changes whenever the queue does.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.changes.send_modify(|version| *version = version.wrapping_add(1));
    }

    /// What waits, the oldest first, after what was settled elsewhere is gone.
    pub(crate) fn each<T>(&self, view: impl Fn(&Waiting) -> T) -> Vec<T> {
        let mut waiting = self.lock();
        waiting.retain(|_, one| !one.is_moot());
        waiting.values().map(view).collect()
    }

    /// What waits, the oldest first: its id and what a person is shown.
    pub fn prompts(&self) -> Vec<(String, Prompt)> {
        self.each(|one| (one.id.clone(), one.prompt.clone()))
    }

    /// The id under which this request waits, if it does.
    pub fn id_of(&self, request: RequestId) -> Option<String> {
        let mut waiting = self.lock();
        waiting.retain(|_, one| !one.is_moot());
        waiting.values().find(|one| one.prompt.request == request).map(|one| one.id.clone())
    }

    /// Forgets each yes of somebody who is not among those who may approve now, also where another one has the name. Who they are
    /// is read while nobody can say yes, so that no yes is counted by a list from before its person was added.
    ///
    /// # Errors
    /// Those of `persons`; nothing is forgotten then.
    pub(crate) fn recount(
        &self,
        persons: impl FnOnce() -> Result<Vec<Person>, Fault>,
    ) -> Result<Vec<Person>, Fault> {
        let mut waiting = self.lock();
        let persons = persons()?;
        for one in waiting.values_mut() {
            let asked = one.prompt.asked_at;
            one.yes.retain(|voice| voice.counts(&persons, asked));
        }
        Ok(persons)
    }

    /// The whole of what is asked by the one request whose id begins with `id`.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] when no request, or more than one, is meant.
    pub(crate) fn one<T>(&self, id: &str, view: impl FnOnce(&Waiting) -> T) -> Result<T, Fault> {
        let mut waiting = self.lock();
        waiting.retain(|_, one| !one.is_moot());
        let at = find(&waiting, id)?;
        waiting.get(&at).map(view).ok_or_else(|| unknown(id))
    }

    pub(crate) fn vote(
        &self,
        id: &str,
        approve: bool,
        voice: Voice,
        remember: Option<Remember>,
    ) -> Result<Tally, Fault> {
        let tally = {
            let mut waiting = self.lock();
            waiting.retain(|_, one| !one.is_moot());
            let at = find(&waiting, id)?;
            let Some(one) = waiting.get_mut(&at) else { return Err(unknown(id)) };
            if remember.is_some() && !matches!(one.prompt.origin, Origin::Nip46 { .. }) {
                let message = "only for clients of the bunker a decision can hold for longer";
                return Err(Fault::new(ErrorCode::Usage, message).with_hint("decide it for this once"));
            }
            if approve && voice.since > one.prompt.asked_at {
                let message = format!("{} may approve only what was asked later", voice.by.name());
                return Err(Fault::new(ErrorCode::RefusedByPolicy, message).with_hint(
                    "deny it and have it asked again; whoever was added meanwhile decides what comes then",
                ));
            }
            if approve && !one.yes.iter().any(|other| other.by.is_same(&voice.by)) {
                one.yes.push(voice.clone());
            }
            let persons = u8::try_from(one.yes.len()).unwrap_or(u8::MAX);
            let needed = one.prompt.approval.persons();
            if approve && persons < needed {
                Tally::NeedsMore(needed - persons)
            } else {
                if let Some(one) = waiting.remove(&at) {
                    let voices = if approve { one.yes } else { vec![voice] };
                    let seats = voices.iter().filter_map(|voice| voice.seat.clone()).collect();
                    let by = voices.into_iter().map(|voice| voice.by).collect();
                    let settled = Settled { approved: approve, persons, remember, by, seats };
                    if let Some(reply) = one.reply {
                        reply.decide(Decision::Settled(settled));
                    }
                }
                Tally::Settled { approved: approve }
            }
        };
        self.changed();
        Ok(tally)
    }
}

fn find(waiting: &BTreeMap<u64, Waiting>, id: &str) -> Result<u64, Fault> {
    let mut meant =
        waiting.iter().filter(|(_, one)| !id.is_empty() && one.id.starts_with(id)).map(|(at, _)| *at);
    match (meant.next(), meant.next()) {
        (Some(at), None) => Ok(at),
        (Some(_), Some(_)) => {
            let message =
                format!("more than one waiting request begins with \"{}\"", DisplayText::truncated(id, 40));
            Err(Fault::new(ErrorCode::NotFound, message).with_hint("give more of its id, see `keep pending`"))
        }
        (None, _) => Err(unknown(id)),
    }
}

fn unknown(id: &str) -> Fault {
    let message = format!("no request \"{}\" waits", DisplayText::truncated(id, 40));
    Fault::new(ErrorCode::NotFound, message)
        .with_hint("`keep pending` shows what waits; it may have been decided, or run out")
}

impl Approver for Approvals {
    fn available(&self) -> bool {
        self.attended.load(Ordering::Acquire) > 0
    }

    fn ask(&self, prompt: Prompt, reply: Reply) {
        let mut random = [0; 4];
        let at = self.next.fetch_add(1, Ordering::Relaxed) as u64;
        // Only a name to point at the request with.
        if getrandom::getrandom(&mut random).is_err() {
            random = (at as u32).to_be_bytes();
        }
        let id = hex::encode(random);
        let one = Waiting { id, prompt, since: now(), yes: Vec::new(), reply: Some(reply) };
        self.lock().insert(at, one);
        self.changed();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keep_policy::{Approval, Basis, Grant, Policy, Rule, Standing, Usage, Verdict, judge};
    use keep_types::{EndpointId, EventTemplate, Intent, JobId, KeyId, PublicKey, Request};

    fn prompt(approval: Approval) -> Prompt {
        let client = PublicKey::from_byte_array([2; 32]);
        let (endpoint, key) = (EndpointId::from_bytes([1; 16]), KeyId::from_bytes([2; 16]));
        let rule = Rule { approval: Some(approval), ..Rule::sign(keep_policy::Effect::Ask, &[1]) };
        let policy = Policy { rules: vec![rule], ..Policy::default() };
        let grant =
            Grant::new(&client, endpoint, key, policy, keep_policy::Limits::default(), Timestamp::ZERO);
        let event = EventTemplate::new(1, "hello", vec![], 1).into_unsigned(client).unwrap();
        let request = Request {
            id: RequestId::from_bytes([3; 32]),
            origin: Origin::Nip46 { client, endpoint },
            key,
            intent: Intent::SignEvent(event),
            asked_at: Timestamp::ZERO,
        };
        let standing = Standing::Client {
            grant: &grant,
            followed: None,
            usage: &mut Usage::default(),
            relays: &[],
            identity: &client,
        };
        match judge(request, JobId::fresh(), standing, Basis::Fresh, Timestamp::ZERO) {
            Verdict::Ask(question) => question.prompt,
            other => panic!("{other:?}"),
        }
    }

    fn asked(queue: &Approvals, approval: Approval) -> tokio::sync::oneshot::Receiver<Decision> {
        let (reply, decision) = Reply::pair();
        queue.ask(prompt(approval), reply);
        decision
    }

    #[test]
    fn nobody_can_be_asked_unless_somebody_attends() {
        let queue = Arc::new(Approvals::default());
        assert!(!queue.available());
        let attendance = queue.attend();
        assert!(queue.available());
        drop(attendance);
        assert!(!queue.available());
    }

    fn owner() -> Voice {
        Voice::owner(Surface::Command)
    }

    fn bob() -> Voice {
        Voice { by: Decider::Person("bob".to_owned()), seat: None, since: Timestamp::ZERO }
    }

    #[test]
    fn one_person_is_not_two() {
        let queue = Approvals::default();
        let mut decision = asked(&queue, Approval::TwoPersons);
        let id = queue.prompts()[0].0.clone();
        assert_eq!(queue.vote(&id, true, owner(), None).unwrap(), Tally::NeedsMore(1));
        let again = Voice::owner(Surface::Page);
        assert_eq!(queue.vote(&id, true, again, None).unwrap(), Tally::NeedsMore(1), "the same person again");
        assert!(decision.try_recv().is_err());
        assert_eq!(queue.vote(&id[..6], true, bob(), None).unwrap(), Tally::Settled { approved: true });
        let by = vec![owner().by, bob().by];
        let settled = Settled { approved: true, persons: 2, remember: None, by, seats: Vec::new() };
        assert_eq!(decision.try_recv().unwrap(), Decision::Settled(settled));
        assert!(queue.prompts().is_empty());
        assert_eq!(queue.vote(&id, true, bob(), None).unwrap_err().code(), ErrorCode::NotFound);
    }

    #[test]
    fn whoever_came_later_says_no_and_no_yes() {
        let queue = Approvals::default();
        let mut decision = asked(&queue, Approval::TwoPersons);
        let id = queue.prompts()[0].0.clone();
        let late = || Voice { since: Timestamp::from_secs(1), ..bob() };
        assert_eq!(queue.vote(&id, true, late(), None).unwrap_err().code(), ErrorCode::RefusedByPolicy);
        assert_eq!(queue.vote(&id, true, owner(), None).unwrap(), Tally::NeedsMore(1));
        assert!(decision.try_recv().is_err());
        assert_eq!(queue.vote(&id, false, late(), None).unwrap(), Tally::Settled { approved: false });
    }

    /// A person who came while the count was made.
    #[test]
    fn a_yes_waits_for_a_count_that_does_not_know_its_person() {
        let mut code = vec![0xa3, 0x00, 0x63, b'e', b'v', b'e', 0x01, 0x58, 32];
        code.extend([[7; 32].as_slice(), &[0x02, 0x00]].concat());
        let eve: Person = minicbor::decode(&code).unwrap();
        let queue = Arc::new(Approvals::default());
        let mut decision = asked(&queue, Approval::TwoPersons);
        let id = queue.prompts()[0].0.clone();
        let (others, meant, voice) = (Arc::clone(&queue), id.clone(), Voice::of(&eve));
        let mut says_yes = None;
        let before = || {
            says_yes = Some(std::thread::spawn(move || others.vote(&meant, true, voice, None)));
            std::thread::sleep(std::time::Duration::from_millis(200));
            Ok(Vec::new())
        };
        queue.recount(before).unwrap();
        assert_eq!(says_yes.unwrap().join().unwrap().unwrap(), Tally::NeedsMore(1));
        queue.recount(|| Ok(vec![eve])).unwrap();
        assert_eq!(queue.vote(&id, true, owner(), None).unwrap(), Tally::Settled { approved: true });
        assert!(matches!(decision.try_recv(), Ok(Decision::Settled(Settled { persons: 2, .. }))));
    }

    #[test]
    fn one_no_is_enough_and_what_is_gone_is_not_shown() {
        let queue = Approvals::default();
        let mut refused = asked(&queue, Approval::TwoPersons);
        let gone = asked(&queue, Approval::Owner);
        let id = queue.prompts()[0].0.clone();
        assert_eq!(queue.vote(&id, false, bob(), None).unwrap(), Tally::Settled { approved: false });
        match refused.try_recv().unwrap() {
            Decision::Settled(Settled { approved: false, by, .. }) => assert_eq!(by, [bob().by]),
            other => panic!("{other:?}"),
        }
        drop(gone);
        assert!(queue.prompts().is_empty());
    }
}
