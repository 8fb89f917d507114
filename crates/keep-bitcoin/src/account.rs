//! A BIP-86 account: the public side of one wallet, from which every address follows.

use std::ops::Range;
use std::str::FromStr;

use bitcoin::ScriptBuf;
use bitcoin::bip32::{ChildNumber, DerivationPath, Fingerprint, Xpub};
use bitcoin::key::XOnlyPublicKey;
use bitcoin::secp256k1::{PublicKey, SECP256K1};
use miniscript::descriptor::{DescriptorPublicKey, Wildcard, checksum};
use miniscript::{Descriptor, ForEachKey};

use crate::hd::{PublicNode, fingerprint, hardened, is_consistent};
use crate::{BitcoinError, Network, OwnAddress, SecretNode};

/// Which of the two chains of an account: for receiving, or for change (BIP-44).
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Branch {
    /// `…/0/*`: addresses that are given away.
    Receive,
    /// `…/1/*`: where our own transactions return what they do not spend.
    Change,
}

impl Branch {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Receive, Self::Change];

    /// The derivation step: 0 or 1.
    pub const fn step(self) -> u32 {
        match self {
            Self::Receive => 0,
            Self::Change => 1,
        }
    }

    pub(crate) const fn from_step(step: u32) -> Option<Self> {
        match step {
            0 => Some(Self::Receive),
            1 => Some(Self::Change),
            _ => None,
        }
    }
}

/// The public side of an account with the descriptor `tr([fingerprint/path]xpub/<0;1>/*)`.
///
/// It holds no secret, but whoever knows it sees every address. A group of co-signers has one too: its key as
/// `xpub`, with an empty path.
#[derive(Debug, Clone)]
pub struct Account {
    network: Network,
    fingerprint: Fingerprint,
    path: DerivationPath,
    xpub: Xpub,
    root: PublicNode,
    branches: [PublicNode; 2],
}

impl Account {
    /// The account `m/86'/coin'/number'` (BIP-86).
    ///
    /// # Errors
    /// [`BitcoinError::Derivation`] for an account of 2³¹ or more.
    pub fn bip86(master: &SecretNode, network: Network, number: u32) -> Result<Self, BitcoinError> {
        let path = [hardened(86)?, hardened(network.coin_type())?, hardened(number)?];
        let xpub = master.descend(&path)?.xpub(network);
        Self::new(network, master.fingerprint(), path.as_slice().into(), xpub)
    }

    /// An account from its parts. `fingerprint` and `path` say where `xpub` comes from; nobody can check them without
    /// the secret.
    ///
    /// # Errors
    /// [`BitcoinError::Descriptor`] when the key belongs to another network.
    pub fn new(
        network: Network,
        fingerprint: Fingerprint,
        path: DerivationPath,
        xpub: Xpub,
    ) -> Result<Self, BitcoinError> {
        if xpub.network != network.kind() {
            return Err(BitcoinError::Descriptor("the extended key is for another network"));
        }
        if !is_consistent(xpub.depth, xpub.parent_fingerprint, xpub.child_number) {
            return Err(BitcoinError::Descriptor("the extended key contradicts itself"));
        }
        let root = PublicNode::from_xpub(&xpub);
        let branches = [root.child(0)?, root.child(1)?];
        Ok(Self { network, fingerprint, path, xpub, root, branches })
    }

    /// Reads a descriptor of the form that [`Account::descriptor`] writes; the checksum may be left out.
    ///
    /// # Errors
    /// [`BitcoinError::Descriptor`] for everything else: private keys, script trees, other branches, other networks.
    pub fn from_descriptor(text: &str, network: Network) -> Result<Self, BitcoinError> {
        const FORM: BitcoinError = BitcoinError::Descriptor("Keep owns tr([origin]xpub/<0;1>/*)");
        let parsed = Descriptor::<DescriptorPublicKey>::from_str(text)
            .map_err(|_| BitcoinError::Descriptor("its syntax, checksum or keys are wrong"))?;
        let Descriptor::Tr(tr) = &parsed else { return Err(FORM) };
        let DescriptorPublicKey::MultiXPub(key) = tr.internal_key() else { return Err(FORM) };
        let wanted = Branch::ALL.map(|b| DerivationPath::from(vec![ChildNumber::Normal { index: b.step() }]));
        let form = tr.tap_tree().is_none()
            && key.wildcard == Wildcard::Unhardened
            && key.derivation_paths.paths().as_slice() == wanted
            && parsed.for_each_key(|_| true);
        if !form {
            return Err(FORM);
        }
        let (from, path) = key
            .origin
            .clone()
            .unwrap_or_else(|| (fingerprint(&key.xkey.public_key), DerivationPath::master()));
        Self::new(network, from, path, key.xkey)
    }

    /// The network.
    pub const fn network(&self) -> Network {
        self.network
    }

    /// The fingerprint of the key tree's root.
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The path from the root to the account, `86'/0'/0'`.
    pub const fn path(&self) -> &DerivationPath {
        &self.path
    }

    /// The account's extended public key.
    pub const fn xpub(&self) -> &Xpub {
        &self.xpub
    }

    /// `tr([fingerprint/86h/0h/0h]xpub/<0;1>/*)` with its checksum (BIP-380, BIP-386, BIP-389).
    pub fn descriptor(&self) -> String {
        self.describe("<0;1>")
    }

    /// The same for one branch only, for software that does not read `<0;1>`.
    pub fn branch_descriptor(&self, branch: Branch) -> String {
        self.describe(&branch.step().to_string())
    }

    fn describe(&self, branch: &str) -> String {
        let path = self.path.to_string().replace('\'', "h");
        let slash = if path.is_empty() { "" } else { "/" };
        let body = format!("tr([{}{slash}{path}]{}/{branch}/*)", self.fingerprint, self.xpub);
        let mut engine = checksum::Engine::new();
        // The text consists of characters of the descriptor alphabet only, so the checksum exists.
        match engine.input(&body) {
            Ok(()) => format!("{body}#{}", engine.checksum()),
            Err(_) => body,
        }
    }

    /// The address at `index` of `branch`.
    ///
    /// # Errors
    /// [`BitcoinError::Derivation`] for an index of 2³¹ or more.
    pub fn address(&self, branch: Branch, index: u32) -> Result<OwnAddress, BitcoinError> {
        let output = self.output(branch, index)?;
        Ok(OwnAddress::new(self, branch, index, &output))
    }

    /// The addresses of a range of indexes.
    ///
    /// # Errors
    /// Each as [`Account::address`].
    pub fn addresses(
        &self,
        branch: Branch,
        indexes: Range<u32>,
    ) -> impl Iterator<Item = Result<OwnAddress, BitcoinError>> + '_ {
        indexes.map(move |index| self.address(branch, index))
    }

    /// The key and script at `index` of `branch`.
    pub(crate) fn output(&self, branch: Branch, index: u32) -> Result<OwnOutput, BitcoinError> {
        let node = &self.branches[branch.step() as usize];
        Ok(OwnOutput::of_child(node.child_key(index)?))
    }

    /// The key at any unhardened path below the account.
    pub(crate) fn key_below(&self, steps: &[u32]) -> Result<PublicKey, BitcoinError> {
        let Some((last, parents)) = steps.split_last() else { return Ok(self.xpub.public_key) };
        let (mut node, parents) = match parents.split_first() {
            Some((step @ (0 | 1), rest)) => (self.branches[*step as usize].clone(), rest),
            _ => (self.root.clone(), parents),
        };
        for step in parents {
            node = node.child(*step)?;
        }
        node.child_key(*last)
    }

    /// The full path from the root of the key tree.
    pub(crate) fn full_path(&self, steps: &[u32]) -> DerivationPath {
        self.path.extend(steps.iter().map(|index| ChildNumber::Normal { index: *index }).collect::<Vec<_>>())
    }
}

/// A key of ours with the BIP-86 output that pays to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnOutput {
    pub(crate) internal_key: XOnlyPublicKey,
    /// The whole derived key; absent for a key that is known by its X only, as the identity key is.
    pub(crate) derived: Option<PublicKey>,
    pub(crate) output_key: XOnlyPublicKey,
    pub(crate) script: ScriptBuf,
}

impl OwnOutput {
    /// The output `tr(key)` of a derived key (BIP-86).
    pub(crate) fn of_child(key: PublicKey) -> Self {
        Self { derived: Some(key), ..Self::bip86(key.x_only_public_key().0) }
    }

    /// The output `tr(internal_key)`: tweaked, without scripts (BIP-86).
    pub(crate) fn bip86(internal_key: XOnlyPublicKey) -> Self {
        use bitcoin::key::TapTweak;
        let (tweaked, _) = internal_key.tap_tweak(SECP256K1, None);
        let script = ScriptBuf::new_p2tr_tweaked(tweaked);
        Self { internal_key, derived: None, output_key: tweaked.to_x_only_public_key(), script }
    }
}
