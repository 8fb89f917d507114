//! Messages in the name of an address (BIP-322).

use std::str::FromStr;

use keep_bitcoin::bitcoin::OutPoint;
use keep_bitcoin::message::{self, Coin, Format, MessageRequest, MessageSignature, Verdict};
use keep_bitcoin::{Branch, Network, OwnScript, Wallet, parse_address};
use keep_types::{Answer, DisplayText, ErrorCode, Fault, Intent};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CoinView, SignedMessageView, VerifiedMessageView, WalletSelector};
use crate::call::{Call, Class, Host};
use crate::keys::bug;

/// A coin whose control is to be proved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CoinProof {
    /// The output, `txid:vout`.
    pub outpoint: String,
    /// Its amount in satoshis.
    pub amount_sats: u64,
    /// Its address, one of ours.
    pub address: String,
}

impl FromStr for CoinProof {
    type Err = Fault;

    /// Reads `TXID:VOUT:SATS:ADDRESS`.
    fn from_str(text: &str) -> Result<Self, Fault> {
        let parts: Vec<&str> = text.split(':').collect();
        let [txid, vout, sats, address] = parts.as_slice() else { return Err(not_a_coin()) };
        let amount_sats = sats.parse().map_err(|_| not_a_coin())?;
        Ok(Self { outpoint: format!("{txid}:{vout}"), amount_sats, address: (*address).to_owned() })
    }
}

fn not_a_coin() -> Fault {
    Fault::new(ErrorCode::Usage, "this is not a coin").with_hint("write it as TXID:VOUT:SATS:ADDRESS")
}

/// Signs a message; without an address, in the name of the first address of the account.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SignMessage {
    pub wallet: WalletSelector,
    pub address: Option<String>,
    pub message: String,
    pub coins: Vec<CoinProof>,
    pub full: bool,
}

impl Call for SignMessage {
    const NAME: &'static str = "bitcoin.sign_message";
    const CLASS: Class = Class::Use;
    type Reply = SignedMessageView;

    fn run(self, host: &Host) -> Result<SignedMessageView, Fault> {
        let opened = self.wallet.open(host)?;
        let wallet = opened.wallet(host)?;
        let script = match &self.address {
            Some(address) => own_script(&wallet, address)?,
            None => OwnScript::from(&opened.account.address(Branch::Receive, 0)?),
        };
        let coins = self.coins.iter().map(|coin| proof(&wallet, coin)).collect::<Result<Vec<_>, _>>()?;
        let format = if self.full { Format::Full } else { Format::Simple };
        let request = MessageRequest::new(&wallet, &script, &self.message, &coins, format)?;
        let address = request.view().address.clone().unwrap_or_default();
        match host.answer(opened.key.id, Intent::SignMessage(Box::new(request)))? {
            Answer::MessageSignature(signature) => {
                Ok(SignedMessageView { address, message: self.message, signature })
            }
            _ => Err(bug("signing a message gave something else than its signature")),
        }
    }
}

fn own_script(wallet: &Wallet, address: &str) -> Result<OwnScript, Fault> {
    let parsed = parse_address(address, wallet.network())?;
    wallet.own_script(&parsed)?.ok_or_else(|| {
        let shown = DisplayText::truncated(address, 100);
        Fault::new(ErrorCode::NotFound, format!("{shown} is no address of this key that was handed out"))
            .with_hint("see `keep bitcoin address --index 0 --count 20`, and name the account with --account")
    })
}

fn proof(wallet: &Wallet, coin: &CoinProof) -> Result<Coin, Fault> {
    let outpoint = OutPoint::from_str(&coin.outpoint).map_err(|_| not_a_coin())?;
    Ok(Coin { outpoint, amount_sats: coin.amount_sats, script: own_script(wallet, &coin.address)? })
}

/// Verifies that whoever owns `address` signed `message` (BIP-322). Needs no vault.
///
/// # Errors
/// [`ErrorCode::InvalidInput`] when the address or the signature cannot be read. A signature that does not verify is no
/// error: the view says so.
pub fn verify_message(
    address: &str,
    network: Network,
    message: &str,
    signature: &str,
) -> Result<VerifiedMessageView, Fault> {
    let address = parse_address(address, network)?;
    let signature = MessageSignature::from_str(signature)?;
    let view = |verdict: &str, reason: Option<&str>| VerifiedMessageView {
        verdict: verdict.to_owned(),
        reason: reason.map(str::to_owned),
        lock_time: 0,
        age: 0,
        coins: Vec::new(),
    };
    Ok(match message::verify(&address, message.as_bytes(), &signature) {
        Verdict::Valid { lock_time, age, funds } => {
            let coin = |(outpoint, amount_sats): (OutPoint, u64)| CoinView {
                outpoint: outpoint.to_string(),
                amount_sats,
            };
            VerifiedMessageView {
                lock_time,
                age,
                coins: funds.into_iter().map(coin).collect(),
                ..view("valid", None)
            }
        }
        Verdict::Invalid { reason } => view("invalid", Some(reason)),
        Verdict::Inconclusive => view("inconclusive", Some("the script is not one that Keep interprets")),
    })
}
