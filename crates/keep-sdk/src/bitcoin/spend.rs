//! Looking at transactions, and signing them.

use keep_bitcoin::{BitcoinError, Encoding, Inspection, PsbtFile};
use keep_policy::Spent;
use keep_types::{Answer, DisplayText, Fault, Intent};
use serde::{Deserialize, Serialize};

use super::wallet::{FeeLimits, Opened, wallets};
use super::{AnalysisView, SignedPsbtView, SkippedView, WalletSelector};
use crate::call::{Call, Class, Host};
use crate::keys::bug;

/// Says what a PSBT would do. Nothing is signed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Analyze {
    pub wallet: WalletSelector,
    pub psbt: String,
    pub fees: FeeLimits,
}

impl Call for Analyze {
    const NAME: &'static str = "bitcoin.analyze";
    const CLASS: Class = Class::Use;
    type Reply = AnalysisView;

    fn run(self, host: &Host) -> Result<AnalysisView, Fault> {
        let opened = self.wallet.open(host)?;
        let inspection = opened.inspect(host, PsbtFile::read(self.psbt.as_bytes())?, &self.fees)?;
        let mut refusals = refusals(&inspection);
        refusals.extend(limit_reached(host, &opened, &inspection)?);
        Ok(AnalysisView { transaction: inspection.view().clone(), refusals })
    }
}

/// Why the transaction itself stands against a signature.
fn refusals(inspection: &Inspection) -> Vec<DisplayText> {
    let dangers = inspection.refusals();
    let text = |text: String| DisplayText::new(&text);
    if dangers.is_empty() && inspection.facts().signable_inputs == 0 {
        return inspection.skipped().iter().map(|skipped| text(skipped.to_string())).collect();
    }
    dangers.iter().map(|danger| text(danger.to_string())).collect()
}

/// The limit of the owner that the transaction would exceed now.
fn limit_reached(
    host: &Host,
    opened: &Opened,
    inspection: &Inspection,
) -> Result<Option<DisplayText>, Fault> {
    let Some(spending) = wallets(host).spending(opened.key.id)? else { return Ok(None) };
    let spent: &Spent = &spending.spent;
    let checked = spending.limits.check(inspection.facts(), spent, host.now());
    Ok(checked.err().map(|overspend| DisplayText::new(&overspend.to_string())))
}

/// Signs a PSBT: every input that is ours.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SignPsbt {
    pub wallet: WalletSelector,
    pub psbt: String,
    pub finalize: bool,
    pub fees: FeeLimits,
}

impl Call for SignPsbt {
    const NAME: &'static str = "bitcoin.sign";
    const CLASS: Class = Class::Use;
    type Reply = SignedPsbtView;

    fn run(self, host: &Host) -> Result<SignedPsbtView, Fault> {
        let opened = self.wallet.open(host)?;
        let inspection = opened.inspect(host, PsbtFile::read(self.psbt.as_bytes())?, &self.fees)?;
        // What cannot succeed is refused before it is judged, counted and recorded.
        let dangers = inspection.refusals();
        if !dangers.is_empty() {
            return Err(BitcoinError::Refused(dangers).into());
        }
        let facts = inspection.facts().clone();
        if facts.signable_inputs == 0 {
            return Err(BitcoinError::NothingSigned(inspection.skipped()).into());
        }
        let Answer::Psbt(signed) = host.answer(opened.key.id, Intent::SignPsbt(Box::new(inspection)))? else {
            return Err(bug("signing gave something else than a PSBT"));
        };
        let mut file = PsbtFile::read(&signed.psbt)?;
        let mut transaction = None;
        if self.finalize {
            file.finalize().map_err(|error| {
                Fault::from(error).with_hint("without --finalize you get the PSBT with your signatures in it")
            })?;
            transaction = Some(keep_bitcoin::bitcoin::consensus::encode::serialize_hex(&file.extract()?));
        }
        let skipped = signed.skipped.into_iter();
        Ok(SignedPsbtView {
            txid: file.unsigned_tx().compute_txid().to_string(),
            complete: transaction.is_some() || file.clone().finalize().is_ok(),
            transaction,
            psbt: String::from_utf8_lossy(&file.write_as(Encoding::Base64)).into_owned(),
            signatures: signed.signatures,
            leaving_sats: facts.leaving_sats,
            fee_sats: facts.fee_sats,
            skipped: skipped.map(|(input, reason)| SkippedView { input, reason }).collect(),
        })
    }
}
