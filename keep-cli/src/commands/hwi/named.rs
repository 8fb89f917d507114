//! How wallets name keys and addresses.

use keep_sdk::bitcoin::{Branch, Network};
use keep_sdk::{ErrorCode, Fault};

/// An address, as a wallet names it: by the path of its key, and by the key itself.
pub struct Named {
    pub account: u32,
    pub branch: Branch,
    pub index: u32,
    pub key: Option<String>,
}

impl Named {
    /// Reads `tr([fingerprint/86h/1h/0h/0/5]KEY)`, with or without checksum.
    pub fn of_descriptor(text: &str, network: Network) -> Result<Self, Fault> {
        let text = text.trim_matches(['"', '\'']);
        let inner = text.split('#').next().unwrap_or_default();
        let inner = inner.strip_prefix("tr(").and_then(|rest| rest.strip_suffix(')')).ok_or_else(not_ours)?;
        let (origin, key) =
            inner.strip_prefix('[').and_then(|rest| rest.split_once(']')).ok_or_else(not_ours)?;
        let (_, path) = origin.split_once('/').ok_or_else(not_ours)?;
        // A key of 33 bytes has its parity in front.
        let key = if key.len() == 66 { &key[2..] } else { key };
        let is_key = key.len() == 64 && key.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_key {
            return Err(not_ours());
        }
        Ok(Self { key: Some(key.to_ascii_lowercase()), ..Self::of_path(path, network)? })
    }

    /// Reads `m/86h/1h/0h/0/5`.
    pub fn of_path(path: &str, network: Network) -> Result<Self, Fault> {
        let below = Below::of_path(path, network)?;
        let [branch, index] = below.steps.as_slice() else { return Err(not_ours()) };
        let branch = match branch {
            0 => Branch::Receive,
            1 => Branch::Change,
            _ => return Err(not_ours()),
        };
        Ok(Self { account: below.account, branch, index: *index, key: None })
    }
}

/// A key at or below an account (BIP-86).
pub struct Below {
    pub account: u32,
    /// The unhardened steps below the account.
    pub steps: Vec<u32>,
}

impl Below {
    /// Reads `m/86h/1h/0h/…`.
    pub fn of_path(path: &str, network: Network) -> Result<Self, Fault> {
        let path = path.trim_matches(['"', '\'']);
        let path = path.strip_prefix("m/").unwrap_or(path).replace(['\'', 'H'], "h");
        let steps: Vec<&str> = path.split('/').collect();
        let ["86h", coin, account, steps @ ..] = steps.as_slice() else { return Err(not_ours()) };
        if hardened(coin)? != network.coin_type() {
            let hint = format!("the path of {network} begins with m/86h/{}h", network.coin_type());
            return Err(Fault::new(ErrorCode::Usage, "this is a path of another network").with_hint(hint));
        }
        let steps = steps.iter().map(|step| number(step)).collect::<Result<_, _>>()?;
        Ok(Self { account: hardened(account)?, steps })
    }
}

fn hardened(step: &str) -> Result<u32, Fault> {
    number(step.strip_suffix('h').ok_or_else(not_ours)?)
}

fn number(step: &str) -> Result<u32, Fault> {
    step.parse().ok().filter(|step| *step < 1 << 31).ok_or_else(not_ours)
}

fn not_ours() -> Fault {
    Fault::new(ErrorCode::Usage, "this is no address or key of Keep")
        .with_hint("Keep has taproot addresses at m/86h/coinh/accounth/branch/index (BIP-86)")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "cc8a4bc64d897bddc5fbc2f670f7a8ba0b386779106cf1223c6fc5d7cd6fc115";

    #[test]
    fn addresses_are_named_by_descriptor_or_path() {
        let regtest = Network::Regtest;
        for text in [
            format!("tr([73c5da0a/86h/1h/3h/1/7]{KEY})#x9z3k2qd"),
            format!("\"tr([73c5da0a/86'/1'/3'/1/7]02{KEY})\""),
        ] {
            let named = Named::of_descriptor(&text, regtest).unwrap();
            assert_eq!((named.account, named.branch, named.index), (3, Branch::Change, 7), "{text}");
            assert_eq!(named.key.as_deref(), Some(KEY));
        }
        assert_eq!(Named::of_path("m/86h/0h/0h/0/0", Network::Mainnet).unwrap().index, 0);
        for bad in [
            "m/84h/1h/0h/0/0",
            "m/86h/1h/0h/2/0",
            "m/86h/1h/0/0/0",
            "",
            "m/86h/1h/0h/0",
            "m/86h/0h/0h/0/0",
            "m/86h/1h/0h/0/2147483648",
            "m/86h/1h/0h/0/0h",
        ] {
            assert!(Named::of_path(bad, regtest).is_err(), "{bad}");
        }
        assert!(Named::of_descriptor(&format!("wpkh([73c5da0a/86h/1h/3h/1/7]{KEY})"), regtest).is_err());
        let below = Below::of_path("m/86'/1'/2'/5", regtest).unwrap();
        assert_eq!((below.account, below.steps), (2, vec![5]));
        assert!(Below::of_path("m/86h/1h/2h", regtest).unwrap().steps.is_empty());
        assert!(Below::of_path("m/86h/1h", regtest).is_err());
    }
}
