//! Authentication to relays (NIP-42).

use std::fmt;

use futures_util::future::BoxFuture;
use keep_types::{Event, Kind, PublicKey, Tag, Tags, Timestamp, UnsignedEvent};

use crate::{RawEvent, RelayUrl};

/// The kind of an authentication event.
pub(crate) const AUTH_KIND: u16 = 22242;

/// How far the time of an authentication event may be off, in seconds.
const AUTH_WINDOW: u64 = 600;

/// A relay asks who is there.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthChallenge {
    /// Who asks, by the address that we connected to (never one that the relay itself names).
    pub relay: RelayUrl,
    /// What is to be signed.
    pub challenge: String,
}

impl AuthChallenge {
    /// The event that answers, unsigned (kind 22242, tags `relay` and `challenge`).
    pub fn answer(&self, author: PublicKey, now: Timestamp) -> UnsignedEvent {
        let tag = |name: &str, value: &str| Tag::parse([name, value]).ok();
        let tags = [tag("relay", self.relay.as_str()), tag("challenge", &self.challenge)];
        let tags = Tags::from_list(tags.into_iter().flatten().collect());
        let created_at = nostr::Timestamp::from_secs(now.as_secs());
        UnsignedEvent::new(author, created_at, Kind::from(AUTH_KIND), tags, "")
    }

    /// Whether the verified `event` answers this challenge at `now`.
    pub(crate) fn is_answered_by(&self, event: &RawEvent, now: Timestamp) -> bool {
        let fresh = event.created_at().as_secs().abs_diff(now.as_secs()) <= AUTH_WINDOW;
        let same_relay = event.tags().iter().any(|tag| {
            let named = tag.first().filter(|name| *name == "relay").and(tag.get(1));
            named.and_then(|url| url.parse::<RelayUrl>().ok()).is_some_and(|url| url.same_host(&self.relay))
        });
        event.kind().as_u16() == AUTH_KIND
            && fresh
            && same_relay
            && event.has_tag("challenge", &self.challenge)
    }
}

impl fmt::Debug for AuthChallenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthChallenge(by {})", self.relay)
    }
}

/// Who answers authentication requests.
///
/// A bunker answers with its transport keys, never with the user's key, which the relay would otherwise learn.
pub trait AuthSigner: Send + Sync + 'static {
    /// The signed answers, one for each key that wants to be known to this relay; none to stay unknown.
    ///
    /// Asked again whenever subscriptions change, since new keys may have come; answers of keys that the relay knows
    /// already are not sent again.
    fn answer(&self, challenge: AuthChallenge) -> BoxFuture<'static, Vec<Event>>;
}

impl<F> AuthSigner for F
where
    F: Fn(AuthChallenge) -> BoxFuture<'static, Vec<Event>> + Send + Sync + 'static,
{
    fn answer(&self, challenge: AuthChallenge) -> BoxFuture<'static, Vec<Event>> {
        self(challenge)
    }
}

#[cfg(test)]
mod tests {
    use nostr::Keys;

    use super::*;

    #[test]
    fn only_the_right_answer_counts() {
        let ask = |relay: &str, challenge: &str| AuthChallenge {
            relay: relay.parse().unwrap(),
            challenge: challenge.to_owned(),
        };
        let (keys, now) = (Keys::generate(), Timestamp::from_secs(10_000));
        let here = ask("ws://127.0.0.1:7000", "abc");
        let answer = |challenge: &AuthChallenge, secs: u64| {
            let unsigned = challenge.answer(keys.public_key(), Timestamp::from_secs(secs));
            RawEvent::trusted(&unsigned.sign_with_keys(&keys).unwrap())
        };
        assert!(here.is_answered_by(&answer(&here, 10_000), now));
        assert!(here.is_answered_by(&answer(&ask("ws://127.0.0.1:7000/path", "abc"), 9_400), now));
        assert!(!here.is_answered_by(&answer(&here, 9_399), now));
        assert!(!here.is_answered_by(&answer(&here, 10_601), now));
        assert!(!here.is_answered_by(&answer(&ask("ws://127.0.0.1:7000", "abd"), 10_000), now));
        assert!(!here.is_answered_by(&answer(&ask("ws://127.0.0.1:7001", "abc"), 10_000), now));
        assert!(!here.is_answered_by(&answer(&ask("wss://evil.example", "abc"), 10_000), now));
        assert!(!format!("{here:?}").contains("abc"));
    }
}
