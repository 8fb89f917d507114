//! Relays that an event names (NIP-42 `relay` tags).

use keep_types::UnsignedEvent;

/// The addresses in the event's `relay` tags; `None` for one that has no address.
pub fn named_relays(event: &UnsignedEvent) -> impl Iterator<Item = Option<&str>> {
    event
        .tags
        .iter()
        .map(|tag| tag.as_slice())
        .filter(|tag| tag.first().is_some_and(|name| name == "relay"))
        .map(|tag| tag.get(1).map(String::as_str))
}

/// Relay addresses are compared without the slash at their end; scheme and host do not depend on case, the path does.
pub fn same_relay(a: &str, b: &str) -> bool {
    let split = |url: &str| {
        let url = url.trim_end_matches('/');
        let host = url.find("://").map_or(0, |at| at + 3);
        let path = url[host..].find('/').map_or(url.len(), |at| host + at);
        (url[..path].to_ascii_lowercase(), url[path..].to_owned())
    };
    split(a) == split(b)
}
