//! Bitcoin with a key of the vault.

use keep_bitcoin::message::MessageRequest;
use keep_bitcoin::{Account, BitcoinError, Inspection, LocalSigner, Network, Seed};
use keep_types::{
    Answer, DisplayText, Fault, InspectedMessage, InspectedSpend, RequestId, SecretKey32, SignedPsbt,
};

use crate::VaultError;
use crate::subkeys::AnswerKey;

/// The secrets of one key, for the length of one operation.
pub(super) struct Tree {
    /// What the key tree grows from.
    pub seed: Seed,
    /// The identity key itself, at whose address coins may lie too.
    pub identity: SecretKey32,
}

impl Tree {
    /// The public side of an account (BIP-86). One descriptor serves every test network.
    pub fn account(&self, coin_type: u32, account: u32) -> Result<Answer, VaultError> {
        let network = if coin_type == 0 { Network::Mainnet } else { Network::Testnet3 };
        let master = self.seed.master().map_err(fault)?;
        let account = Account::bip86(&master, network, account).map_err(fault)?;
        Ok(Answer::BitcoinAccount(account.descriptor()))
    }

    /// Signs a transaction. The auxiliary randomness follows from request and transaction, so that a repeated request
    /// gives the same signatures.
    pub fn sign_psbt(
        &self,
        keys: &AnswerKey,
        request: &RequestId,
        spend: Box<dyn InspectedSpend>,
    ) -> Result<Answer, VaultError> {
        let aux = keys.derive(b"psbt", &[request.as_bytes(), &spend.txid()]);
        // Policy judged the facts that this very value gives; nothing else is signed.
        let inspection = spend.into_any().downcast::<Inspection>().map_err(|_| VaultError::SecretMismatch)?;
        let signer = self.signer(aux)?;
        signer.check_owner(&inspection).map_err(|error| fault(error.into()))?;
        let signed = inspection.sign(&signer).map_err(fault)?;
        let reason =
            |skipped: &keep_bitcoin::Skipped| (skipped.input, DisplayText::new(&skipped.reason.to_string()));
        Ok(Answer::Psbt(Box::new(SignedPsbt {
            psbt: signed.file.write(),
            signatures: signed.signatures,
            skipped: signed.skipped.iter().map(reason).collect(),
        })))
    }

    /// Signs a message.
    pub fn sign_message(
        &self,
        keys: &AnswerKey,
        request: &RequestId,
        message: Box<dyn InspectedMessage>,
    ) -> Result<Answer, VaultError> {
        let aux = keys.derive(b"b322", &[request.as_bytes(), &message.hash()]);
        let message =
            message.into_any().downcast::<MessageRequest>().map_err(|_| VaultError::SecretMismatch)?;
        let signer = self.signer(aux)?;
        signer.check_owner(message.inspection()).map_err(|error| fault(error.into()))?;
        let signature = message.sign(&signer).map_err(fault)?;
        Ok(Answer::MessageSignature(signature.to_string()))
    }

    fn signer(&self, aux: [u8; 32]) -> Result<LocalSigner, VaultError> {
        let master = self.seed.master().map_err(fault)?;
        LocalSigner::new(master, aux).with_identity(&self.identity).map_err(fault)
    }
}

fn fault(error: BitcoinError) -> VaultError {
    VaultError::Rejected(Fault::from(error))
}
