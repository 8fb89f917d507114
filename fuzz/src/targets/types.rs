//! Targets of keep-types.

use keep_types::{DisplayText, EventTemplate, Name, PublicKey};

/// The x coordinate of the generator of secp256k1: a valid public key.
const AUTHOR: &str = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

/// The JSON of a `sign_event` request. What becomes an event has the id of its own fields.
pub fn event_template(input: &[u8]) {
    let Ok(json) = std::str::from_utf8(input) else { return };
    let Ok(author) = PublicKey::from_hex(AUTHOR) else { return };
    if let Ok(event) = EventTemplate::from_json(json).and_then(|template| template.into_unsigned(author)) {
        assert!(event.verify_id().is_ok(), "the id is not the hash of the event");
        assert_eq!(event.pubkey, author);
    }
}

/// Names of keys and clients. An accepted name is accepted again, unchanged, and shows as it is.
pub fn name(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Ok(name) = Name::new(&text) {
        assert!(!name.as_str().is_empty() && name.as_str().chars().count() <= Name::MAX_CHARS);
        assert_eq!(Name::new(name.as_str()).as_ref(), Ok(&name));
        assert_eq!(DisplayText::new(name.as_str()).as_str(), name.as_str());
    }
}

/// Text for people. It holds no control character, and neutralising it twice changes nothing.
pub fn display_text(input: &[u8]) {
    let text = DisplayText::new(&String::from_utf8_lossy(input));
    assert!(!text.as_str().chars().any(char::is_control), "a control character gets through");
    assert_eq!(DisplayText::new(text.as_str()), text);
}
