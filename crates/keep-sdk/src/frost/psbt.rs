//! Bitcoin transactions that a group signs. What is signed is computed here from the decoded PSBT.

use keep_bitcoin::bitcoin::secp256k1::schnorr::Signature as Schnorr;
use keep_bitcoin::{
    Account, BitcoinError, Encoding, InspectOptions, Inspection, KeyLocation, KeyTweak, Network, PsbtFile,
    SignJob, Wallet,
};
use keep_frost::{KeySpec, Message, Tweak};
use keep_types::{ErrorCode, Fault};
use keep_vault::GroupRecord;
use serde::{Deserialize, Serialize};

use super::lookup::group;
use super::sign::{sign_here, signers};
use crate::bitcoin::{SignedPsbtView, SkippedView};
use crate::call::{Call, Class, Host};
use crate::keys::bug;

/// Signs a PSBT with a group: every input of `tr(XPUB/<0;1>/*)` with the group's xpub.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SignPsbt {
    pub group: Option<String>,
    pub psbt: String,
    pub network: Network,
    pub finalize: bool,
}

impl Call for SignPsbt {
    const NAME: &'static str = "frost.sign_psbt";
    const CLASS: Class = Class::Use;
    type Reply = SignedPsbtView;

    fn run(self, host: &Host) -> Result<SignedPsbtView, Fault> {
        let record = group(host, self.group.as_deref())?;
        let wallet = Wallet::new(self.network).with_account(account(&record, self.network)?)?;
        let file = PsbtFile::read(self.psbt.as_bytes())?;
        let inspection = Inspection::new(file, &wallet, &InspectOptions::default());
        let (facts, skipped) = (inspection.facts().clone(), inspection.skipped());
        // Refuses every danger, and what has nothing of ours to sign.
        let jobs = inspection.jobs()?;
        let here = signers(&record, &[])?;
        let mut signatures = Vec::with_capacity(jobs.len());
        for job in &jobs {
            let spec = spec(job)?;
            if record.group.derive_public(&spec)? != job.public_key.serialize() {
                return Err(BitcoinError::from(keep_bitcoin::SignerError::KeyMismatch(job.input)).into());
            }
            let message = Message::Raw(AsRef::<[u8]>::as_ref(&job.sighash).to_vec());
            let signature = sign_here(host, &record, &message, &spec, &here)?;
            signatures.push(
                Schnorr::from_slice(signature.as_bytes()).map_err(|_| bug("a signature has another form"))?,
            );
        }
        let signed = inspection.attach(&signatures)?;
        let mut file = signed.file;
        let mut transaction = None;
        if self.finalize {
            file.finalize().map_err(|error| {
                Fault::from(error)
                    .with_hint("without --finalize you get the PSBT with the group's signatures in it")
            })?;
            transaction = Some(keep_bitcoin::bitcoin::consensus::encode::serialize_hex(&file.extract()?));
        }
        Ok(SignedPsbtView {
            txid: file.unsigned_tx().compute_txid().to_string(),
            complete: transaction.is_some() || file.clone().finalize().is_ok(),
            transaction,
            psbt: String::from_utf8_lossy(&file.write_as(Encoding::Base64)).into_owned(),
            signatures: signed.signatures,
            leaving_sats: facts.leaving_sats,
            fee_sats: facts.fee_sats,
            skipped: skipped
                .into_iter()
                .map(|skip| SkippedView {
                    input: skip.input,
                    reason: skip.reason.to_string().as_str().into(),
                })
                .collect(),
        })
    }
}

/// The group's wallet: the key path of its unhardened children (BIP-86 without hardened steps, which no group has).
fn account(record: &GroupRecord, network: Network) -> Result<Account, Fault> {
    let kind = match network {
        Network::Mainnet => keep_frost::Network::Mainnet,
        Network::Testnet3 | Network::Testnet4 | Network::Signet | Network::Regtest => {
            keep_frost::Network::Testnet
        }
    };
    let xpub = record.group.xpub(kind)?;
    Ok(Account::from_descriptor(&format!("tr({xpub}/<0;1>/*)"), network)?)
}

fn spec(job: &SignJob) -> Result<KeySpec, Fault> {
    let KeyLocation::Child { path, .. } = &job.location else {
        return Err(Fault::new(ErrorCode::InvalidInput, "a group signs with children of its xpub only"));
    };
    let tweak = match job.tweak {
        KeyTweak::None => Tweak::None,
        KeyTweak::Taproot(None) => Tweak::KeyPath,
        KeyTweak::Taproot(Some(root)) => Tweak::ScriptTree(*AsRef::<[u8; 32]>::as_ref(&root)),
    };
    Ok(KeySpec::new(path.to_u32_vec(), tweak))
}
