//! Which outputs are ours: proved by derivation, never by what the PSBT says.

use bitcoin::bip32::KeySource;
use bitcoin::psbt::Output;
use bitcoin::secp256k1::SECP256K1;
use bitcoin::taproot::TapLeafHash;
use bitcoin::{Psbt, ScriptBuf};
use keep_types::DisplayText;

use super::input::{MAX_ORIGINS, TOO_MANY, taproot_key};
use super::script::data_text;
use super::{InspectOptions, OutputRole, Place, ScriptKind, Warning, WarningCode};
use crate::wallet::{Claim, Derived, Prover};

/// Whose output `index` is; what is wrong with it goes to `warnings`.
pub(crate) fn role(
    prover: &mut Prover<'_>,
    psbt: &Psbt,
    index: usize,
    options: &InspectOptions,
    warnings: &mut Vec<Warning>,
) -> OutputRole {
    let script = &psbt.unsigned_tx.output[index].script_pubkey;
    let mut search = Search { prover, output: &psbt.outputs[index], index, script, warnings };
    let role = search.role();
    if let OutputRole::Ours { index: step, .. } = &role
        && *step >= options.index_horizon
    {
        let text = format!("index {step} is so far down that a restored wallet would not find it");
        search.warn(WarningCode::FarIndex, &text);
    }
    if !role.is_ours() {
        search.check_spendable(psbt.unsigned_tx.output[index].value.to_sat());
    }
    search.check_dust(psbt.unsigned_tx.output[index].value);
    role
}

struct Search<'s, 'w> {
    prover: &'s mut Prover<'w>,
    output: &'s Output,
    index: usize,
    script: &'s ScriptBuf,
    warnings: &'s mut Vec<Warning>,
}

impl Search<'_, '_> {
    fn role(&mut self) -> OutputRole {
        if self.script.is_op_return() {
            return OutputRole::Data { text: data_text(self.script) };
        }
        if let Some(identity) = self.prover.wallet().identity()
            && (*self.script == identity.tweaked.script || *self.script == identity.raw)
        {
            return OutputRole::Identity;
        }
        if let Some(ours) = self.prover.known(self.script).and_then(|derived| ours(&derived)) {
            return ours;
        }
        self.judge_claims().unwrap_or(OutputRole::Destination)
    }

    fn judge_claims(&mut self) -> Option<OutputRole> {
        let mut looked_at = 0;
        for (key, (leaf_hashes, source)) in &self.output.tap_key_origins {
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
                Claim::Proven(derived) if derived.output.script == *self.script => {
                    if let Some(ours) = ours(&derived) {
                        return Some(ours);
                    }
                    self.warn(
                        WarningCode::ClaimedChange,
                        "it is off the branches where a restored wallet looks",
                    );
                }
                Claim::Proven(derived) => self.explain_mismatch(&derived, leaf_hashes),
                Claim::Lie => {
                    self.warn(
                        WarningCode::FalseChange,
                        "it claims to be ours, and its key is not at the path it names",
                    );
                }
                Claim::OtherNetwork => {
                    self.warn(
                        WarningCode::WrongNetwork,
                        "it claims to be ours, at a path of another network",
                    );
                }
                Claim::OtherAccount => self.warn_claimed(source),
                Claim::Foreign => {}
            }
        }
        let legacy = self.output.bip32_derivation.values().find(|source| self.prover.is_ours(source.0));
        if let Some(source) = legacy {
            self.warn_claimed(source);
        }
        None
    }

    /// A key of ours, but not our output: shared with a script, or a false claim.
    fn explain_mismatch(&mut self, derived: &Derived, leaf_hashes: &[TapLeafHash]) {
        let in_tree = self.output.tap_tree.as_ref().is_some_and(|tree| {
            let internal = self.output.tap_internal_key.unwrap_or(derived.output.internal_key);
            ScriptBuf::new_p2tr(SECP256K1, internal, Some(tree.root_hash())) == *self.script
        });
        if in_tree || !leaf_hashes.is_empty() {
            self.warn(
                WarningCode::SharedOutput,
                "a key of ours takes part in it, and scripts of others too: it counts as spent",
            );
        } else {
            self.warn(WarningCode::FalseChange, "it claims to be ours, and pays to another key");
        }
    }

    fn warn_claimed(&mut self, source: &KeySource) {
        let text = format!(
            "it claims to be ours at {}, which is outside this wallet's accounts: it counts as spent",
            source.1
        );
        self.warn(WarningCode::ClaimedChange, &text);
    }

    /// Whether whoever it is for can ever spend it.
    fn check_spendable(&mut self, amount: u64) {
        match ScriptKind::of(self.script) {
            ScriptKind::OpReturn if amount > 0 => {
                self.warn(WarningCode::Burn, "coins sent to a data output are lost");
            }
            ScriptKind::P2tr if taproot_key(self.script).is_none() => {
                self.warn(WarningCode::Burn, "its key is not on the curve: coins sent there are lost");
            }
            ScriptKind::FutureWitness => {
                self.warn(
                    WarningCode::UnknownScript,
                    "a segwit version without rules yet: anybody can spend it",
                );
            }
            ScriptKind::Other => {
                self.warn(WarningCode::UnknownScript, "an unusual script without an address")
            }
            ScriptKind::P2pk
            | ScriptKind::P2pkh
            | ScriptKind::P2sh
            | ScriptKind::P2wpkh
            | ScriptKind::P2wsh
            | ScriptKind::P2tr
            | ScriptKind::P2a
            | ScriptKind::OpReturn => {}
        }
    }

    fn check_dust(&mut self, amount: bitcoin::Amount) {
        let least = self.script.minimal_non_dust();
        if amount < least && !self.script.is_op_return() {
            let text =
                format!("{} sats is less than the {} that nodes relay", amount.to_sat(), least.to_sat());
            self.warn(WarningCode::Dust, &text);
        }
    }

    fn warn(&mut self, code: WarningCode, text: &str) {
        self.warnings.push(Warning::new(code, Place::Output(self.index), text));
    }
}

/// The role of an output to `derived`, if it is on a branch of its account.
fn ours(derived: &Derived) -> Option<OutputRole> {
    let (branch, index) = derived.place?;
    Some(OutputRole::Ours { branch, index, key: DisplayText::new(&derived.location.to_string()) })
}
