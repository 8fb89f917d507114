//! What a form sends.

use std::collections::BTreeMap;

use keep_sdk::{Breadth, Lasting};

/// The fields of a form, decoded. A field that comes twice counts once, the first time.
pub fn fields(body: &[u8]) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    for pair in body.split(|byte| *byte == b'&') {
        let (name, value) = match pair.iter().position(|byte| *byte == b'=') {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &[][..]),
        };
        if let (Some(name), Some(value)) = (decoded(name), decoded(value)) {
            fields.entry(name).or_insert(value);
        }
    }
    fields
}

fn decoded(text: &[u8]) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
                u8::try_from(digit(rest.next())? << 4 | digit(rest.next())?).ok()?
            }
            byte => *byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// What a button stands for: whether it approves, and for how long it holds.
pub fn decision(action: &str, scope: &str) -> Option<(bool, Option<Lasting>)> {
    let breadth = match scope {
        "" | "kind" => Breadth::Kind,
        "client" => Breadth::Client,
        _ => return None,
    };
    let lasting = |seconds| Some(Lasting { breadth, seconds });
    Some(match action {
        "once" => (true, None),
        "5m" => (true, lasting(Some(300))),
        "1h" => (true, lasting(Some(3_600))),
        "1d" => (true, lasting(Some(86_400))),
        "always" => (true, lasting(None)),
        "deny" => (false, None),
        "deny-always" => (false, lasting(None)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read() {
        let read = fields(b"code=a%2Bb+c&action=once&action=always&x&%zz=1&y=%C5%BE");
        assert_eq!(read["code"], "a+b c");
        assert_eq!(read["action"], "once");
        assert_eq!((read["x"].as_str(), read["y"].as_str()), ("", "ž"));
        assert_eq!(read.len(), 4);
    }

    #[test]
    fn only_the_buttons_decide() {
        assert_eq!(decision("once", ""), Some((true, None)));
        assert_eq!(
            decision("always", "client"),
            Some((true, Some(Lasting { breadth: Breadth::Client, seconds: None })))
        );
        assert_eq!(decision("deny", "kind"), Some((false, None)));
        assert!(decision("", "").is_none() && decision("once", "all").is_none());
    }
}
