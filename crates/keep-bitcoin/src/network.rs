//! The Bitcoin networks.

use std::fmt;
use std::str::FromStr;

use bitcoin::NetworkKind;
use serde::{Deserialize, Serialize};

use crate::BitcoinError;

/// A Bitcoin network. Mainnet unless somebody says otherwise.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// The network where coins have value.
    #[default]
    Mainnet,
    /// The third public test network.
    Testnet3,
    /// The fourth public test network (BIP-94).
    Testnet4,
    /// The signed test network (BIP-325).
    Signet,
    /// A private chain for tests.
    Regtest,
}

impl Network {
    /// Every network.
    pub const ALL: [Self; 5] = [Self::Mainnet, Self::Testnet3, Self::Testnet4, Self::Signet, Self::Regtest];

    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mainnet => "mainnet",
            Self::Testnet3 => "testnet3",
            Self::Testnet4 => "testnet4",
            Self::Signet => "signet",
            Self::Regtest => "regtest",
        }
    }

    /// The coin type of derivation paths (SLIP-44): 0 on mainnet, 1 on every test network.
    pub const fn coin_type(self) -> u32 {
        match self {
            Self::Mainnet => 0,
            Self::Testnet3 | Self::Testnet4 | Self::Signet | Self::Regtest => 1,
        }
    }

    /// Which extended keys belong to it: `xpub…` or `tpub…`.
    pub fn kind(self) -> NetworkKind {
        self.params().into()
    }

    /// The network as the `bitcoin` crate names it.
    pub const fn params(self) -> bitcoin::Network {
        match self {
            Self::Mainnet => bitcoin::Network::Bitcoin,
            Self::Testnet3 => bitcoin::Network::Testnet,
            Self::Testnet4 => bitcoin::Network::Testnet4,
            Self::Signet => bitcoin::Network::Signet,
            Self::Regtest => bitcoin::Network::Regtest,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Network {
    type Err = BitcoinError;

    /// Reads Keep's words and those of Bitcoin Core's `-chain`: `main`, `test`, `testnet4`, `signet`, `regtest`.
    fn from_str(text: &str) -> Result<Self, BitcoinError> {
        match text {
            "mainnet" | "main" | "bitcoin" => Ok(Self::Mainnet),
            "testnet3" | "testnet" | "test" => Ok(Self::Testnet3),
            "testnet4" => Ok(Self::Testnet4),
            "signet" => Ok(Self::Signet),
            "regtest" => Ok(Self::Regtest),
            _ => Err(BitcoinError::Network),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip() {
        for network in Network::ALL {
            assert_eq!(network.as_str().parse::<Network>().unwrap(), network);
            assert_eq!(serde_json::to_string(&network).unwrap(), format!("\"{network}\""));
        }
        assert_eq!("main".parse::<Network>().unwrap(), Network::Mainnet);
        assert_eq!("Mainnet".parse::<Network>(), Err(BitcoinError::Network));
    }
}
