//! Where an event signs in over HTTP (NIP-98, kind 27235).

use keep_types::UnsignedEvent;

/// The kind of NIP-98.
const HTTP_AUTH: u16 = 27235;

/// Whether the event signs in at one of `hosts` and nowhere else: it is of kind 27235 and has one `u` tag whose host is
/// one of them. `*.example.com` stands for every host under `example.com`, not for itself.
pub fn signs_in_at(event: &UnsignedEvent, hosts: &[String]) -> bool {
    let mut addresses = event
        .tags
        .iter()
        .map(|tag| tag.as_slice())
        .filter(|tag| tag.first().is_some_and(|name| name == "u"))
        .map(|tag| tag.get(1).and_then(|url| host(url)));
    let (Some(Some(host)), None) = (addresses.next(), addresses.next()) else { return false };
    event.kind.as_u16() == HTTP_AUTH && hosts.iter().any(|pattern| fits(&host, pattern))
}

fn fits(host: &str, pattern: &str) -> bool {
    let pattern = pattern.to_ascii_lowercase();
    match pattern.strip_prefix("*.") {
        Some(parent) => host.strip_suffix(parent).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
        None => host == pattern,
    }
}

/// The host of an `http` or `https` address in lower case, without port. Addresses that could be read in two ways (user
/// names, backslashes, white space, other characters than ASCII) have none.
pub fn host(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    let authority = rest.split(['/', '?', '#']).next()?;
    if !url.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') || authority.contains('@') {
        return None;
    }
    let host = match authority.strip_prefix('[') {
        Some(literal) => literal.split_once(']')?.0,
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    };
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    (!host.is_empty()).then_some(host)
}

/// Whether a text can stand for hosts: a host name, or `*.` and one.
pub fn host_pattern(text: &str) -> bool {
    let name = text.strip_prefix("*.").unwrap_or(text);
    !name.is_empty()
        && name.len() <= 253
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-' || b == b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_in_one_way_only() {
        for (url, expected) in [
            ("https://Example.com/path", Some("example.com")),
            ("https://example.com:8443?x", Some("example.com")),
            ("http://example.com.", Some("example.com")),
            ("https://[::1]:80/", Some("::1")),
            ("https://example.com@evil.example/", None),
            ("https://evil.example\\@example.com/", None),
            ("https://example.com\t.evil.example", None),
            ("ftp://example.com", None),
            ("example.com", None),
            ("https:///x", None),
        ] {
            assert_eq!(host(url).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn stars_stand_for_what_is_under_a_name() {
        assert!(fits("a.example.com", "*.example.com"));
        assert!(fits("a.b.example.com", "*.Example.com"));
        assert!(!fits("example.com", "*.example.com"));
        assert!(!fits("evilexample.com", "*.example.com"));
        assert!(!fits(".example.com", "*.example.com"));
        assert!(fits("example.com", "example.com"));
        assert!(!fits("a.example.com", "example.com"));
    }
}
