//! What becomes of a published event.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use keep_types::DisplayText;
use tokio::sync::watch;

use crate::{NetError, RelayUrl};

/// What one relay did with an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The relay said OK.
    Accepted,
    /// The relay said no, with this reason.
    Rejected(DisplayText),
    /// Sent, and no answer in time. Some relays never answer for ephemeral kinds; the event may well have arrived.
    NoAnswer,
    /// Not sent in time, with the reason.
    NotSent(DisplayText),
}

/// What one relay did with an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The relay.
    pub relay: RelayUrl,
    /// What it did.
    pub outcome: Outcome,
}

/// An event on its way. Dropping this neither cancels nor waits.
pub struct Publication {
    shared: Arc<Shared>,
}

struct Shared {
    outcomes: Mutex<Vec<(RelayUrl, Option<Outcome>)>>,
    changed: watch::Sender<()>,
}

impl Shared {
    fn reports(&self) -> Vec<(RelayUrl, Option<Outcome>)> {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The duty to tell what one relay did; telling nothing counts as [`Outcome::NotSent`].
pub(crate) struct Ticket {
    shared: Arc<Shared>,
    index: usize,
    told: bool,
}

impl Publication {
    /// A publication to these relays, and the duty to report for each.
    pub(crate) fn new(relays: impl IntoIterator<Item = RelayUrl>) -> (Self, Vec<Ticket>) {
        let outcomes: Vec<_> = relays.into_iter().map(|relay| (relay, None)).collect();
        let count = outcomes.len();
        let shared = Arc::new(Shared { outcomes: Mutex::new(outcomes), changed: watch::Sender::new(()) });
        let ticket = |index| Ticket { shared: shared.clone(), index, told: false };
        let tickets = (0..count).map(ticket).collect();
        (Self { shared }, tickets)
    }

    /// What every relay did. Ends at the latest after the transport's time limit for publishing.
    pub async fn reports(&self) -> Vec<Report> {
        let all_told = |shared: &Shared| {
            let outcomes = shared.reports();
            outcomes.iter().all(|(_, outcome)| outcome.is_some()).then_some(outcomes)
        };
        let outcomes = self.wait(all_told).await;
        outcomes
            .into_iter()
            .filter_map(|(relay, outcome)| outcome.map(|outcome| Report { relay, outcome }))
            .collect()
    }

    /// Waits for the first relay that accepts, and names it.
    ///
    /// # Errors
    /// When none does: [`NetError::Refused`] if one said no, else [`NetError::TimedOut`] if one took it without an
    /// answer, else [`NetError::Unreachable`]; [`NetError::NoRelay`].
    pub async fn accepted(&self) -> Result<RelayUrl, NetError> {
        self.wait(|shared| {
            let outcomes = shared.reports();
            let first = outcomes.iter().find(|(_, outcome)| *outcome == Some(Outcome::Accepted));
            match first {
                Some((relay, _)) => Some(Ok(relay.clone())),
                None if outcomes.iter().all(|(_, o)| o.is_some()) => Some(Err(why_not(&outcomes))),
                None => None,
            }
        })
        .await
    }

    async fn wait<T>(&self, ready: impl Fn(&Shared) -> Option<T>) -> T {
        let mut changes = self.shared.changed.subscribe();
        loop {
            changes.borrow_and_update();
            if let Some(value) = ready(&self.shared) {
                return value;
            }
            // The sender lives in `self.shared`, so this cannot fail while we wait.
            let _ = changes.changed().await;
        }
    }
}

fn why_not(outcomes: &[(RelayUrl, Option<Outcome>)]) -> NetError {
    if outcomes.is_empty() {
        return NetError::NoRelay;
    }
    let refused = outcomes.iter().find_map(|(relay, outcome)| match outcome {
        Some(Outcome::Rejected(reason)) => {
            Some(NetError::Refused { relay: relay.clone(), reason: reason.clone() })
        }
        _ => None,
    });
    if let Some(error) = refused {
        return error;
    }
    if outcomes.iter().any(|(_, outcome)| *outcome == Some(Outcome::NoAnswer)) {
        return NetError::TimedOut;
    }
    let reasons: Vec<_> = outcomes
        .iter()
        .filter_map(|(relay, outcome)| match outcome {
            Some(Outcome::NotSent(reason)) => Some(format!("{relay}: {reason}")),
            _ => None,
        })
        .collect();
    NetError::Unreachable { reasons: DisplayText::truncated(&reasons.join("; "), 500) }
}

impl Ticket {
    /// Reports, once.
    pub fn tell(mut self, outcome: Outcome) {
        self.set(outcome);
    }

    fn set(&mut self, outcome: Outcome) {
        if std::mem::replace(&mut self.told, true) {
            return;
        }
        let mut outcomes = self.shared.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, slot)) = outcomes.get_mut(self.index) {
            *slot = Some(outcome);
        }
        drop(outcomes);
        self.shared.changed.send_replace(());
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.set(Outcome::NotSent("the connection to the relays has been shut down".into()));
    }
}

impl fmt::Debug for Publication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Publication").field(&self.shared.reports()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(name: &str) -> RelayUrl {
        format!("ws://{name}.example").parse().unwrap()
    }

    #[tokio::test]
    async fn one_acceptance_is_enough_and_reports_name_every_relay() {
        let (publication, mut tickets) = Publication::new([url("a"), url("b")]);
        tickets.pop().unwrap().tell(Outcome::Accepted);
        assert_eq!(publication.accepted().await.unwrap(), url("b"));
        drop(tickets);
        let reports = publication.reports().await;
        assert!(matches!(&reports[0], Report { outcome: Outcome::NotSent(_), .. }));
        assert_eq!(reports[1], Report { relay: url("b"), outcome: Outcome::Accepted });
    }

    #[tokio::test]
    async fn the_most_telling_reason_wins() {
        let tell = |outcomes: Vec<Outcome>| async {
            let (publication, tickets) = Publication::new([url("a"), url("b")]);
            tickets.into_iter().zip(outcomes).for_each(|(ticket, outcome)| ticket.tell(outcome));
            publication.accepted().await.unwrap_err()
        };
        let refused = tell(vec![Outcome::NoAnswer, Outcome::Rejected("blocked: spam".into())]).await;
        assert!(matches!(refused, NetError::Refused { .. }));
        assert_eq!(tell(vec![Outcome::NotSent("down".into()), Outcome::NoAnswer]).await, NetError::TimedOut);
        let down = tell(vec![Outcome::NotSent("x".into()), Outcome::NotSent("y".into())]).await;
        assert!(down.to_string().contains("ws://a.example: x; ws://b.example: y"));
        assert_eq!(Publication::new([]).0.accepted().await.unwrap_err(), NetError::NoRelay);
    }
}
