//! Whom the tags of an event name.

use keep_types::UnsignedEvent;

/// Whether every person whom the tags name is one of `known` (public keys in hexadecimal, lower case).
///
/// A tag names a person in its value where that is a public key (`p`, `P`, and `zap`, which divides payments), in the author of the
/// address that it holds (`a`, `A`, `q`), and after the id of an event or an address, where its author may stand (`e`, `E`, `a`,
/// `A`, `q`: NIP-10, NIP-18, NIP-22); in the value of `pubkey` and `delegation` (NIP-26), too. Other tags and the content
/// address nobody.
pub fn names_only(event: &UnsignedEvent, known: &[String]) -> bool {
    event.tags.iter().all(|tag| named(tag.as_slice()).all(|one| known.iter().any(|known| known == one)))
}

fn named(tag: &[String]) -> impl Iterator<Item = &str> {
    let name = tag.first().map(String::as_str).unwrap_or_default();
    let value = tag.get(1).map(String::as_str).unwrap_or_default();
    let is_person = matches!(name, "p" | "P" | "zap" | "pubkey" | "delegation");
    let has_author = matches!(name, "e" | "E" | "a" | "A" | "q");
    // What has the place of a key and is none names nobody that is known.
    let direct = is_person.then_some(value);
    let of_address = match name {
        "a" | "A" => Some(author(value)),
        "q" if value.contains(':') => Some(author(value)),
        _ => None,
    };
    let authors = tag.iter().skip(2).filter(move |part| has_author && is_key(part)).map(String::as_str);
    direct.into_iter().chain(of_address).chain(authors)
}

/// The author in the address of an event: `kind:author:name`.
fn author(address: &str) -> &str {
    address.split(':').nth(1).unwrap_or_default()
}

/// Whether a part that may be something else (a relay, a marker) is a public key, in whatever form.
fn is_key(part: &str) -> bool {
    // Bech32 is one thing in capitals, too.
    let part = part.to_ascii_lowercase();
    let part = part.strip_prefix("nostr:").unwrap_or(&part);
    let is_hex = part.len() == 64 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex || part.starts_with("npub1") || part.starts_with("nprofile1")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRIEND: &str = "7e7e9c42a91bfef19fa929e5fda1b72e0ebc1a4c1141673e2794234d86addf4e";
    const STRANGER: &str = "3bf0c63fcb93463407af97a5e5ee64fa883d107ef9e558472c4eb9aaaefa459d";
    const ID: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn allowed(tag: &[&str]) -> bool {
        let parts: Vec<String> = tag.iter().map(|part| (*part).to_owned()).collect();
        named(&parts).all(|one| one == FRIEND)
    }

    #[test]
    fn whoever_is_named_anywhere_must_be_known() {
        let address = |of: &str| format!("30023:{of}:a:b");
        let cases: [(&[&str], &[&str]); 13] = [
            (&["p", FRIEND], &["p", STRANGER]),
            (&["P", FRIEND, ""], &["P", STRANGER, ""]),
            (&["zap", FRIEND, "wss://x", "1"], &["zap", STRANGER, "wss://x", "1"]),
            (&["a", &address(FRIEND)], &["a", &address(STRANGER)]),
            (&["A", &address(FRIEND), "wss://x"], &["A", &address(STRANGER), "wss://x"]),
            (&["a", &address(FRIEND), "wss://x", FRIEND], &["a", &address(FRIEND), "wss://x", STRANGER]),
            (&["A", &address(FRIEND), "wss://x", FRIEND], &["A", &address(FRIEND), "wss://x", STRANGER]),
            (&["pubkey", FRIEND], &["pubkey", STRANGER]),
            (&["delegation", FRIEND, "kind=1", "sig"], &["delegation", STRANGER, "kind=1", "sig"]),
            (&["q", &address(FRIEND)], &["q", &address(STRANGER)]),
            (&["q", ID, "wss://x", FRIEND], &["q", ID, "wss://x", STRANGER]),
            (&["e", ID, "wss://x", "reply", FRIEND], &["e", ID, "wss://x", "reply", STRANGER]),
            (&["E", ID, "wss://x", FRIEND], &["E", ID, "wss://x", STRANGER]),
        ];
        for (known, unknown) in cases {
            assert!(allowed(known), "{known:?}");
            assert!(!allowed(unknown), "{unknown:?}");
        }
    }

    #[test]
    fn no_other_form_of_a_name_passes() {
        let upper = STRANGER.to_uppercase();
        let own = FRIEND.to_uppercase();
        for tag in [
            &["p"][..],
            &["p", ""],
            &["p", "npub180cvv07tjdrrgpa0j7j7tmnyl2yr6yr7l8j4s3evf6u64th6gkwsyjh6w6"],
            &["p", &upper],
            // Not the form that the rest of Nostr knows; so it names nobody.
            &["p", &own],
            &["e", ID, "", "", "NPUB180CVV07TJDRRGPA0J7J7TMNYL2YR6YR7L8J4S3EVF6U64TH6GKWSYJH6W6"],
            &[
                "e",
                ID,
                "",
                "",
                "NOSTR:NPROFILE1QQSRHUXX8L9EX335Q7HE0F09AEJ04ZPAZPL0NE2CGUKYAWD24MAYT8G2LCY6Q",
            ],
            &["a"],
            &["a", "30023"],
            &["a", ""],
            &["e", ID, "", "", &upper],
            &["e", ID, "", "", "npub180cvv07tjdrrgpa0j7j7tmnyl2yr6yr7l8j4s3evf6u64th6gkwsyjh6w6"],
        ] {
            assert!(!allowed(tag), "{tag:?}");
        }
    }

    #[test]
    fn what_names_nobody_passes() {
        for tag in [
            &["t", STRANGER][..],
            &["e", ID],
            &["e", ID, "wss://x", "root"],
            &["e", ID, "", "reply", ""],
            &["q", ID],
            &["d", "x"],
            &[],
        ] {
            assert!(allowed(tag), "{tag:?}");
        }
    }
}
