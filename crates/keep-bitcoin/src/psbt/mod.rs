//! PSBT files: version 0 (BIP-174) and version 2 (BIP-370), with taproot fields (BIP-371).

mod previous;
mod raw;
mod v2;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bitcoin::{Psbt, TapSighashType, Transaction, Weight};
use keep_types::DisplayText;

use self::raw::{MAGIC, RawPsbt};
use crate::BitcoinError;

/// The largest PSBT that Keep reads, in bytes after decoding.
pub const MAX_PSBT_BYTES: usize = 16 << 20;

/// How a PSBT is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// The bytes themselves.
    Binary,
    /// Base64 with padding.
    Base64,
    /// Lower-case hexadecimal.
    Hex,
}

/// A PSBT with the version and encoding of its file, to be written in the same way.
#[derive(Debug, Clone)]
pub struct PsbtFile {
    psbt: Psbt,
    extra: Option<v2::Extra>,
    encoding: Encoding,
}

impl PsbtFile {
    /// Reads a file's content: binary, base64 or hexadecimal (white space around and inside text is ignored).
    ///
    /// # Errors
    /// [`BitcoinError::Psbt`] or [`BitcoinError::PsbtTooLarge`].
    pub fn read(content: &[u8]) -> Result<Self, BitcoinError> {
        if content.starts_with(&MAGIC) {
            return Self::from_bytes(content, Encoding::Binary);
        }
        // Hexadecimal takes two characters per byte; white space may add to that.
        if content.len() > MAX_PSBT_BYTES * 3 {
            return Err(TOO_LARGE);
        }
        let text: Vec<u8> = content.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        if text.get(..10).is_some_and(|start| start.eq_ignore_ascii_case(b"70736274ff")) {
            let bytes = hex::decode(&text).map_err(|_| invalid("a character is not hexadecimal"))?;
            return Self::from_bytes(&bytes, Encoding::Hex);
        }
        let bytes = STANDARD.decode(&text).map_err(|_| invalid("neither binary, base64 nor hexadecimal"))?;
        Self::from_bytes(&bytes, Encoding::Base64)
    }

    /// Wraps a PSBT that was made in this process.
    ///
    /// # Errors
    /// [`BitcoinError::Psbt`] when its maps do not fit its transaction, or the transaction is signed already.
    pub fn new(psbt: Psbt) -> Result<Self, BitcoinError> {
        let tx = &psbt.unsigned_tx;
        if psbt.inputs.len() != tx.input.len() || psbt.outputs.len() != tx.output.len() {
            return Err(invalid("its maps do not fit its inputs and outputs"));
        }
        if tx.input.iter().any(|input| !input.script_sig.is_empty() || !input.witness.is_empty()) {
            return Err(invalid("its transaction is signed"));
        }
        Ok(Self { psbt, extra: None, encoding: Encoding::Base64 })
    }

    fn from_bytes(bytes: &[u8], encoding: Encoding) -> Result<Self, BitcoinError> {
        if bytes.len() > MAX_PSBT_BYTES {
            return Err(TOO_LARGE);
        }
        let raw = RawPsbt::read(bytes)?;
        let (psbt, extra) = match v2::version(&raw)? {
            0 => {
                let psbt = decode(bytes)?;
                if psbt.inputs.len() + psbt.outputs.len() != raw.rest.len() {
                    return Err(invalid("it has more maps than inputs and outputs"));
                }
                v2::check_v0(&raw, psbt.inputs.len())?;
                (psbt, None)
            }
            2 => {
                let (raw, extra) = v2::to_v0(raw)?;
                (decode(&raw.write())?, Some(extra))
            }
            other => return Err(invalid(&format!("version {other} is not known"))),
        };
        // No block holds a larger transaction.
        if psbt.unsigned_tx.weight() > Weight::MAX_BLOCK {
            return Err(BitcoinError::PsbtTooLarge { limit: 4_000_000, unit: "weight units" });
        }
        Ok(Self { psbt, extra, encoding })
    }

    /// The PSBT in the encoding of the file it came from.
    pub fn write(&self) -> Vec<u8> {
        self.write_as(self.encoding)
    }

    /// The PSBT in another encoding, in the version of the file it came from.
    pub fn write_as(&self, encoding: Encoding) -> Vec<u8> {
        let bytes = self.to_bytes();
        match encoding {
            Encoding::Binary => bytes,
            Encoding::Base64 => STANDARD.encode(bytes).into_bytes(),
            Encoding::Hex => hex::encode(bytes).into_bytes(),
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let bytes = self.psbt.serialize();
        match &self.extra {
            None => bytes,
            // Our own serialisation always reads again.
            Some(extra) => RawPsbt::read(&bytes).map(|raw| v2::to_v2(raw, extra).write()).unwrap_or(bytes),
        }
    }

    /// Version 0 or 2.
    pub const fn version(&self) -> u32 {
        if self.extra.is_some() { 2 } else { 0 }
    }

    /// How it was written.
    pub const fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The PSBT in the form of version 0.
    pub const fn psbt(&self) -> &Psbt {
        &self.psbt
    }

    /// The transaction without signatures.
    pub const fn unsigned_tx(&self) -> &Transaction {
        &self.psbt.unsigned_tx
    }

    pub(crate) const fn psbt_mut(&mut self) -> &mut Psbt {
        &mut self.psbt
    }

    /// Adapts the flags of version 2 to a new signature of type `sighash`.
    pub(crate) fn note_signature(&mut self, sighash: TapSighashType) {
        use TapSighashType as T;
        let Some(extra) = &mut self.extra else { return };
        let anyone =
            matches!(sighash, T::AllPlusAnyoneCanPay | T::NonePlusAnyoneCanPay | T::SinglePlusAnyoneCanPay);
        let open = matches!(sighash, T::None | T::NonePlusAnyoneCanPay);
        let single = matches!(sighash, T::Single | T::SinglePlusAnyoneCanPay);
        extra.note_signature(anyone, open, single);
    }
}

const TOO_LARGE: BitcoinError = BitcoinError::PsbtTooLarge { limit: MAX_PSBT_BYTES, unit: "bytes" };

fn decode(bytes: &[u8]) -> Result<Psbt, BitcoinError> {
    // The decoder's messages can quote the file.
    Psbt::deserialize(bytes).map_err(|error| {
        BitcoinError::Psbt(DisplayText::truncated(&error.to_string(), 200).as_str().to_owned())
    })
}

fn invalid(what: &str) -> BitcoinError {
    BitcoinError::Psbt(what.into())
}
