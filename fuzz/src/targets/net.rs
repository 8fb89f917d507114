//! Targets of keep-net: what relays and their users send.

use keep_net::{Filter, RawEvent, RelayUrl};

/// The largest event that is read, in bytes.
const LIMIT: usize = 1 << 16;

/// The JSON of an event. Its id and signature hold only if they are right.
pub fn relay_event(input: &[u8]) {
    let Ok(json) = std::str::from_utf8(input) else { return };
    if let Ok(event) = RawEvent::from_json(json, LIMIT) {
        let id = event.id();
        if let Ok(event) = event.verify() {
            assert_eq!(event.id, id);
            assert!(event.verify().is_ok(), "verified here and not by the reference");
        }
    }
}

/// The JSON of a filter. What is accepted means the same when it is written again.
pub fn relay_filter(input: &[u8]) {
    if let Ok(filter) = serde_json::from_slice::<Filter>(input) {
        let json = serde_json::to_vec(&filter).unwrap_or_default();
        assert_eq!(serde_json::from_slice::<Filter>(&json).ok(), Some(filter));
    }
}

/// The address of a relay. An accepted address is accepted again, unchanged.
pub fn relay_url(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Ok(url) = text.parse::<RelayUrl>() {
        assert!(url.as_str().starts_with("ws"));
        assert_eq!(url.as_str().parse().as_ref(), Ok(&url));
    }
}
