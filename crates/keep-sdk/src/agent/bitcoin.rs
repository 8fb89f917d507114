//! What an agent asks about Bitcoin with its session.

use keep_bitcoin::{Branch, Network};
use keep_signer::AccountId;
use keep_types::{ErrorCode, Fault, Intent, Operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::owner::sessions;
use super::uses::{asker, key};
use super::views::ApprovalView;
use crate::bitcoin::{
    self, AddressView, AnalysisView, FeeLimits, GetAddresses, SignedMessageView, SignedPsbtView,
    WalletSelector,
};
use crate::call::{Call, Class, Host};

/// The account that an agent means. The key is the session's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AccountInput {
    /// The network.
    #[serde(default)]
    pub network: Network,
    /// The number of the account (BIP-86).
    #[serde(default)]
    pub account: u32,
}

impl AccountInput {
    /// The account, of the session's key. Which accounts there are is the owner's to say: each makes every transaction more
    /// to look through.
    fn wallet(self, host: &Host) -> Result<WalletSelector, Fault> {
        let (key, _) = key(host, asker(host)?)?;
        let id = AccountId { key: key.id, network: self.network.as_str().to_owned(), number: self.account };
        if self.account != 0 && bitcoin::wallets(host).account(&id)?.is_none() {
            let message = format!("account {} is not in use on {}", self.account, self.network.as_str());
            return Err(Fault::new(ErrorCode::NotFound, message).with_hint(
                "the owner begins an account with `keep bitcoin address --account N`; account 0 needs nothing",
            ));
        }
        Ok(WalletSelector {
            key: Some(key.nostr_key().to_hex()),
            network: self.network,
            account: self.account,
        })
    }
}

/// What failed before it was judged said something about the wallet, and cost something: it is a use too.
fn counted<T>(host: &Host, outcome: Result<T, Fault>) -> Result<T, Fault> {
    let Err(fault) = &outcome else { return outcome };
    if matches!(fault.code(), ErrorCode::InvalidInput | ErrorCode::NotFound) {
        sessions(host).count(asker(host)?)?;
    }
    outcome
}

/// The outcome of a call that may have to be approved first.
fn or_question<T>(
    host: &Host,
    outcome: Result<T, Fault>,
) -> Result<(Option<T>, Option<ApprovalView>), Fault> {
    match (outcome, host.take_question()) {
        (Ok(done), _) => Ok((Some(done), None)),
        (Err(_), Some(question)) => Ok((None, Some(question))),
        (Err(fault), None) => Err(fault),
    }
}

/// Gives the next address that nobody has got yet.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BitcoinAddress {
    pub account: AccountInput,
    #[serde(default)]
    pub change: bool,
    #[serde(default)]
    pub approved: Option<bool>,
}

/// An address, or the question that a person has to answer first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentAddress {
    /// The address.
    pub address: Option<AddressView>,
    /// The question.
    pub question: Option<ApprovalView>,
}

impl Call for BitcoinAddress {
    const NAME: &'static str = "agent.bitcoin_address";
    const CLASS: Class = Class::Use;
    const OPEN_TO_SESSIONS: bool = true;
    type Reply = AgentAddress;

    fn run(self, host: &Host) -> Result<AgentAddress, Fault> {
        let host = &host.deciding(self.approved);
        let wallet = self.account.wallet(host)?;
        let branch = if self.change { Branch::Change } else { Branch::Receive };
        let given = account_is_open(host, &self.account)
            .and_then(|()| GetAddresses { wallet, branch, index: None, count: 1 }.run(host));
        let (given, question) = or_question(host, given)?;
        Ok(AgentAddress { address: given.and_then(|mut given| given.addresses.pop()), question })
    }
}

/// Whether the session may see the account: judged and counted, as every use.
fn account_is_open(host: &Host, account: &AccountInput) -> Result<(), Fault> {
    let (key, _) = key(host, asker(host)?)?;
    let intent = Intent::BitcoinAccount { coin_type: account.network.coin_type(), account: account.account };
    host.answer(key.id, intent).map(drop)
}

/// Says what a PSBT would do. Nothing is signed; what it tells about the account is a use, as an address is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AnalyzePsbt {
    pub account: AccountInput,
    pub psbt: String,
    #[serde(default)]
    pub approved: Option<bool>,
}

/// What a PSBT would do, or the question that a person has to answer first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentAnalysis {
    /// The analysis.
    pub analysis: Option<AnalysisView>,
    /// The question.
    pub question: Option<ApprovalView>,
}

impl Call for AnalyzePsbt {
    const NAME: &'static str = "agent.analyze_psbt";
    const CLASS: Class = Class::Use;
    const OPEN_TO_SESSIONS: bool = true;
    type Reply = AgentAnalysis;

    fn run(self, host: &Host) -> Result<AgentAnalysis, Fault> {
        let host = &host.deciding(self.approved);
        let wallet = self.account.wallet(host)?;
        let analysis = account_is_open(host, &self.account).and_then(|()| {
            bitcoin::Analyze { wallet, psbt: self.psbt, fees: FeeLimits::default() }.run(host)
        });
        let (analysis, question) = or_question(host, analysis)?;
        Ok(AgentAnalysis { analysis, question })
    }
}

/// Signs a PSBT.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SignPsbt {
    pub account: AccountInput,
    pub psbt: String,
    #[serde(default)]
    pub finalize: bool,
    #[serde(default)]
    pub approved: Option<bool>,
}

/// A signed PSBT, or the question that a person has to answer first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentPsbt {
    /// The PSBT.
    pub signed: Option<SignedPsbtView>,
    /// The question.
    pub question: Option<ApprovalView>,
}

impl Call for SignPsbt {
    const NAME: &'static str = "agent.sign_psbt";
    const CLASS: Class = Class::Use;
    const OPEN_TO_SESSIONS: bool = true;
    type Reply = AgentPsbt;

    fn run(self, host: &Host) -> Result<AgentPsbt, Fault> {
        sessions(host).expect(asker(host)?, Operation::SignPsbt)?;
        let host = &host.deciding(self.approved);
        let Self { account, psbt, finalize, .. } = self;
        let (wallet, fees) = (account.wallet(host)?, FeeLimits::default());
        let signed = counted(host, bitcoin::SignPsbt { wallet, psbt, finalize, fees }.run(host));
        let (signed, question) = or_question(host, signed)?;
        Ok(AgentPsbt { signed, question })
    }
}

/// Signs a message in the name of an address (BIP-322).
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SignMessage {
    pub account: AccountInput,
    pub address: Option<String>,
    pub message: String,
    #[serde(default)]
    pub approved: Option<bool>,
}

/// A signed message, or the question that a person has to answer first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentMessage {
    /// The signature, with what it is for.
    pub signed: Option<SignedMessageView>,
    /// The question.
    pub question: Option<ApprovalView>,
}

impl Call for SignMessage {
    const NAME: &'static str = "agent.sign_message";
    const CLASS: Class = Class::Use;
    const OPEN_TO_SESSIONS: bool = true;
    type Reply = AgentMessage;

    fn run(self, host: &Host) -> Result<AgentMessage, Fault> {
        sessions(host).expect(asker(host)?, Operation::SignMessage)?;
        let host = &host.deciding(self.approved);
        let Self { account, address, message, .. } = self;
        let wallet = account.wallet(host)?;
        let asked = bitcoin::SignMessage { wallet, address, message, coins: Vec::new(), full: false };
        let signed = counted(host, asked.run(host));
        let (signed, question) = or_question(host, signed)?;
        Ok(AgentMessage { signed, question })
    }
}
