//! Signing what was inspected.

mod finalize;
mod local;
mod reason;
mod signer;

use bitcoin::TxOut;
use bitcoin::secp256k1::schnorr::Signature;
use bitcoin::secp256k1::{Message, SECP256K1};
use bitcoin::sighash::{Prevouts, SighashCache};
use bitcoin::taproot;

pub use self::local::LocalSigner;
pub use self::reason::{SkipReason, Skipped};
pub use self::signer::{KeyTweak, SignJob, SignerError, TaprootSigner};
use crate::inspect::Way;
use crate::{BitcoinError, Inspection, PsbtFile};

/// A PSBT with our signatures in it.
#[derive(Debug, Clone)]
pub struct Signed {
    /// The PSBT.
    pub file: PsbtFile,
    /// How many signatures were added.
    pub signatures: usize,
    /// The inputs that got none, each with the reason.
    pub skipped: Vec<Skipped>,
}

impl Inspection {
    /// Every signature that this transaction needs from us: for each input the key path if it is ours, else every
    /// script that a key of ours takes part in.
    ///
    /// # Errors
    /// [`BitcoinError::Refused`] with every danger; [`BitcoinError::NothingSigned`] with the reason for each input.
    pub fn jobs(&self) -> Result<Vec<SignJob>, BitcoinError> {
        let refusals = self.refusals();
        if !refusals.is_empty() {
            return Err(BitcoinError::Refused(refusals));
        }
        let prevouts: Vec<&TxOut> = self.findings.iter().filter_map(|found| found.prevout.as_ref()).collect();
        let prevouts = Prevouts::All(&prevouts);
        let mut cache = SighashCache::new(self.file.unsigned_tx());
        let mut jobs = Vec::with_capacity(self.findings.len());
        for (input, found) in self.findings.iter().enumerate() {
            for way in &found.ways {
                jobs.push(job(&mut cache, &prevouts, input, found.sighash, way)?);
            }
        }
        if jobs.is_empty() { Err(BitcoinError::NothingSigned(self.skipped())) } else { Ok(jobs) }
    }

    /// The inputs that get no signature, each with the reason.
    pub fn skipped(&self) -> Vec<Skipped> {
        let inputs = self.findings.iter().enumerate();
        inputs.filter_map(|(input, found)| found.skip.map(|reason| Skipped { input, reason })).collect()
    }

    /// Signs with `signer`. This is the only function that uses a secret.
    ///
    /// # Errors
    /// As [`Inspection::jobs`], and [`BitcoinError::Signer`]. Then no signature leaves.
    pub fn sign(self, signer: &impl TaprootSigner) -> Result<Signed, BitcoinError> {
        let jobs = self.jobs()?;
        let signatures = signer.sign_taproot(&jobs)?;
        if !signer.is_trusted() {
            verify(&jobs, &signatures)?;
        }
        self.put(&jobs, &signatures)
    }

    /// Adds `signatures`, one for each of [`Inspection::jobs`] in their order, after verifying each.
    ///
    /// # Errors
    /// As [`Inspection::jobs`], and [`BitcoinError::Signer`] for a wrong count or a signature that does not verify.
    pub fn attach(self, signatures: &[Signature]) -> Result<Signed, BitcoinError> {
        let jobs = self.jobs()?;
        verify(&jobs, signatures)?;
        self.put(&jobs, signatures)
    }

    fn put(self, jobs: &[SignJob], signatures: &[Signature]) -> Result<Signed, BitcoinError> {
        if jobs.len() != signatures.len() {
            return Err(SignerError::Count.into());
        }
        let skipped = self.skipped();
        let mut file = self.file;
        for (job, signature) in jobs.iter().zip(signatures) {
            let signature = taproot::Signature { signature: *signature, sighash_type: job.sighash_type };
            if let Some(input) = file.psbt_mut().inputs.get_mut(job.input) {
                match job.leaf_hash {
                    None => input.tap_key_sig = Some(signature),
                    Some(leaf) => drop(input.tap_script_sigs.insert((job.public_key, leaf), signature)),
                }
            }
            file.note_signature(job.sighash_type);
        }
        Ok(Signed { file, signatures: jobs.len(), skipped })
    }
}

type Cache<'t> = SighashCache<&'t bitcoin::Transaction>;

fn job(
    cache: &mut Cache<'_>,
    prevouts: &Prevouts<'_, &TxOut>,
    input: usize,
    sighash_type: bitcoin::TapSighashType,
    way: &Way,
) -> Result<SignJob, BitcoinError> {
    // With every prevout at hand and SIGHASH_SINGLE checked before, the hash exists.
    let no_hash = |_| BitcoinError::Psbt(format!("input {input} cannot be hashed"));
    Ok(match way {
        Way::Key { location, untweaked, output_key, tweak } => SignJob {
            input,
            sighash: cache
                .taproot_key_spend_signature_hash(input, prevouts, sighash_type)
                .map_err(no_hash)?,
            location: location.clone(),
            tweak: *tweak,
            untweaked: *untweaked,
            public_key: *output_key,
            sighash_type,
            leaf_hash: None,
        },
        Way::Leaf { location, key, leaf_hash, .. } => SignJob {
            input,
            sighash: cache
                .taproot_script_spend_signature_hash(input, prevouts, *leaf_hash, sighash_type)
                .map_err(no_hash)?,
            location: location.clone(),
            tweak: KeyTweak::None,
            untweaked: None,
            public_key: *key,
            sighash_type,
            leaf_hash: Some(*leaf_hash),
        },
    })
}

fn verify(jobs: &[SignJob], signatures: &[Signature]) -> Result<(), SignerError> {
    if jobs.len() != signatures.len() {
        return Err(SignerError::Count);
    }
    for (job, signature) in jobs.iter().zip(signatures) {
        let message = Message::from(job.sighash);
        SECP256K1
            .verify_schnorr(signature, &message, &job.public_key)
            .map_err(|_| SignerError::BadSignature(job.input))?;
    }
    Ok(())
}
