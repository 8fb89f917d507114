//! What is ours, without any secret: the accounts and the identity key of one vault key.

use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

use bitcoin::bip32::{ChildNumber, DerivationPath, Fingerprint, KeySource};
use bitcoin::key::{TweakedPublicKey, XOnlyPublicKey};
use bitcoin::{Address, Script, ScriptBuf};

use crate::account::OwnOutput;
use crate::{Account, BitcoinError, Branch, Network, OwnAddress};

/// Paths with more steps below an account than this are not looked at.
const MAX_STEPS: usize = 8;

/// How many different keys one PSBT may claim to be ours: more than a block has inputs, and a few seconds of work.
const MAX_CLAIMS: usize = 50_000;

/// Everything that belongs to one key of the vault. Public data only: inspection needs nothing else.
#[derive(Debug, Clone)]
pub struct Wallet {
    network: Network,
    accounts: Vec<Account>,
    identity: Option<Identity>,
    known: HashMap<ScriptBuf, (usize, Branch, u32)>,
}

/// The identity key itself as a Bitcoin key: people receive at `tr(npub)` and at `rawtr(npub)`.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// `tr(KEY)`: the key is the internal key, the output key is tweaked.
    pub(crate) tweaked: OwnOutput,
    /// `rawtr(KEY)`: the key is the output key itself.
    pub(crate) raw: ScriptBuf,
}

impl Wallet {
    /// A wallet in which nothing is ours yet.
    pub fn new(network: Network) -> Self {
        Self { network, accounts: Vec::new(), identity: None, known: HashMap::new() }
    }

    /// Adds an account.
    ///
    /// # Errors
    /// [`BitcoinError::Descriptor`] when it is for another network.
    pub fn with_account(mut self, account: Account) -> Result<Self, BitcoinError> {
        if account.network() != self.network {
            return Err(BitcoinError::Descriptor("the account is for another network"));
        }
        self.accounts.push(account);
        Ok(self)
    }

    /// Adds the identity key, so that outputs to `tr(KEY)` and `rawtr(KEY)` are ours.
    #[must_use]
    pub fn with_identity(mut self, key: XOnlyPublicKey) -> Self {
        let raw = ScriptBuf::new_p2tr_tweaked(TweakedPublicKey::dangerous_assume_tweaked(key));
        self.identity = Some(Identity { tweaked: OwnOutput::bip86(key), raw });
        self
    }

    /// Derives the first `count` scripts of both branches of every account added so far, so that they are recognised
    /// in PSBTs that carry no origins. Costs about a tenth of a millisecond per index.
    ///
    /// # Errors
    /// [`BitcoinError::Derivation`] for a count beyond 2³¹.
    pub fn with_lookahead(mut self, count: u32) -> Result<Self, BitcoinError> {
        for (number, account) in self.accounts.iter().enumerate() {
            for branch in Branch::ALL {
                for index in 0..count {
                    let script = account.output(branch, index)?.script;
                    self.known.insert(script, (number, branch, index));
                }
            }
        }
        Ok(self)
    }

    /// The script of ours that `address` stands for: within the lookahead, or of the identity key.
    ///
    /// # Errors
    /// [`BitcoinError::Derivation`] never happens for scripts that were derived before.
    pub fn own_script(&self, address: &Address) -> Result<Option<OwnScript>, BitcoinError> {
        let script = address.script_pubkey();
        if let Some((number, branch, index)) = self.known.get(&script) {
            let account = self.accounts.get(*number).ok_or(BitcoinError::Derivation("no such account"))?;
            return Ok(Some(OwnScript::from(&account.address(*branch, *index)?)));
        }
        let identity = self.identity.as_ref();
        let ours = identity.is_some_and(|key| key.raw == script || key.tweaked.script == script);
        Ok(ours.then_some(OwnScript { script, origin: None }))
    }

    /// The network.
    pub const fn network(&self) -> Network {
        self.network
    }

    /// The accounts.
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// The identity key, if it was added.
    pub fn identity_key(&self) -> Option<XOnlyPublicKey> {
        self.identity.as_ref().map(|identity| identity.tweaked.internal_key)
    }

    pub(crate) const fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }
}

/// An output script of ours, with the origin of its key, for building what we sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnScript {
    script: ScriptBuf,
    origin: Option<(XOnlyPublicKey, KeySource)>,
}

impl OwnScript {
    /// The output script.
    pub fn script(&self) -> &Script {
        &self.script
    }

    pub(crate) const fn origin(&self) -> Option<&(XOnlyPublicKey, KeySource)> {
        self.origin.as_ref()
    }
}

impl From<&OwnAddress> for OwnScript {
    fn from(address: &OwnAddress) -> Self {
        let (fingerprint, path) = address.origin();
        Self {
            script: address.script().into(),
            origin: Some((address.internal_key(), (fingerprint, path.clone()))),
        }
    }
}

/// Where a secret key is found by whoever signs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KeyLocation {
    /// Below the root of a key tree (BIP-32).
    Child {
        /// The fingerprint of the root.
        fingerprint: Fingerprint,
        /// The full path from the root.
        path: DerivationPath,
    },
    /// The identity key itself.
    Identity,
}

impl fmt::Display for KeyLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Child { fingerprint, path } if path.is_empty() => write!(f, "[{fingerprint}]"),
            Self::Child { fingerprint, path } => {
                write!(f, "[{fingerprint}/{}]", path.to_string().replace('\'', "h"))
            }
            Self::Identity => f.write_str("identity key"),
        }
    }
}

/// A key of ours that was derived, not claimed.
#[derive(Debug)]
pub(crate) struct Derived {
    pub(crate) location: KeyLocation,
    pub(crate) output: OwnOutput,
    /// The branch and index, if the key is on one of the two branches of its account.
    pub(crate) place: Option<(Branch, u32)>,
}

/// What became of a claim that a key is ours.
#[derive(Debug, Clone)]
pub(crate) enum Claim {
    /// The fingerprint is not ours.
    Foreign,
    /// The fingerprint is ours, but the path belongs to no account of this wallet.
    OtherAccount,
    /// The fingerprint is ours, but the path is one of another network.
    OtherNetwork,
    /// The path is in an account of ours, and another key is there.
    Lie,
    /// The PSBT has more claims than are checked.
    TooMany,
    /// The key is ours.
    Proven(Rc<Derived>),
}

/// Derives keys of a wallet, each once.
pub(crate) struct Prover<'w> {
    wallet: &'w Wallet,
    derived: HashMap<(usize, Vec<u32>), Rc<Derived>>,
    /// How many claims may still be checked by a derivation of their own.
    left: usize,
}

impl<'w> Prover<'w> {
    pub(crate) fn new(wallet: &'w Wallet) -> Self {
        Self { wallet, derived: HashMap::new(), left: MAX_CLAIMS }
    }

    pub(crate) const fn wallet(&self) -> &'w Wallet {
        self.wallet
    }

    /// Our key whose BIP-86 output `script` is, if it is within the lookahead.
    pub(crate) fn known(&mut self, script: &Script) -> Option<Rc<Derived>> {
        let (account, branch, index) = *self.wallet.known.get(script)?;
        self.derive((account, vec![branch.step(), index])).ok()
    }

    /// Whether `fingerprint` is that of one of our key trees.
    pub(crate) fn is_ours(&self, fingerprint: Fingerprint) -> bool {
        self.wallet.accounts.iter().any(|account| account.fingerprint() == fingerprint)
    }

    /// Judges the claim that `key` is found at `source`, by deriving it.
    pub(crate) fn judge(&mut self, key: XOnlyPublicKey, source: &KeySource) -> Claim {
        let (fingerprint, path) = source;
        if !self.is_ours(*fingerprint) {
            return Claim::Foreign;
        }
        let Some((account, steps)) = self.find(*fingerprint, path) else {
            return if is_of_other_network(path, self.wallet.network) {
                Claim::OtherNetwork
            } else {
                Claim::OtherAccount
            };
        };
        let place = (account, steps);
        if !self.derived.contains_key(&place) {
            let Some(left) = self.left.checked_sub(1) else { return Claim::TooMany };
            self.left = left;
        }
        match self.derive(place) {
            Ok(derived) if derived.output.internal_key == key => Claim::Proven(derived),
            Ok(_) | Err(_) => Claim::Lie,
        }
    }

    /// The account that `path` runs through, and the steps below it.
    fn find(&self, fingerprint: Fingerprint, path: &DerivationPath) -> Option<(usize, Vec<u32>)> {
        self.wallet.accounts.iter().enumerate().find_map(|(number, account)| {
            if account.fingerprint() != fingerprint {
                return None;
            }
            let below = path.as_ref().strip_prefix(account.path().as_ref())?;
            let steps = below.iter().map(|step| match step {
                ChildNumber::Normal { index } => Some(*index),
                ChildNumber::Hardened { .. } => None,
            });
            let steps = steps.collect::<Option<Vec<_>>>()?;
            (steps.len() <= MAX_STEPS).then_some((number, steps))
        })
    }

    fn derive(&mut self, place: (usize, Vec<u32>)) -> Result<Rc<Derived>, BitcoinError> {
        if let Some(found) = self.derived.get(&place) {
            return Ok(Rc::clone(found));
        }
        let owner = self.wallet.accounts.get(place.0).ok_or(BitcoinError::Derivation("no such account"))?;
        let steps = &place.1;
        let derived = Rc::new(Derived {
            location: KeyLocation::Child { fingerprint: owner.fingerprint(), path: owner.full_path(steps) },
            output: OwnOutput::of_child(owner.key_below(steps)?),
            place: match steps.as_slice() {
                [branch, index] => Branch::from_step(*branch).map(|branch| (branch, *index)),
                _ => None,
            },
        });
        self.derived.insert(place, Rc::clone(&derived));
        Ok(derived)
    }
}

/// Whether `path` is that of a standard single-key account of another network (BIP-44, 49, 84, 86).
fn is_of_other_network(path: &DerivationPath, network: Network) -> bool {
    match path.as_ref() {
        [ChildNumber::Hardened { index: 44 | 49 | 84 | 86 }, ChildNumber::Hardened { index: coin }, ..] => {
            *coin <= 1 && *coin != network.coin_type()
        }
        _ => false,
    }
}
