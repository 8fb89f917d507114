//! Signed messages (BIP-322, version 2).
//!
//! A message is signed as if a virtual transaction, `to_sign`, spent an output with the signer's script. The
//! signature is written as a prefix and base64: `smp` with the witness alone, `ful` with all of `to_sign`, `pof` with
//! a final PSBT whose further inputs prove control of coins. A signature without prefix is read as `smp`.

mod sign;
mod verify;

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bitcoin::consensus::{deserialize, serialize};
use bitcoin::hashes::{Hash, HashEngine, sha256};
use bitcoin::opcodes::OP_0;
use bitcoin::opcodes::all::OP_RETURN;
use bitcoin::script::Builder;
use bitcoin::transaction::Version;
use bitcoin::{
    Amount, OutPoint, Script, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness, absolute,
};

pub use self::sign::{Coin, Format, MessageRequest};
pub use self::verify::{Verdict, verify};
use crate::{BitcoinError, Encoding, MAX_PSBT_BYTES, PsbtFile};

/// The tagged hash of a message (BIP-322, tag `BIP0322-signed-message`).
pub fn message_hash(message: &[u8]) -> [u8; 32] {
    let tag = sha256::Hash::hash(b"BIP0322-signed-message");
    let mut engine = sha256::Hash::engine();
    engine.input(tag.as_ref());
    engine.input(tag.as_ref());
    engine.input(message);
    sha256::Hash::from_engine(engine).to_byte_array()
}

/// The virtual transaction whose output the signature spends.
pub fn to_spend(message: &[u8], script: &Script) -> Transaction {
    let script_sig = Builder::new().push_opcode(OP_0).push_slice(message_hash(message)).into_script();
    Transaction {
        version: Version(0),
        lock_time: absolute::LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint { txid: Txid::all_zeros(), vout: u32::MAX },
            script_sig,
            sequence: Sequence::ZERO,
            witness: Witness::new(),
        }],
        output: vec![TxOut { value: Amount::ZERO, script_pubkey: script.into() }],
    }
}

/// The virtual transaction that is signed, without signatures, with no inputs beyond the first.
pub fn to_sign(to_spend: &Transaction) -> Transaction {
    Transaction {
        version: Version(0),
        lock_time: absolute::LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint { txid: to_spend.compute_txid(), vout: 0 },
            script_sig: ScriptBuf::new(),
            sequence: Sequence::ZERO,
            witness: Witness::new(),
        }],
        output: vec![TxOut {
            value: Amount::ZERO,
            script_pubkey: Builder::new().push_opcode(OP_RETURN).into_script(),
        }],
    }
}

/// A signature of a message.
#[derive(Debug, Clone)]
pub enum MessageSignature {
    /// The witness of the first input; everything else has its default.
    Simple(Witness),
    /// All of `to_sign`.
    Full(Transaction),
    /// `to_sign` as a final PSBT, with the coins that it proves control of.
    ProofOfFunds(Box<PsbtFile>),
}

impl FromStr for MessageSignature {
    type Err = BitcoinError;

    fn from_str(text: &str) -> Result<Self, BitcoinError> {
        const BASE64: BitcoinError = BitcoinError::MessageSignature("it is not base64");
        let text = text.trim();
        if text.len() > MAX_PSBT_BYTES {
            return Err(BitcoinError::MessageSignature("it is too long"));
        }
        let (prefix, body) = match text.split_at_checked(3) {
            Some((prefix @ ("smp" | "ful" | "pof"), body)) => (prefix, body),
            Some(_) | None => ("smp", text),
        };
        let bytes = STANDARD.decode(body).map_err(|_| BASE64)?;
        match prefix {
            "ful" => deserialize(&bytes)
                .map(Self::Full)
                .map_err(|_| BitcoinError::MessageSignature("no transaction")),
            "pof" => {
                let file = PsbtFile::read(&bytes).ok().filter(|file| file.encoding() == Encoding::Binary);
                file.map(|file| Self::ProofOfFunds(Box::new(file)))
                    .ok_or(BitcoinError::MessageSignature("no PSBT after the prefix pof"))
            }
            _ => match deserialize::<Witness>(&bytes) {
                Ok(witness) if !witness.is_empty() => Ok(Self::Simple(witness)),
                Ok(_) => Err(BitcoinError::MessageSignature("its witness is empty")),
                Err(_) => Err(BitcoinError::MessageSignature("no witness")),
            },
        }
    }
}

impl fmt::Display for MessageSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Simple(witness) => write!(f, "smp{}", STANDARD.encode(serialize(witness))),
            Self::Full(tx) => write!(f, "ful{}", STANDARD.encode(serialize(tx))),
            Self::ProofOfFunds(file) => write!(f, "pof{}", STANDARD.encode(file.write_as(Encoding::Binary))),
        }
    }
}
