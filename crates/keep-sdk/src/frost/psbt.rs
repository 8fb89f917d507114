//! Bitcoin transactions that a group signs. What is signed is computed here from the decoded PSBT.

use keep_bitcoin::{Encoding, InspectOptions, Inspection, Network, PsbtFile, TransactionView, Wallet};
use keep_frost::sign::Proposal;
use keep_frost::{FrostError, Index, KeySpec, Message, SessionId};
use keep_policy::Proposed;
use keep_types::{Answer, DisplayText, Fault, GroupSpend, GroupUse, Intent, SpendFacts, SpendPart};
use keep_vault::{GroupRecord, group_account, group_spend_jobs};
use rand_core::OsRng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lookup::group;
use super::sign::signers;
use crate::bitcoin::{SignedPsbtView, SkippedView};
use crate::call::{Call, Class, Host};
use crate::keys::bug;

/// A transaction that a group is to sign.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PsbtToSign {
    /// The group; without it, the only one there is.
    pub group: Option<String>,
    /// The PSBT as this side has it, in base64 or hexadecimal.
    pub psbt: String,
    /// The network.
    pub network: Network,
}

/// A transaction that was decoded, with what it needs from the group.
pub(super) struct Prepared {
    pub record: GroupRecord,
    pub inspection: Inspection,
    /// Every signature that it needs: under which key, over what.
    pub jobs: Vec<(KeySpec, Message)>,
}

impl PsbtToSign {
    /// Decodes it as the owner of the group's wallet. Refuses every danger, and what has nothing of ours to sign.
    pub(super) fn prepare(&self, host: &Host) -> Result<Prepared, Fault> {
        let record = group(host, self.group.as_deref())?;
        let inspection = inspect(&record, &self.psbt, self.network)?;
        let jobs = group_spend_jobs(&record, &inspection)?;
        Ok(Prepared { record, inspection, jobs })
    }
}

fn inspect(record: &GroupRecord, psbt: &str, network: Network) -> Result<Inspection, Fault> {
    let wallet = Wallet::new(network).with_account(group_account(record, network)?)?;
    Ok(Inspection::new(PsbtFile::read(psbt.as_bytes())?, &wallet, &InspectOptions::default()))
}

/// What a person is shown of a transaction before it is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GroupSpendView {
    /// The group's name.
    pub group: String,
    /// The transaction as it was decoded here: network, amounts, destinations, warnings.
    pub transaction: TransactionView,
    /// Who proposed it, if somebody did.
    pub from: Option<u16>,
    /// The session in which it is to be signed, if it was proposed.
    pub session: Option<String>,
    /// The limit of the owner that it would exceed now.
    pub limit: Option<DisplayText>,
    /// Whether the member who proposes it has a grant for it here, so that nobody need be asked.
    #[serde(default)]
    pub granted: bool,
}

/// Says what a PSBT would do to a group. Nothing is signed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AnalyzePsbt {
    pub psbt: PsbtToSign,
    /// Somebody's proposal to sign it, which must be about this very transaction.
    pub proposal: Option<String>,
}

impl Call for AnalyzePsbt {
    const NAME: &'static str = "frost.analyze_psbt";
    const CLASS: Class = Class::Use;
    type Reply = GroupSpendView;

    fn run(self, host: &Host) -> Result<GroupSpendView, Fault> {
        let prepared = self.psbt.prepare(host)?;
        let transaction = prepared.inspection.view().clone();
        let mut limit = None;
        let spending = crate::bitcoin::wallets(host).spending(prepared.record.id)?;
        if let Some(spending) = &spending {
            let checked = spending.limits.check(&transaction.facts, &spending.spent, host.now());
            limit = checked.err().map(|overspend| DisplayText::new(&overspend.to_string()));
        }
        let mut view = GroupSpendView {
            group: prepared.record.name.to_string(),
            transaction,
            from: None,
            session: None,
            limit,
            granted: false,
        };
        if let Some(proposal) = &self.proposal {
            let proposed = super::psbt_session::Proposed::read(&prepared, proposal)?;
            view.from = Some(proposed.from.get());
            view.session = Some(proposed.session.to_string());
            let limits = spending.as_ref().map(|spending| &spending.limits);
            let what = Proposed::transaction(limits, &view.transaction.facts);
            let from = proposed.from.get();
            view.granted = prepared.record.judge_cosigner(from, what, host.vault().id(), host.now()).is_ok();
        }
        Ok(view)
    }
}

/// Signs a PSBT with a group, all of whose signers are here: every input of `tr(XPUB/<0;1>/*)` with the group's xpub.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SignPsbt {
    pub psbt: PsbtToSign,
    pub finalize: bool,
    pub signers: Vec<u16>,
}

impl Call for SignPsbt {
    const NAME: &'static str = "frost.sign_psbt";
    const CLASS: Class = Class::Use;
    type Reply = SignedPsbtView;

    fn run(self, host: &Host) -> Result<SignedPsbtView, Fault> {
        host.check_intact()?;
        let Prepared { record, inspection, jobs } = self.psbt.prepare(host)?;
        let here = signers(&record, &self.signers)?;
        super::sign::expect_enough(&record, here.len())?;
        let facts = inspection.facts().clone();
        let parts = open(host, &record, &here, jobs)?;
        let opened: Vec<SessionId> = parts.iter().map(|part| SessionId::from_bytes(part.session)).collect();
        let spend = GroupSpend { spend: Box::new(inspection), parts, proposed_by: None };
        let spend = Intent::Group(Box::new(GroupUse::Spend(spend)));
        let answered = host.answer(record.id, spend);
        // Nonces of what was refused are of no use to anybody.
        host.vault().forget_sessions(&opened);
        let Answer::Psbt(signed) = answered? else {
            return Err(bug("signing gave something else than a PSBT"));
        };
        let skipped = signed.skipped.into_iter().map(|(input, reason)| SkippedView { input, reason });
        finished(PsbtFile::read(&signed.psbt)?, &facts, self.finalize, signed.signatures, skipped.collect())
    }
}

/// Makes nonces for every signature. They wait in the memory of this process.
fn open(
    host: &Host,
    record: &GroupRecord,
    here: &[Index],
    jobs: Vec<(KeySpec, Message)>,
) -> Result<Vec<SpendPart>, Fault> {
    let mut proposals = Vec::with_capacity(jobs.len());
    for (spec, message) in jobs {
        proposals.push(Proposal::new(&record.group, spec, message, &mut OsRng)?);
    }
    let opened = host.vault().open_sessions(record.id, proposals, here)?;
    let part = |opened: keep_vault::GroupSession| SpendPart {
        session: *opened.session.as_bytes(),
        nonces: opened.burns.iter().map(|burn| *burn.as_bytes()).collect(),
        package: None,
    };
    Ok(opened.into_iter().map(part).collect())
}

/// The signed transaction, as it is shown.
pub(super) fn finished(
    mut file: PsbtFile,
    facts: &SpendFacts,
    finalize: bool,
    signatures: usize,
    skipped: Vec<SkippedView>,
) -> Result<SignedPsbtView, Fault> {
    let mut transaction = None;
    if finalize {
        file.finalize().map_err(|error| {
            Fault::from(error)
                .with_hint("without --finalize you get the PSBT with the group's signatures in it")
        })?;
        let extracted = file.extract()?;
        transaction = Some(keep_bitcoin::bitcoin::consensus::encode::serialize_hex(&extracted));
    }
    Ok(SignedPsbtView {
        txid: file.unsigned_tx().compute_txid().to_string(),
        complete: transaction.is_some() || file.clone().finalize().is_ok(),
        transaction,
        psbt: String::from_utf8_lossy(&file.write_as(Encoding::Base64)).into_owned(),
        signatures,
        leaving_sats: facts.leaving_sats,
        fee_sats: facts.fee_sats,
        skipped,
    })
}

/// The transaction is another one than what was proposed.
pub(super) fn other_transaction() -> Fault {
    Fault::from(FrostError::Message("the proposal is about another transaction than yours"))
        .with_hint("give --psbt the very PSBT that is to be signed")
}
