//! Bitcoin transactions that a group signs. What is signed is computed here, from the very transaction that was judged.

use std::collections::BTreeSet;

use keep_bitcoin::bitcoin::secp256k1::schnorr::Signature as Schnorr;
use keep_bitcoin::{
    Account, BitcoinError, Inspection, KeyLocation, KeyTweak, Network, SignJob, Signed, SignerError,
};
use keep_frost::sign::{LocalSession, Package};
use keep_frost::{FrostError, Index, KeySpec, Message, SecretShare, Tweak};
use keep_types::{
    Answer, DisplayText, ErrorCode, Fault, GroupSpend, InspectedSpend, KeyId, SignedPsbt, SpendPart,
};

use super::GroupRecord;
use super::perform::decoded;
use crate::{Vault, VaultError};

/// The wallet of a group: the key path of its unhardened children, `tr(XPUB/<0;1>/*)`. BIP-86 has hardened steps, which
/// no group can do.
///
/// # Errors
/// [`FrostError::Derivation`] for a group without a chain code or of another suite.
pub fn group_account(record: &GroupRecord, network: Network) -> Result<Account, VaultError> {
    let kind = match network {
        Network::Mainnet => keep_frost::Network::Mainnet,
        Network::Testnet3 | Network::Testnet4 | Network::Signet | Network::Regtest => {
            keep_frost::Network::Testnet
        }
    };
    let xpub = record.group.xpub(kind)?;
    Account::from_descriptor(&format!("tr({xpub}/<0;1>/*)"), network).map_err(fault)
}

/// Every signature that a transaction needs from a group: under which key, over which hash.
///
/// # Errors
/// [`BitcoinError::Refused`] with every danger; [`BitcoinError::NothingSigned`]; when it was not inspected as the owner of
/// this group's wallet.
pub fn group_spend_jobs(
    record: &GroupRecord,
    inspection: &Inspection,
) -> Result<Vec<(KeySpec, Message)>, VaultError> {
    for account in inspection.accounts() {
        if account.descriptor() != group_account(record, account.network())?.descriptor() {
            return Err(fault(SignerError::ForeignWallet.into()));
        }
    }
    if inspection.identity().is_some() {
        return Err(fault(SignerError::ForeignWallet.into()));
    }
    let jobs = inspection.jobs().map_err(fault)?;
    jobs.iter()
        .map(|job| {
            let spec = spec(job)?;
            if record.group.derive_public(&spec)? != job.public_key.serialize() {
                return Err(fault(SignerError::KeyMismatch(job.input).into()));
            }
            Ok((spec, Message::Raw(AsRef::<[u8]>::as_ref(&job.sighash).to_vec())))
        })
        .collect()
}

fn spec(job: &SignJob) -> Result<KeySpec, VaultError> {
    let KeyLocation::Child { path, .. } = &job.location else {
        return Err(
            Fault::new(ErrorCode::InvalidInput, "a group signs with children of its xpub only").into()
        );
    };
    let tweak = match job.tweak {
        KeyTweak::None => Tweak::None,
        KeyTweak::Taproot(None) => Tweak::KeyPath,
        KeyTweak::Taproot(Some(root)) => Tweak::ScriptTree(*AsRef::<[u8; 32]>::as_ref(&root)),
    };
    Ok(KeySpec::new(path.to_u32_vec(), tweak))
}

/// A transaction with a group's signatures, which were made by several vaults.
///
/// # Errors
/// When a signature is not the one that the transaction needs.
pub fn attach_group_signatures(
    inspection: Inspection,
    signatures: &[[u8; 64]],
) -> Result<Signed, VaultError> {
    let parsed: Vec<Schnorr> = signatures
        .iter()
        .map(|bytes| Schnorr::from_slice(bytes).map_err(|_| FrostError::BadSignature))
        .collect::<Result<_, _>>()?;
    inspection.attach(&parsed).map_err(fault)
}

impl Vault {
    /// Signs, or makes this vault's signature shares.
    pub(super) fn spend_with_shares(&self, id: KeyId, usage: GroupSpend) -> Result<Answer, VaultError> {
        let GroupSpend { spend, parts, proposed_by: _ } = usage;
        // However this ends, none of these nonces is ever used again.
        let sessions: Vec<LocalSession> = parts
            .iter()
            .map(|part| self.secrets.sessions.take(&self.shared.shield, id, &part.session))
            .collect::<Result<_, _>>()?;
        // Policy judged the facts that this very value gives; nothing else is signed.
        let inspection = InspectedSpend::into_any(spend)
            .downcast::<Inspection>()
            .map_err(|_| VaultError::SecretMismatch)?;
        let record = self.signing_group(id)?;
        let jobs = group_spend_jobs(&record, &inspection)?;
        if jobs.len() != parts.len() {
            return Err(FrostError::Internal("another number of signatures than was judged").into());
        }
        for ((session, part), (spec, message)) in sessions.iter().zip(&parts).zip(&jobs) {
            check_burnt(session, part)?;
            if session.proposal().message() != message || session.proposal().spec() != spec {
                return Err(FrostError::Message("it is about another transaction than yours").into());
            }
        }
        if parts.iter().all(|part| part.package.is_none()) {
            return self.sign_transaction(&record, *inspection, sessions);
        }
        let mut shares = Vec::with_capacity(parts.len());
        for (session, part) in sessions.into_iter().zip(&parts) {
            let package = part.package.as_deref().ok_or(FrostError::OutOfOrder("a package is missing"))?;
            shares.push(self.answer_part(&record, session, &decoded(package)?)?);
        }
        Ok(Answer::SpendShares(shares))
    }

    fn sign_transaction(
        &self,
        record: &GroupRecord,
        inspection: Inspection,
        sessions: Vec<LocalSession>,
    ) -> Result<Answer, VaultError> {
        let mut signatures = Vec::with_capacity(sessions.len());
        for session in sessions {
            let signers: Vec<Index> = session.commitments().map(|(index, _)| index).collect();
            let shares = self.shares(record, &signers)?;
            let shares: Vec<&SecretShare> = shares.iter().collect();
            signatures.push(*session.finish(&record.group, &shares)?.as_bytes());
        }
        let signed = attach_group_signatures(inspection, &signatures)?;
        let skipped = signed.skipped.iter();
        Ok(Answer::Psbt(Box::new(SignedPsbt {
            psbt: signed.file.write(),
            signatures: signed.signatures,
            skipped: skipped.map(|skip| (skip.input, DisplayText::new(&skip.reason.to_string()))).collect(),
        })))
    }

    /// The signature shares of the members that are here, once their nonces are burnt.
    pub(super) fn answer_part(
        &self,
        record: &GroupRecord,
        session: LocalSession,
        package: &Package,
    ) -> Result<Vec<(u16, [u8; 32])>, VaultError> {
        let burns = session.burns();
        let signers: Vec<Index> = session.commitments().map(|(index, _)| index).collect();
        let shares = self.shares(record, &signers)?;
        let shares: Vec<&SecretShare> = shares.iter().collect();
        let mut released = Vec::with_capacity(shares.len());
        for held in session.answer(&record.group, &shares, package)? {
            let (index, burn) = (held.index(), held.burn());
            if !burns.contains(&burn) {
                return Err(FrostError::NotBurnt.into());
            }
            released.push((index.get(), held.release(&burn)?.share));
        }
        Ok(released)
    }
}

/// Whether the nonces of the session are those that were burnt with the record.
fn check_burnt(session: &LocalSession, part: &SpendPart) -> Result<(), FrostError> {
    let burns: BTreeSet<[u8; 32]> = session.burns().iter().map(|burn| *burn.as_bytes()).collect();
    if burns == part.nonces.iter().copied().collect() { Ok(()) } else { Err(FrostError::NotBurnt) }
}

fn fault(error: BitcoinError) -> VaultError {
    VaultError::Rejected(Fault::from(error))
}
