//! The JSON of a signed event (NIP-01), written into one buffer.

use nostr::Event;

/// What stands around the content and the tags: names, id, author, time, kind and signature.
const AROUND: usize = 400;

/// The JSON of `event` between `before` and `after`, as messages to relays need it; both may be empty.
pub fn event_json(before: &str, event: &Event, after: &str) -> String {
    let tags: usize = event.tags.iter().flat_map(|tag| tag.as_slice()).map(|part| part.len() + 4).sum();
    let room = before.len() + AROUND + tags + event.content.len() + event.content.len() / 8 + after.len();
    let mut json = String::with_capacity(room);
    json.push_str(before);
    json.push_str("{\"id\":\"");
    push_hex(&mut json, event.id.as_bytes());
    json.push_str("\",\"pubkey\":\"");
    push_hex(&mut json, event.pubkey.as_bytes());
    json.push_str("\",\"created_at\":");
    json.push_str(&event.created_at.as_secs().to_string());
    json.push_str(",\"kind\":");
    json.push_str(&event.kind.as_u16().to_string());
    json.push_str(",\"tags\":[");
    for (at, tag) in event.tags.iter().enumerate() {
        json.push_str(if at == 0 { "[" } else { ",[" });
        for (at, part) in tag.as_slice().iter().enumerate() {
            json.push_str(if at == 0 { "" } else { "," });
            push_text(&mut json, part);
        }
        json.push(']');
    }
    json.push_str("],\"content\":");
    push_text(&mut json, &event.content);
    json.push_str(",\"sig\":\"");
    push_hex(&mut json, event.sig.as_ref());
    json.push_str("\"}");
    json.push_str(after);
    json
}

fn push_hex(json: &mut String, bytes: &[u8]) {
    let mut hex = [0; 128];
    let hex = &mut hex[..2 * bytes.len()];
    // Twice the length of what is encoded, as the function wants it; digits are text.
    let _ = hex::encode_to_slice(bytes, hex);
    json.push_str(std::str::from_utf8(hex).unwrap_or_default());
}

/// A JSON string (RFC 8259, section 7). Text that needs no escape, as nearly all does, is copied as it is.
fn push_text(json: &mut String, text: &str) {
    if text.bytes().any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        // The JSON of a text cannot fail.
        json.push_str(&serde_json::to_string(text).unwrap_or_default());
    } else {
        json.push('"');
        json.push_str(text);
        json.push('"');
    }
}

#[cfg(test)]
mod tests {
    use nostr::secp256k1::schnorr::Signature;
    use nostr::{EventId, JsonUtil as _, Kind, PublicKey, Tag, Timestamp};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_comes_back(
            bytes in any::<[u8; 32]>(),
            created_at in any::<u64>(),
            kind in any::<u16>(),
            tags in proptest::collection::vec(proptest::collection::vec(any::<String>(), 1..4), 0..4),
            content in "\\PC*|[\u{0}-\u{1f}\"\\\\a-z]{0,40}",
        ) {
            let tags: Vec<Tag> = tags.into_iter().map(|tag| Tag::parse(tag).unwrap()).collect();
            let event = Event::new(
                EventId::from_byte_array(bytes),
                PublicKey::from_byte_array(bytes),
                Timestamp::from_secs(created_at),
                Kind::from(kind),
                tags,
                content,
                Signature::from_slice(&[bytes, bytes].concat()).unwrap(),
            );
            let json = event_json("", &event, "");
            prop_assert_eq!(&json, &event.as_json());
            prop_assert_eq!(Event::from_json(&json).unwrap(), event.clone());
            prop_assert_eq!(event_json("[", &event, "]"), format!("[{json}]"));
        }
    }
}
