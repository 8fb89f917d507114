//! The id of an event (NIP-01), hashed without building its JSON in memory.

use std::io;

use nostr::{Event, EventId, Kind, PublicKey, Tags, Timestamp, UnsignedEvent};
use sha2::{Digest, Sha256};

/// The id that NIP-01 gives the fields of `event`; the id that may stand beside them is not looked at.
pub fn event_id(event: &UnsignedEvent) -> EventId {
    id_of(&event.pubkey, event.created_at, event.kind, &event.tags, &event.content)
}

/// Whether the id of `event` is the one that NIP-01 gives its fields. The signature is not looked at.
pub fn has_own_id(event: &Event) -> bool {
    event.id == id_of(&event.pubkey, event.created_at, event.kind, &event.tags, &event.content)
}

fn id_of(author: &PublicKey, created_at: Timestamp, kind: Kind, tags: &Tags, content: &str) -> EventId {
    let mut hex = [0; 64];
    // Twice the length of a public key, as the function wants it.
    let _ = hex::encode_to_slice(author.as_bytes(), &mut hex);
    let author = std::str::from_utf8(&hex).unwrap_or_default();
    let fields = (0_u8, author, created_at.as_secs(), kind.as_u16(), tags, content);
    let mut hash = Hashing { hash: Sha256::new(), waiting: [0; 512], filled: 0 };
    // Neither the hash nor the JSON of strings and numbers can fail; if they did, this is the id of no event.
    match serde_json::to_writer(&mut hash, &fields) {
        Ok(()) => EventId::from_byte_array(hash.finish()),
        Err(_) => EventId::all_zeros(),
    }
}

/// What is written is hashed: in large pieces, as JSON comes in many small ones.
struct Hashing {
    hash: Sha256,
    waiting: [u8; 512],
    filled: usize,
}

impl Hashing {
    fn finish(mut self) -> [u8; 32] {
        self.hash_waiting();
        self.hash.finalize().into()
    }

    fn hash_waiting(&mut self) {
        self.hash.update(&self.waiting[..self.filled]);
        self.filled = 0;
    }
}

impl io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.waiting.len() - self.filled < bytes.len() {
            self.hash_waiting();
        }
        match self.waiting.get_mut(self.filled..self.filled + bytes.len()) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.filled += bytes.len();
            }
            None => self.hash.update(bytes),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use nostr::Tag;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_id_of_nip_01(
            author in any::<[u8; 32]>(),
            created_at in any::<u64>(),
            kind in any::<u16>(),
            tags in proptest::collection::vec(proptest::collection::vec(any::<String>(), 1..4), 0..4),
            content in any::<String>(),
        ) {
            let tags = Tags::from_list(tags.into_iter().map(|tag| Tag::parse(tag).unwrap()).collect());
            let event = UnsignedEvent {
                id: Some(EventId::all_zeros()),
                pubkey: PublicKey::from_byte_array(author),
                created_at: Timestamp::from_secs(created_at),
                kind: Kind::from(kind),
                tags,
                content,
            };
            let known = EventId::new(&event.pubkey, &event.created_at, &event.kind, &event.tags, &event.content);
            prop_assert_eq!(event_id(&event), known);
        }
    }

    /// Texts that end before, at and after the end of what is hashed at once.
    #[test]
    fn long_texts_are_hashed_whole() {
        let author = PublicKey::from_byte_array([0x11; 32]);
        for piece in ["a", "é\"", "\u{1}"] {
            for pieces in (0..1200).chain([4000]) {
                let event = nostr::EventBuilder::text_note(piece.repeat(pieces)).build(author);
                let known =
                    EventId::new(&event.pubkey, &event.created_at, &event.kind, &event.tags, &event.content);
                assert_eq!(event_id(&event), known, "{pieces} times {piece:?}");
            }
        }
    }

    /// Quotes, backslashes and control characters, as NIP-01 wants them escaped.
    #[test]
    fn escapes_are_those_of_nip_01() {
        let content = "line\n\"quoted\"\\\u{8}\u{c}\r\t\u{1}é";
        let author = PublicKey::from_byte_array([0x11; 32]);
        let event = nostr::EventBuilder::text_note(content).build(author);
        let json = format!(
            r#"[0,"{}",{},1,[],"line\n\"quoted\"\\\b\f\r\t\u0001é"]"#,
            "11".repeat(32),
            event.created_at.as_secs()
        );
        let hash: [u8; 32] = Sha256::digest(json).into();
        assert_eq!(event_id(&event).to_bytes(), hash);
    }
}
