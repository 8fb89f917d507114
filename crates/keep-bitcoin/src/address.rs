//! Addresses: our own, and those of others.

use std::str::FromStr;

use bitcoin::address::NetworkUnchecked;
use bitcoin::bip32::{DerivationPath, Fingerprint};
use bitcoin::key::{TweakedPublicKey, XOnlyPublicKey};
use bitcoin::{Address, Script, ScriptBuf};
use keep_types::DisplayText;

use crate::account::OwnOutput;
use crate::{Account, BitcoinError, Branch, Network};

/// A taproot address of ours, with what a wallet needs to spend from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnAddress {
    network: Network,
    branch: Branch,
    index: u32,
    fingerprint: Fingerprint,
    path: DerivationPath,
    internal_key: XOnlyPublicKey,
    output_key: XOnlyPublicKey,
    script: ScriptBuf,
}

impl OwnAddress {
    pub(crate) fn new(account: &Account, branch: Branch, index: u32, output: &OwnOutput) -> Self {
        Self {
            network: account.network(),
            branch,
            index,
            fingerprint: account.fingerprint(),
            path: account.full_path(&[branch.step(), index]),
            internal_key: output.internal_key,
            output_key: output.output_key,
            script: output.script.clone(),
        }
    }

    /// The address (BIP-350).
    pub fn address(&self) -> Address {
        let tweaked = TweakedPublicKey::dangerous_assume_tweaked(self.output_key);
        Address::p2tr_tweaked(tweaked, self.network.params())
    }

    /// Receive or change.
    pub const fn branch(&self) -> Branch {
        self.branch
    }

    /// The index in its branch.
    pub const fn index(&self) -> u32 {
        self.index
    }

    /// The fingerprint of the key tree and the full path to the key.
    pub const fn origin(&self) -> (Fingerprint, &DerivationPath) {
        (self.fingerprint, &self.path)
    }

    /// The key before the tweak (BIP-341).
    pub const fn internal_key(&self) -> XOnlyPublicKey {
        self.internal_key
    }

    /// The key after the tweak, as the output names it.
    pub const fn output_key(&self) -> XOnlyPublicKey {
        self.output_key
    }

    /// The output script.
    pub fn script(&self) -> &Script {
        &self.script
    }
}

impl std::fmt::Display for OwnAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.address().fmt(f)
    }
}

/// Reads an address of `network`. The test networks share one form of address (except regtest).
///
/// # Errors
/// [`BitcoinError::Address`].
pub fn parse_address(text: &str, network: Network) -> Result<Address, BitcoinError> {
    Address::<NetworkUnchecked>::from_str(text.trim())
        .ok()
        .and_then(|address| address.require_network(network.params()).ok())
        .ok_or(BitcoinError::Address(network))
}

/// The address of `script` on `network`, if it has one.
pub(crate) fn address_text(script: &Script, network: Network) -> Option<DisplayText> {
    let address = Address::from_script(script, network.params()).ok()?;
    Some(DisplayText::new(&address.to_string()))
}
