//! Signing a message (BIP-322, "Signing") on the same road as a transaction: inspected, then signed.

use std::any::Any;
use std::collections::HashMap;

use bitcoin::psbt::raw;
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::{Amount, OutPoint, Psbt, Sequence, TxIn, TxOut};
use keep_types::{DisplayText, InspectedMessage, MessageFacts};
use serde::{Deserialize, Serialize};

use super::{MessageSignature, message_hash, to_sign, to_spend};
use crate::address::address_text;
use crate::inspect::SIGNED_MESSAGE;
use crate::wallet::OwnScript;
use crate::{BitcoinError, InspectOptions, Inspection, PsbtFile, SignJob, Signed, TaprootSigner, Wallet};

/// How a signature is written, when no coins are proved with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// The witness alone, with the prefix `smp`.
    #[default]
    Simple,
    /// The whole virtual transaction, with the prefix `ful`.
    Full,
}

/// A coin of ours whose control is proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coin {
    /// The output.
    pub outpoint: OutPoint,
    /// Its amount in satoshis.
    pub amount_sats: u64,
    /// Its script.
    pub script: OwnScript,
}

/// A message to be signed, as an inspected virtual transaction.
#[derive(Debug)]
pub struct MessageRequest {
    inspection: Inspection,
    view: MessageFacts,
    hash: [u8; 32],
    format: Format,
}

impl MessageRequest {
    /// Prepares to sign `message` as the owner of `script`, proving control of `coins` too.
    ///
    /// # Errors
    /// [`BitcoinError::Message`] when a script is not ours, a coin occurs twice, or their amounts overflow.
    pub fn new(
        wallet: &Wallet,
        script: &OwnScript,
        message: &str,
        coins: &[Coin],
        format: Format,
    ) -> Result<Self, BitcoinError> {
        let psbt = virtual_psbt(script, message, coins)?;
        // Nothing of this can be mined, so that limits on fees mean nothing.
        let options = InspectOptions {
            max_fee_sats: u64::MAX,
            max_fee_rate_sats_per_kvb: u64::MAX,
            ..Default::default()
        };
        let inspection = Inspection::new(PsbtFile::new(psbt)?, wallet, &options);
        if inspection.facts().signable_inputs != coins.len() + 1 {
            return Err(BitcoinError::Message("an address or a coin is not ours"));
        }
        let view = MessageFacts {
            address: address_text(script.script(), wallet.network()),
            message: DisplayText::new(message),
            coins: coins.iter().map(|coin| DisplayText::new(&coin.outpoint.to_string())).collect(),
            coins_sats: inspection
                .facts()
                .own_inputs_sats
                .ok_or(BitcoinError::Message("its amounts overflow"))?,
        };
        Ok(Self { inspection, view, hash: message_hash(message.as_bytes()), format })
    }

    /// What is signed.
    pub const fn view(&self) -> &MessageFacts {
        &self.view
    }

    /// The virtual transaction, as it was inspected.
    pub const fn inspection(&self) -> &Inspection {
        &self.inspection
    }

    /// The signatures that are needed.
    ///
    /// # Errors
    /// As [`Inspection::jobs`].
    pub fn jobs(&self) -> Result<Vec<SignJob>, BitcoinError> {
        self.inspection.jobs()
    }

    /// Signs with `signer`.
    ///
    /// # Errors
    /// As [`Inspection::sign`].
    pub fn sign(self, signer: &impl TaprootSigner) -> Result<MessageSignature, BitcoinError> {
        let (format, coins) = (self.format, self.view.coins.len());
        finish(self.inspection.sign(signer)?, format, coins)
    }

    /// Completes the message with `signatures`, one for each of [`MessageRequest::jobs`].
    ///
    /// # Errors
    /// As [`Inspection::attach`].
    pub fn attach(self, signatures: &[Signature]) -> Result<MessageSignature, BitcoinError> {
        let (format, coins) = (self.format, self.view.coins.len());
        finish(self.inspection.attach(signatures)?, format, coins)
    }
}

impl InspectedMessage for MessageRequest {
    fn facts(&self) -> &MessageFacts {
        self.view()
    }

    fn hash(&self) -> [u8; 32] {
        self.hash
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

fn finish(signed: Signed, format: Format, coins: usize) -> Result<MessageSignature, BitcoinError> {
    let mut file = signed.file;
    file.finalize()?;
    if coins > 0 {
        return Ok(MessageSignature::ProofOfFunds(Box::new(file)));
    }
    let tx = file.extract()?;
    match (format, tx.input.first()) {
        (Format::Simple, Some(input)) => Ok(MessageSignature::Simple(input.witness.clone())),
        (Format::Full, _) | (Format::Simple, None) => Ok(MessageSignature::Full(tx)),
    }
}

/// The virtual transaction as a PSBT that proves to our wallet which keys are ours.
fn virtual_psbt(script: &OwnScript, message: &str, coins: &[Coin]) -> Result<Psbt, BitcoinError> {
    let to_spend = to_spend(message.as_bytes(), script.script());
    let mut tx = to_sign(&to_spend);
    let mut spent: HashMap<OutPoint, ()> = HashMap::new();
    for coin in coins {
        if spent.insert(coin.outpoint, ()).is_some() {
            return Err(BitcoinError::Message("a coin is named twice"));
        }
        tx.input.push(TxIn { previous_output: coin.outpoint, sequence: Sequence::ZERO, ..TxIn::default() });
    }
    let mut psbt = Psbt::from_unsigned_tx(tx).map_err(|_| BitcoinError::Message("no virtual transaction"))?;
    psbt.unknown
        .insert(raw::Key { type_value: SIGNED_MESSAGE, key: Vec::new() }, message.as_bytes().to_vec());
    let owners =
        std::iter::once((script, 0)).chain(coins.iter().map(|coin| (&coin.script, coin.amount_sats)));
    for (input, (owner, amount)) in psbt.inputs.iter_mut().zip(owners) {
        input.witness_utxo =
            Some(TxOut { value: Amount::from_sat(amount), script_pubkey: owner.script().into() });
        if let Some((key, source)) = owner.origin() {
            input.tap_internal_key = Some(*key);
            input.tap_key_origins.insert(*key, (Vec::new(), source.clone()));
        }
    }
    Ok(psbt)
}
