//! Which machines a relay's address may lead to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where a connection to a relay may go. It is judged on the address that is really connected to, after the name
/// was resolved, so that a public name cannot point inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayPolicy {
    /// Whether this machine itself and private networks may be reached.
    pub allow_private: bool,
}

impl RelayPolicy {
    /// For relays that the owner named: anywhere, this machine included.
    pub const OWNER: Self = Self { allow_private: true };
    /// For relays that somebody else named, as in `nostrconnect://` addresses: the public internet only.
    pub const STRANGER: Self = Self { allow_private: false };

    /// Whether `address` may be connected to.
    pub fn permits(self, address: IpAddr) -> bool {
        self.allow_private || is_public(address)
    }
}

/// Whether an address is one of the public internet (IANA special-purpose registries).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    !(a == 0
        || v4.is_private()
        || v4.is_loopback()
        || v4.is_link_local()
        || v4.is_multicast()
        || v4.is_documentation()
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19)))
}

fn is_public_v6(v6: Ipv6Addr) -> bool {
    let s = v6.segments();
    let low = |hi: u16, lo: u16| {
        let ([a, b], [c, d]) = (hi.to_be_bytes(), lo.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match s {
        // Addresses that carry an IPv4 address lead where that one leads.
        [0, 0, 0, 0, 0, 0xffff, hi, lo] | [0x64, 0xff9b, 0, 0, 0, 0, hi, lo] => is_public_v4(low(hi, lo)),
        [0x2002, hi, lo, ..] => is_public_v4(low(hi, lo)),
        // Only 2000::/3 is global unicast; in it are Teredo, benchmarking, ORCHID and documentation.
        [0x2001, b, ..] if b < 0x0200 || b == 0x0db8 => false,
        [0x3fff, b, ..] if b < 0x1000 => false,
        [a, ..] => a & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_reach_the_public_internet_only() {
        for inside in [
            "127.0.0.1",
            "127.9.9.9",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "192.0.0.8",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "2001::1",
            "2001:db8::1",
            "::7f00:1",
            "fec0::1",
        ] {
            let address = inside.parse().unwrap();
            assert!(!RelayPolicy::STRANGER.permits(address), "{inside}");
            assert!(RelayPolicy::OWNER.permits(address), "{inside}");
        }
        for outside in [
            "1.1.1.1",
            "8.8.8.8",
            "100.128.0.1",
            "172.32.0.1",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "::ffff:1.1.1.1",
        ] {
            assert!(RelayPolicy::STRANGER.permits(outside.parse().unwrap()), "{outside}");
        }
    }
}
