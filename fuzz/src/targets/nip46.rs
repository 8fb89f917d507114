//! Targets of keep-nip46: what clients and people paste or send.

use keep_nip46::message::{Call, Outcome, Reply};
use keep_nip46::{BunkerUri, NostrConnectUri, Permissions};

/// `bunker://` and `nostrconnect://` addresses. What is accepted means the same when it is written again.
pub fn nip46_uri(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Ok(uri) = BunkerUri::parse(&text) {
        let again = BunkerUri::parse(&uri.to_string());
        assert!(again.is_ok_and(|again| {
            (again.remote(), again.relays(), again.secret()) == (uri.remote(), uri.relays(), uri.secret())
        }));
    }
    if let Ok(uri) = NostrConnectUri::parse(&text) {
        let again = NostrConnectUri::parse(&uri.to_string());
        assert!(again.is_ok_and(|again| {
            (again.client(), again.relays(), again.secret()) == (uri.client(), uri.relays(), uri.secret())
                && again.permissions() == uri.permissions()
        }));
    }
}

/// The permissions that a client wishes for. A wish is always read; strict reading accepts what is written.
pub fn nip46_permissions(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let wish = Permissions::from_wish(&text);
    assert_eq!(Permissions::parse(&wish.to_string()).as_ref(), Ok(&wish));
    if let Ok(permissions) = Permissions::parse(&text) {
        assert_eq!(permissions, wish);
    }
}

/// A decrypted request.
pub fn nip46_call(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Ok(call) = Call::parse(&text) {
        // Whatever is answered can be matched by the client.
        let reply = Reply::parse(Reply::pong(call.id.clone()).to_json().expose());
        assert_eq!(reply.ok().map(|reply| reply.id), Some(call.id));
    }
}

/// A decrypted answer. What is accepted means the same when it is written again.
pub fn nip46_reply(input: &[u8]) {
    let Ok(reply) = Reply::parse(&String::from_utf8_lossy(input)) else { return };
    let again = Reply::parse(reply.to_json().expose());
    assert!(again.is_ok(), "our own answer is not read");
    let Ok(again) = again else { return };
    assert_eq!(again.id, reply.id);
    let same = match (&reply.outcome, &again.outcome) {
        // An empty result would make clients wait for ever; it is never written.
        (Outcome::Success(result), _) if result.expose().is_empty() => true,
        (Outcome::Success(a), Outcome::Success(b)) => a.expose() == b.expose(),
        (Outcome::Failure(_), Outcome::Failure(_)) => true,
        (Outcome::Challenge(a), Outcome::Challenge(b)) => a == b,
        _ => false,
    };
    assert!(same, "the answer means something else when it is written again");
}
