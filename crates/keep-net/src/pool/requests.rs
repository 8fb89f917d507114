//! The REQs of one connection, and which feed each serves.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use keep_types::{DisplayText, Timestamp};
use tokio_tungstenite::tungstenite::Message;

use super::session::retry_after;
use crate::message;
use crate::rng::SplitMix;
use crate::subscription::{Feed, Stage, Wanted};
use crate::{Filter, RawEvent, RelayUrl};

/// How often in a row a REQ that wants an authentication is repeated at once after one was accepted.
const AUTH_RETRIES: u32 = 2;

/// What could lift a refusal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Nothing that we know.
    Plain,
    /// An authentication, which is possible now.
    UntilAuthenticated,
    /// An authentication, once the relay sends a challenge.
    UntilChallenged,
}

/// What a refused REQ waits for before it is repeated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Waits {
    ForAuth,
    ForTime,
}

enum State {
    /// No EOSE yet.
    Waiting {
        until: Instant,
    },
    Live,
    /// Closed by the relay; asked again at that time, or once authenticated.
    Refused {
        retry: Instant,
        auth: bool,
    },
}

struct Open {
    feed: Arc<Feed>,
    wanted: Wanted,
    state: State,
    /// Older REQs of the same feed, closed when this one is live.
    replaces: Vec<String>,
    refusals: u32,
}

/// From which feed and since when a gap is to be asked for.
struct Gap {
    generation: u64,
    since: Timestamp,
}

pub(super) struct Requests {
    relay: RelayUrl,
    grace: Duration,
    /// By the name that the relay knows. Random, so that it tells the relay nothing.
    open: HashMap<String, Open>,
    /// The newest name of each feed.
    current: HashMap<u64, String>,
    gaps: HashMap<u64, Gap>,
    rng: SplitMix,
}

impl Requests {
    pub fn new(relay: RelayUrl, grace: Duration) -> Self {
        Self {
            relay,
            grace,
            open: HashMap::new(),
            current: HashMap::new(),
            gaps: HashMap::new(),
            rng: SplitMix::from_system(),
        }
    }

    /// Asks for what is wanted and not yet asked for, and ends what is not wanted any more. True if it asked anew.
    pub fn reconcile(&mut self, feeds: &[Arc<Feed>], now: Instant, out: &mut VecDeque<Message>) -> bool {
        let mut asked = false;
        let mut served = HashSet::new();
        for feed in feeds.iter().filter(|feed| !feed.is_closed()) {
            let wanted = feed.wanted();
            if !wanted.relays.contains(&self.relay) {
                continue;
            }
            served.insert(feed.id);
            let current = self.current.get(&feed.id).and_then(|name| self.open.get(name));
            if current.is_none_or(|open| open.wanted.generation != wanted.generation) {
                self.ask(feed.clone(), wanted, 0, now, out);
                asked = true;
            }
        }
        let ended: Vec<_> = self.current.keys().filter(|id| !served.contains(id)).copied().collect();
        for id in ended {
            self.end(id, out);
        }
        self.gaps.retain(|id, _| served.contains(id));
        asked
    }

    fn ask(
        &mut self,
        feed: Arc<Feed>,
        wanted: Wanted,
        refusals: u32,
        now: Instant,
        out: &mut VecDeque<Message>,
    ) {
        let name = format!("{:016x}", self.rng.next_u64());
        let mut replaces = Vec::new();
        if let Some(old) = self.current.insert(feed.id, name.clone()) {
            if let Some(open) = self.open.get_mut(&old) {
                replaces.append(&mut open.replaces);
            }
            match self.open.get(&old).map(|open| &open.state) {
                Some(State::Refused { .. }) => {
                    self.open.remove(&old);
                }
                Some(_) => replaces.push(old),
                None => {}
            }
        }
        let gap = self.gaps.get(&feed.id).filter(|gap| gap.generation == wanted.generation);
        let text = match gap {
            Some(gap) => {
                let filters: Vec<_> = wanted.filters.iter().map(|f| f.resumed(gap.since)).collect();
                message::request(&name, &filters)
            }
            None => message::request(&name, &wanted.filters),
        };
        out.push_back(Message::text(text));
        feed.stage(&self.relay, wanted.generation, Stage::Opening);
        let state = State::Waiting { until: now + self.grace };
        self.open.insert(name, Open { feed, wanted, state, replaces, refusals });
    }

    fn end(&mut self, feed: u64, out: &mut VecDeque<Message>) {
        self.current.remove(&feed);
        self.open.retain(|name, open| {
            let ended = open.feed.id == feed;
            if ended && !matches!(open.state, State::Refused { .. }) {
                out.push_back(Message::text(message::short("CLOSE", name)));
            }
            !ended
        });
    }

    /// EOSE, or believed to be.
    pub fn live(&mut self, name: &str, out: &mut VecDeque<Message>) {
        let Some(open) = self.open.get_mut(name) else { return };
        open.state = State::Live;
        open.refusals = 0;
        open.feed.stage(&self.relay, open.wanted.generation, Stage::Live);
        self.gaps.remove(&open.feed.id);
        for old in std::mem::take(&mut open.replaces) {
            if self.open.remove(&old).is_some() {
                out.push_back(Message::text(message::short("CLOSE", &old)));
            }
        }
    }

    /// Gives an event to its feed if it is one that was asked for: relays may send anything.
    pub fn deliver(&self, name: &str, event: RawEvent, now: Instant) {
        let Some(open) = self.open.get(name) else { return };
        if open.wanted.filters.iter().any(|filter: &Filter| filter.matches(&event)) {
            let stored = !matches!(open.state, State::Live);
            open.feed.deliver(&self.relay, event, stored, now);
        }
    }

    /// CLOSED by the relay; `None` if it was no REQ that matters.
    pub fn refused(
        &mut self,
        name: &str,
        refusal: Refusal,
        reason: &DisplayText,
        now: Instant,
    ) -> Option<Waits> {
        let open = self.open.get_mut(name)?;
        if self.current.get(&open.feed.id).is_none_or(|current| current != name) {
            self.open.remove(name);
            return None;
        }
        let auth = refusal != Refusal::Plain && open.refusals <= AUTH_RETRIES;
        open.state = State::Refused { retry: now + retry_after(open.refusals), auth };
        open.refusals = open.refusals.saturating_add(1);
        if auth && refusal == Refusal::UntilAuthenticated {
            return Some(Waits::ForAuth);
        }
        open.feed.stage(&self.relay, open.wanted.generation, Stage::Failed(reason.clone()));
        Some(if auth { Waits::ForAuth } else { Waits::ForTime })
    }

    /// An authentication was accepted: asks again what was refused for want of it.
    pub fn authenticated(&mut self, now: Instant, out: &mut VecDeque<Message>) {
        self.ask_again(now, out, |state| matches!(state, State::Refused { auth: true, .. }));
    }

    /// No authentication will come. True if something waited for it.
    pub fn auth_failed(&mut self, reason: &DisplayText) -> bool {
        let mut any = false;
        for open in self.open.values_mut() {
            if let State::Refused { auth, .. } = &mut open.state
                && std::mem::take(auth)
            {
                any = true;
                open.feed.stage(&self.relay, open.wanted.generation, Stage::Failed(reason.clone()));
            }
        }
        any
    }

    /// Believes relays that send no EOSE, and asks again where one refused a while ago.
    pub fn tick(&mut self, now: Instant, out: &mut VecDeque<Message>) {
        let silent: Vec<_> = self
            .open
            .iter()
            .filter(|(_, open)| matches!(open.state, State::Waiting { until } if until <= now))
            .map(|(name, _)| name.clone())
            .collect();
        for name in silent {
            self.live(&name, out);
        }
        self.ask_again(now, out, |state| matches!(state, State::Refused { retry, .. } if *retry <= now));
    }

    fn ask_again(&mut self, now: Instant, out: &mut VecDeque<Message>, which: impl Fn(&State) -> bool) {
        let again: Vec<_> = self
            .open
            .values()
            .filter(|open| which(&open.state))
            .map(|open| (open.feed.clone(), open.wanted.clone(), open.refusals))
            .collect();
        for (feed, wanted, refusals) in again {
            self.ask(feed, wanted, refusals, now, out);
        }
    }

    /// The connection is gone. What was live is asked for again from `since` on.
    pub fn lost(&mut self, reason: &DisplayText, since: Timestamp) {
        for open in self.open.values() {
            let newest = self.current.get(&open.feed.id).and_then(|name| self.open.get(name));
            let is_newest = newest.is_some_and(|n| n.wanted.generation == open.wanted.generation);
            if is_newest && matches!(open.state, State::Live) {
                self.gaps.insert(open.feed.id, Gap { generation: open.wanted.generation, since });
            }
            open.feed.stage_now(&self.relay, Stage::Failed(reason.clone()));
        }
        self.open.clear();
        self.current.clear();
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        self.open
            .values()
            .filter_map(|open| match open.state {
                State::Waiting { until } => Some(until),
                State::Refused { retry, .. } => Some(retry),
                State::Live => None,
            })
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{InboxLimits, Relays};

    struct Bench {
        requests: Requests,
        feeds: Vec<Arc<Feed>>,
        out: VecDeque<Message>,
        now: Instant,
    }

    impl Bench {
        fn new() -> Self {
            let url: RelayUrl = "ws://a.example".parse().unwrap();
            let feed = Feed::new(vec![Filter::new()], Relays::All, InboxLimits::default());
            Self {
                requests: Requests::new(url, Duration::from_secs(3)),
                feeds: vec![feed],
                out: VecDeque::new(),
                now: Instant::now(),
            }
        }

        fn reconcile(&mut self) -> bool {
            self.requests.reconcile(&self.feeds, self.now, &mut self.out)
        }

        fn after(&mut self, secs: u64) {
            self.now += Duration::from_secs(secs);
            self.requests.tick(self.now, &mut self.out);
        }

        /// The next message: its kind and the subscription's name.
        fn said(&mut self) -> Option<(String, String)> {
            let message = self.out.pop_front()?;
            let json: serde_json::Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
            Some((json[0].as_str().unwrap().to_owned(), json[1].as_str().unwrap().to_owned()))
        }

        fn asked(&mut self) -> String {
            let (kind, name) = self.said().expect("a message");
            assert_eq!(kind, "REQ");
            name
        }

        fn refuse(&mut self, name: &str, refusal: Refusal) -> Option<Waits> {
            self.requests.refused(name, refusal, &"no".into(), self.now)
        }
    }

    #[test]
    fn a_refused_subscription_is_asked_for_again_ever_more_rarely() {
        let mut bench = Bench::new();
        assert!(bench.reconcile() && !bench.reconcile());
        let mut name = bench.asked();
        for wait in [5, 10, 20, 40, 80, 160, 300, 300] {
            assert!(bench.refuse(&name, Refusal::Plain) == Some(Waits::ForTime));
            bench.after(wait - 1);
            assert!(bench.out.is_empty() && !bench.reconcile(), "too early after {wait}");
            bench.after(1);
            name = bench.asked();
        }
        bench.requests.live(&name, &mut bench.out);
        assert!(bench.requests.next_deadline().is_none() && bench.out.is_empty());
        bench.refuse(&name, Refusal::Plain);
        bench.after(5);
        bench.asked();
    }

    #[test]
    fn authentication_is_not_tried_for_ever() {
        let mut bench = Bench::new();
        bench.reconcile();
        for _ in 0..=AUTH_RETRIES {
            let name = bench.asked();
            assert!(bench.refuse(&name, Refusal::UntilAuthenticated) == Some(Waits::ForAuth));
            bench.requests.authenticated(bench.now, &mut bench.out);
        }
        let name = bench.asked();
        assert!(bench.refuse(&name, Refusal::UntilAuthenticated) == Some(Waits::ForTime));
        bench.requests.authenticated(bench.now, &mut bench.out);
        assert!(bench.out.is_empty());
    }

    #[test]
    fn the_old_request_ends_when_the_new_one_is_live() {
        let mut bench = Bench::new();
        bench.reconcile();
        let first = bench.asked();
        let url = bench.requests.relay.clone();
        // Changed twice before the relay has answered at all.
        for limit in 1..=2 {
            bench.feeds[0].update(vec![Filter::new().limit(limit)]);
            assert!(bench.reconcile());
        }
        let (second, third) = (bench.asked(), bench.asked());
        bench.requests.live(&first, &mut bench.out);
        assert!(bench.out.is_empty(), "an old answer says nothing about the new request");
        bench.requests.live(&third, &mut bench.out);
        let mut closed = [bench.said().unwrap(), bench.said().unwrap()];
        closed.sort();
        let mut expected = [("CLOSE".to_owned(), first), ("CLOSE".to_owned(), second)];
        expected.sort();
        assert_eq!(closed, expected);
        bench.feeds[0].forget(&url);
        bench.feeds.clear();
        bench.reconcile();
        assert_eq!(bench.said().unwrap(), ("CLOSE".to_owned(), third));
        assert!(bench.requests.open.is_empty() && bench.requests.current.is_empty());
    }
}
