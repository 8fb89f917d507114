//! Bitcoin.

use keep_sdk::Fault;
use keep_sdk::agent::AccountInput;
use keep_sdk::bitcoin::{AddressView, AnalysisView, Network, SignedMessageView, SignedPsbtView};
use rmcp::model::{CallToolResult, JsonObject, Tool};
use schemars::JsonSchema;
use serde::Deserialize;

use super::input::read;
use super::using::{Using, structured};
use super::{Effect, tool};
use crate::fault::bug;

pub fn tools() -> Vec<Tool> {
    vec![
        tool::<AddressInput, AddressView>(
            "bitcoin_address",
            "Bitcoin address",
            "The next Bitcoin address of the user that nobody has got yet (taproot). Each call gives another one.",
            Effect::Uses,
        ),
        tool::<AnalyzeInput, AnalysisView>(
            "analyze_psbt",
            "Analyse a transaction",
            "What a Bitcoin transaction (PSBT) would do to the user: amounts, fee, destinations, dangers. Nothing is signed.",
            Effect::Reads,
        ),
        tool::<SignInput, SignedPsbtView>(
            "sign_psbt",
            "Sign a transaction",
            "Signs a Bitcoin transaction (PSBT) with every input of the user. Once it is broadcast, the money is gone.",
            Effect::Publishes,
        ),
        tool::<MessageInput, SignedMessageView>(
            "sign_message",
            "Sign a message",
            "Signs a message in the name of one of the user's Bitcoin addresses (BIP-322).",
            Effect::Uses,
        ),
    ]
}

/// Which address.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AddressInput {
    /// The network: mainnet, testnet, testnet4, signet or regtest.
    #[serde(default)]
    network: Network,
    /// The number of the account.
    #[serde(default)]
    account: u32,
}

/// A transaction to be looked at.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AnalyzeInput {
    /// The PSBT in base64.
    psbt: String,
    /// The network: mainnet, testnet, testnet4, signet or regtest.
    #[serde(default)]
    network: Network,
    /// The number of the account.
    #[serde(default)]
    account: u32,
}

/// A transaction to be signed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SignInput {
    /// The PSBT in base64.
    psbt: String,
    /// The network: mainnet, testnet, testnet4, signet or regtest.
    #[serde(default)]
    network: Network,
    /// The number of the account.
    #[serde(default)]
    account: u32,
    /// Whether to give the complete transaction, too.
    #[serde(default)]
    finalize: bool,
}

/// A message to be signed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MessageInput {
    /// The message.
    message: String,
    /// The address in whose name; the first one of the account, if none is given.
    #[serde(default)]
    address: Option<String>,
    /// The network: mainnet, testnet, testnet4, signet or regtest.
    #[serde(default)]
    network: Network,
    /// The number of the account.
    #[serde(default)]
    account: u32,
}

pub async fn address(using: Using<'_>, arguments: JsonObject) -> Result<CallToolResult, Fault> {
    let AddressInput { network, account } = read(arguments)?;
    let account = AccountInput { network, account };
    let given = using.ask_person(move |agent, approved| {
        let given = agent.bitcoin_address(account, approved)?;
        Ok((given.address, given.question))
    });
    structured(&given.await?.ok_or_else(|| bug("there is no address"))?)
}

pub async fn analyze(using: Using<'_>, arguments: JsonObject) -> Result<CallToolResult, Fault> {
    let AnalyzeInput { psbt, network, account } = read(arguments)?;
    let account = AccountInput { network, account };
    let seen = using.ask_person(move |agent, approved| {
        let seen = agent.analyze_psbt(account, psbt.clone(), approved)?;
        Ok((seen.analysis, seen.question))
    });
    structured(&seen.await?.ok_or_else(|| bug("there is no analysis"))?)
}

pub async fn sign(using: Using<'_>, arguments: JsonObject) -> Result<CallToolResult, Fault> {
    let SignInput { psbt, network, account, finalize } = read(arguments)?;
    let account = AccountInput { network, account };
    let signed = using.ask_person(move |agent, approved| {
        let signed = agent.sign_psbt(account, psbt.clone(), finalize, approved)?;
        Ok((signed.signed, signed.question))
    });
    structured(&signed.await?.ok_or_else(|| bug("there is no signed transaction"))?)
}

pub async fn message(using: Using<'_>, arguments: JsonObject) -> Result<CallToolResult, Fault> {
    let MessageInput { message, address, network, account } = read(arguments)?;
    let account = AccountInput { network, account };
    let signed = using.ask_person(move |agent, approved| {
        let signed = agent.sign_message(account, address.clone(), message.clone(), approved)?;
        Ok((signed.signed, signed.question))
    });
    structured(&signed.await?.ok_or_else(|| bug("there is no signature"))?)
}
