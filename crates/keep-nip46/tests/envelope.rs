//! Envelopes: what opens, what does not, and that the same values give the same event.
#![allow(clippy::unwrap_used)]

mod common;

use common::{at, key, letter, public, sign};
use keep_cipher::CipherError;
use keep_nip46::EnvelopeError;
use keep_nip46::envelope::{self, KIND, MAX_CONTENT, Seal};
use keep_types::{Event, PublicKey, Scheme};
use nostr::{JsonUtil, Kind, Tag};
use proptest::prelude::*;

fn seal_to(to: PublicKey, scheme: Scheme) -> Seal {
    Seal { to, scheme, created_at: at(1_700_000_000), nonce: [3; 32], aux_rand: [4; 32] }
}

fn p_tag(key: &PublicKey) -> Tag {
    Tag::parse(["p", &key.to_hex()]).unwrap()
}

fn error(event: &Event) -> EnvelopeError {
    envelope::open(event, &key(2)).unwrap_err()
}

#[test]
fn sealed_here_opened_there() {
    for scheme in [Scheme::Nip44, Scheme::Nip04] {
        let event = envelope::seal(&key(1), "hello", &seal_to(public(2), scheme)).unwrap();
        assert_eq!((event.kind, event.pubkey, event.tags.len()), (KIND, public(1), 1));
        assert!(envelope::is_for(&event, &key(2)) && !envelope::is_for(&event, &key(1)));
        assert!(envelope::verify(&event).is_ok());
        let message = envelope::open(&event, &key(2)).unwrap().verify().unwrap();
        assert_eq!(message.plaintext.expose(), "hello");
        assert_eq!((message.author, message.scheme, message.event_id), (public(1), scheme, event.id));
        assert_eq!((message.created_at, message.expires), (at(1_700_000_000), None));
        // Through JSON, as a relay carries it.
        let carried = Event::from_json(event.as_json()).unwrap();
        assert!(envelope::open(&carried, &key(2)).unwrap().verify().is_ok());
    }
}

#[test]
fn the_same_values_give_the_same_event() {
    for scheme in [Scheme::Nip44, Scheme::Nip04] {
        let transport = key(1);
        let first = envelope::seal(&transport, "hello", &seal_to(public(2), scheme)).unwrap();
        let again = envelope::seal(&transport, "hello", &seal_to(public(2), scheme)).unwrap();
        transport.forget_conversations();
        let after = envelope::seal(&key(1), "hello", &seal_to(public(2), scheme)).unwrap();
        assert_eq!(first.as_json(), again.as_json());
        assert_eq!(first.as_json(), after.as_json());
        let mut other = seal_to(public(2), scheme);
        other.nonce = [5; 32];
        assert_ne!(envelope::seal(&transport, "hello", &other).unwrap().id, first.id);
        let mut other = seal_to(public(2), scheme);
        other.aux_rand = [5; 32];
        let resigned = envelope::seal(&transport, "hello", &other).unwrap();
        assert!(resigned.id == first.id && resigned.sig != first.sig);
    }
}

#[test]
fn what_is_not_for_us_is_not_opened() {
    let good = letter(&key(1), &public(2), "hello", 1, 1);
    let to_us = vec![p_tag(&public(2))];
    assert_eq!(error(&sign(1, Kind::TextNote, to_us.clone(), &good.content, 1)), EnvelopeError::Kind);
    assert_eq!(error(&sign(1, KIND, vec![], &good.content, 1)), EnvelopeError::NotForUs);
    assert_eq!(error(&sign(1, KIND, vec![p_tag(&public(3))], &good.content, 1)), EnvelopeError::NotForUs);
    assert_eq!(error(&sign(2, KIND, to_us.clone(), &good.content, 1)), EnvelopeError::OwnEvent);
    let long = "A".repeat(MAX_CONTENT + 1);
    assert_eq!(error(&sign(1, KIND, to_us.clone(), &long, 1)), EnvelopeError::TooLong(MAX_CONTENT + 1));
    let mac = EnvelopeError::Cipher(CipherError::Mac);
    assert_eq!(error(&sign(3, KIND, to_us.clone(), &good.content, 1)), mac);
    let nonsense = error(&sign(1, KIND, to_us.clone(), "nonsense?iv=", 1));
    assert_eq!(nonsense, EnvelopeError::Cipher(CipherError::Nip04));
    let off_curve = PublicKey::from_byte_array([0xff; 32]);
    let mut forged = good.clone();
    forged.pubkey = off_curve;
    assert_eq!(error(&forged), EnvelopeError::Cipher(CipherError::PeerKey));
    let seal = seal_to(off_curve, Scheme::Nip44);
    let error = envelope::seal(&key(1), "hello", &seal).unwrap_err();
    assert_eq!(error, EnvelopeError::Cipher(CipherError::PeerKey));
}

/// The MAC covers the content only: whoever saw an event can put another time, tag or id around it.
#[test]
fn what_the_mac_does_not_cover_the_signature_does() {
    let good = letter(&key(1), &public(2), "hello", 1_000, 1);
    let other = letter(&key(1), &public(2), "other", 2_000, 2);
    let mut later = good.clone();
    later.created_at = nostr::Timestamp::from_secs(2_000);
    let mut tagged = good.clone();
    tagged.tags.push(Tag::parse(["expiration", "5000"]).unwrap());
    let mut renamed = good.clone();
    renamed.id = other.id;
    let mut resigned = good.clone();
    resigned.sig = other.sig;
    for forged in [later, tagged, renamed, resigned] {
        let opened = envelope::open(&forged, &key(2)).unwrap();
        assert_eq!(opened.verify().unwrap_err(), EnvelopeError::Signature);
    }
    assert!(envelope::open(&good, &key(2)).unwrap().verify().is_ok());
}

#[test]
fn expirations_are_read() {
    let with = |value: &str| {
        let tags = vec![p_tag(&public(2)), Tag::parse(["expiration", value]).unwrap()];
        envelope::expires(&sign(1, KIND, tags, "", 1))
    };
    assert_eq!(with("1700000000"), Some(at(1_700_000_000)));
    assert_eq!(with("soon"), None);
    assert_eq!(with("-1"), None);
}

#[test]
fn junk_does_not_fill_the_cache() {
    let ours = key(2);
    for author in 3..40 {
        let junk = letter(&key(author), &public(1), "for somebody else", 1, 1);
        let junk = sign(author, KIND, vec![p_tag(&public(2))], &junk.content, 1);
        assert!(envelope::open(&junk, &ours).is_err());
    }
    assert_eq!(ours.conversations(), 0);
    let good = letter(&key(1), &public(2), "hello", 1, 1);
    assert!(envelope::open(&good, &ours).is_ok());
    assert_eq!(ours.conversations(), 1);
}

#[test]
fn debug_shows_no_plaintext() {
    let good = letter(&key(1), &public(2), "hush", 1, 1);
    let ours = key(2);
    let opened = envelope::open(&good, &ours).unwrap();
    let opened_shown = format!("{opened:?}");
    let received = opened.verify().unwrap();
    assert!(!format!("{opened_shown} {received:?}").contains("hush"));
}

proptest! {
    #[test]
    fn arbitrary_contents_never_panic(content in "\\PC{0,300}", base in "[A-Za-z0-9+/=?iv]{0,300}") {
        for content in [content, base.clone(), format!("Ag{base}"), format!("{base}?iv={base}")] {
            let event = sign(1, KIND, vec![p_tag(&public(2))], &content, 1);
            prop_assert!(envelope::open(&event, &key(2)).is_err());
        }
    }
}
