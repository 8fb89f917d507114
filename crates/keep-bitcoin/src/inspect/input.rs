//! Which inputs are ours, and how we can spend them.

use std::collections::BTreeMap;
use std::rc::Rc;

use bitcoin::bip32::ChildNumber;
use bitcoin::key::{TapTweak, TweakedPublicKey, XOnlyPublicKey};
use bitcoin::psbt::Input;
use bitcoin::secp256k1::{PublicKey, SECP256K1};
use bitcoin::taproot::{ControlBlock, LeafVersion, TapLeafHash};
use bitcoin::{Psbt, Script, ScriptBuf, TapSighashType, TxOut};

use super::prevout::prevout;
use super::script::{has_code_separator, names_key};
use super::{Place, Warning, WarningCode};
use crate::Network;
use crate::sign::{KeyTweak, SkipReason};
use crate::wallet::{Claim, Derived, KeyLocation, Prover};

/// How many origins with our fingerprint are looked at in one input or output.
pub(crate) const MAX_ORIGINS: usize = 64;
/// What is said about inputs and outputs with more.
pub(crate) const TOO_MANY: &str = "it names more keys of ours than Keep looks at";
/// How many scripts of one input are looked at.
const MAX_LEAVES: usize = 256;

/// What was found out about one input.
#[derive(Debug)]
pub(crate) struct Finding {
    /// What it spends.
    pub(crate) prevout: Option<TxOut>,
    /// The signature type that is asked for.
    pub(crate) sighash: TapSighashType,
    /// Whether we hold a key that spends it.
    pub(crate) own: bool,
    /// The key of ours that has signed it already.
    pub(crate) signed: Option<KeyLocation>,
    /// The ways in which we can sign it now.
    pub(crate) ways: Vec<Way>,
    /// Why there is no way.
    pub(crate) skip: Option<SkipReason>,
}

/// A way to spend a taproot output with a key of ours.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    /// With the output key.
    Key { location: KeyLocation, untweaked: Option<PublicKey>, output_key: XOnlyPublicKey, tweak: KeyTweak },
    /// With a script.
    Leaf { location: KeyLocation, key: XOnlyPublicKey, control: ControlBlock, leaf_hash: TapLeafHash },
}

impl Way {
    /// Whether the key is one for `network` only: below the hardened coin type of its account (BIP-44).
    pub(crate) fn is_of(&self, network: Network) -> bool {
        let KeyLocation::Child { path, .. } = self.location() else { return false };
        let coin_type = ChildNumber::from_hardened_idx(network.coin_type()).ok();
        coin_type.is_some_and(|coin_type| path.into_iter().nth(1) == Some(&coin_type))
    }

    const fn location(&self) -> &KeyLocation {
        match self {
            Self::Key { location, .. } | Self::Leaf { location, .. } => location,
        }
    }
}

/// Looks at input `index`; what is wrong with it goes to `warnings`.
pub(crate) fn find(
    prover: &mut Prover<'_>,
    psbt: &Psbt,
    index: usize,
    warnings: &mut Vec<Warning>,
) -> Finding {
    let mut finding = Finding {
        prevout: None,
        sighash: TapSighashType::Default,
        own: false,
        signed: None,
        ways: Vec::new(),
        skip: None,
    };
    let Some(input) = psbt.inputs.get(index) else { return finding };
    let spent = match prevout(psbt, index) {
        Ok(spent) => spent,
        Err(warning) => {
            warnings.push(warning);
            finding.skip = Some(SkipReason::MissingPrevout);
            return finding;
        }
    };
    if spent.script_pubkey.is_p2tr() {
        let mut search = Search { prover, input, index, script: &spent.script_pubkey, warnings, skip: None };
        finding.ways = search.ways();
        finding.skip = search.skip;
    } else {
        finding.skip = Some(SkipReason::NotTaproot);
    }
    finding.own = !finding.ways.is_empty();
    finding.prevout = Some(spent);
    if finding.own {
        finding.skip = None;
        finding.sighash = sighash(psbt, index, warnings);
        drop_signed(input, &mut finding);
    }
    finding
}

/// The signature type of an input of ours.
fn sighash(psbt: &Psbt, index: usize, warnings: &mut Vec<Warning>) -> TapSighashType {
    use TapSighashType as T;
    let place = Place::Input(index);
    let Ok(kind) = psbt.inputs[index].taproot_hash_ty() else {
        warnings.push(Warning::new(WarningCode::InvalidSighash, place, "the signature type does not exist"));
        return T::Default;
    };
    let text = match kind {
        T::Default | T::All => return kind,
        T::None | T::NonePlusAnyoneCanPay => "the signature would let anybody send the coins anywhere",
        T::Single | T::SinglePlusAnyoneCanPay if index >= psbt.unsigned_tx.output.len() => {
            warnings.push(Warning::new(
                WarningCode::InvalidSighash,
                place,
                "the signature would fix no output",
            ));
            return kind;
        }
        T::Single | T::SinglePlusAnyoneCanPay => "the signature would fix one output only",
        T::AllPlusAnyoneCanPay => {
            "the signature would let anybody add inputs, so that nothing of what comes back is certain"
        }
    };
    warnings.push(Warning::new(WarningCode::UnusualSighash, place, format!("{kind}: {text}")));
    kind
}

/// Removes the ways that are used already.
fn drop_signed(input: &Input, finding: &mut Finding) {
    let is_final = input.final_script_witness.is_some() || input.final_script_sig.is_some();
    let first = finding.ways.first().map(|way| way.location().clone());
    finding.ways.retain(|way| match way {
        _ if is_final => false,
        Way::Key { .. } => input.tap_key_sig.is_none(),
        Way::Leaf { key, leaf_hash, .. } => !input.tap_script_sigs.contains_key(&(*key, *leaf_hash)),
    });
    if finding.ways.is_empty() {
        finding.signed = first;
        finding.skip = Some(if is_final { SkipReason::Final } else { SkipReason::Signed });
    }
}

/// Scripts with their control blocks.
type Leaves<'s> = BTreeMap<TapLeafHash, (&'s ControlBlock, &'s Script)>;

/// The search for keys of ours in one taproot input.
struct Search<'s, 'w> {
    prover: &'s mut Prover<'w>,
    input: &'s Input,
    index: usize,
    script: &'s Script,
    warnings: &'s mut Vec<Warning>,
    skip: Option<SkipReason>,
}

impl<'s> Search<'s, '_> {
    /// The key path if it is ours, else every script that we have a part in.
    fn ways(&mut self) -> Vec<Way> {
        if let Some(way) = self.identity() {
            return vec![way];
        }
        let claims = self.claims();
        let known = self.prover.known(self.script);
        for derived in known.iter().chain(claims.iter().map(|(derived, _)| derived)) {
            if let Some(way) = self.key_path(derived) {
                return vec![way];
            }
        }
        if claims.is_empty() {
            return Vec::new();
        }
        let leaves = self.leaves();
        let mut ways = Vec::new();
        for (derived, leaf_hashes) in &claims {
            if leaf_hashes.is_empty() {
                self.warn(
                    WarningCode::WrongInternalKey,
                    "it names a key of ours, and spends an output of another key",
                );
                continue;
            }
            self.script_paths(derived, leaf_hashes, &leaves, &mut ways);
        }
        ways
    }

    /// `tr(KEY)` and `rawtr(KEY)` of the identity key are recognised by their scripts alone.
    fn identity(&mut self) -> Option<Way> {
        let identity = self.prover.wallet().identity()?;
        let (output_key, tweak) = if self.script == identity.tweaked.script.as_script() {
            (identity.tweaked.output_key, KeyTweak::Taproot(None))
        } else if self.script == identity.raw.as_script() {
            (identity.tweaked.internal_key, KeyTweak::None)
        } else {
            return None;
        };
        self.check_internal_key(&identity.tweaked.internal_key);
        Some(Way::Key { location: KeyLocation::Identity, untweaked: None, output_key, tweak })
    }

    /// Every origin that proves to be ours, with the scripts it is said to take part in.
    fn claims(&mut self) -> Vec<(Rc<Derived>, Vec<TapLeafHash>)> {
        let mut proven = Vec::new();
        let mut looked_at = 0;
        for (key, (leaf_hashes, source)) in &self.input.tap_key_origins {
            if !self.prover.is_ours(source.0) {
                continue;
            }
            looked_at += 1;
            let claim =
                if looked_at > MAX_ORIGINS { Claim::TooMany } else { self.prover.judge(*key, source) };
            match claim {
                Claim::TooMany => {
                    self.warn(WarningCode::TooManyOrigins, TOO_MANY);
                    break;
                }
                Claim::Proven(derived) => proven.push((derived, leaf_hashes.clone())),
                Claim::Lie => {
                    self.warn(
                        WarningCode::LyingOrigin,
                        "it names a key as ours that is not at the path it names",
                    );
                }
                Claim::OtherNetwork => {
                    self.warn(WarningCode::WrongNetwork, "its path is one of another network");
                }
                Claim::OtherAccount => self.skip = Some(SkipReason::OtherAccount),
                Claim::Foreign => {}
            }
        }
        if proven.is_empty() && self.skip.is_none() {
            self.skip = Some(SkipReason::NoKeyOfOurs);
        }
        proven
    }

    /// Whether `derived` alone can spend the output: as internal key, or as output key.
    fn key_path(&mut self, derived: &Derived) -> Option<Way> {
        let key = derived.output.internal_key;
        let (output_key, tweak) = if self.script == derived.output.script.as_script() {
            (derived.output.output_key, KeyTweak::Taproot(None))
        } else if self.script == raw_script(key).as_script() {
            (key, KeyTweak::None)
        } else {
            let root = self.input.tap_merkle_root?;
            let (tweaked, _) = key.tap_tweak(SECP256K1, Some(root));
            if self.script != ScriptBuf::new_p2tr_tweaked(tweaked).as_script() {
                return None;
            }
            (tweaked.to_x_only_public_key(), KeyTweak::Taproot(Some(root)))
        };
        self.check_internal_key(&key);
        let untweaked = derived.output.derived;
        Some(Way::Key { location: derived.location.clone(), untweaked, output_key, tweak })
    }

    fn check_internal_key(&mut self, ours: &XOnlyPublicKey) {
        if self.input.tap_internal_key.is_some_and(|named| named != *ours) {
            self.warn(
                WarningCode::WrongInternalKey,
                "it names another internal key than the one that makes this output",
            );
        }
    }

    /// The scripts that the output really commits to, by hash.
    fn leaves(&self) -> Leaves<'s> {
        let Some(output_key) = taproot_key(self.script) else { return BTreeMap::new() };
        let input = self.input;
        let leaves = input.tap_scripts.iter().take(MAX_LEAVES).filter(|(control, (script, version))| {
            *version == LeafVersion::TapScript
                && control.leaf_version == *version
                && control.verify_taproot_commitment(SECP256K1, output_key, script)
        });
        leaves
            .map(|(control, (script, version))| {
                (TapLeafHash::from_script(script, *version), (control, script.as_script()))
            })
            .collect()
    }

    fn script_paths(
        &mut self,
        derived: &Derived,
        leaf_hashes: &[TapLeafHash],
        leaves: &Leaves<'_>,
        ways: &mut Vec<Way>,
    ) {
        let key = derived.output.internal_key;
        for leaf_hash in leaf_hashes.iter().take(MAX_LEAVES) {
            let reason = match leaves.get(leaf_hash) {
                None => SkipReason::NoScript,
                Some((_, script)) if !names_key(script, &key) => SkipReason::KeyNotInScript,
                Some((_, script)) if has_code_separator(script) => SkipReason::CodeSeparator,
                Some((control, _)) => {
                    let (control, location) = ((*control).clone(), derived.location.clone());
                    ways.push(Way::Leaf { location, key, control, leaf_hash: *leaf_hash });
                    continue;
                }
            };
            self.skip = Some(reason);
        }
    }

    fn warn(&mut self, code: WarningCode, text: &str) {
        self.warnings.push(Warning::new(code, Place::Input(self.index), text));
    }
}

/// The output script of `rawtr(key)`.
fn raw_script(key: XOnlyPublicKey) -> ScriptBuf {
    ScriptBuf::new_p2tr_tweaked(TweakedPublicKey::dangerous_assume_tweaked(key))
}

/// The output key of a taproot script.
pub(crate) fn taproot_key(script: &Script) -> Option<XOnlyPublicKey> {
    XOnlyPublicKey::from_slice(script.as_bytes().get(2..)?).ok().filter(|_| script.is_p2tr())
}
