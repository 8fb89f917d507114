//! `keep bitcoin`.

mod file;
mod limits;
mod show;
mod spend;

use keep_sdk::bitcoin::{Branch, CoinProof, Network, WalletSelector, verify_message};
use keep_sdk::{ErrorCode, Fault, Keep};

use crate::args::bitcoin::{Bitcoin, Message, Wallet};
use crate::ending::Ending;
use crate::qr;
use crate::session::Session;
use crate::terminal;

use self::show::{Addresses, Balance, Descriptor, SignedMessage, Verified};

/// Columns of a terminal that does not say how many it has.
const COLUMNS: usize = 80;

pub fn run(session: &Session, command: Bitcoin) -> Result<(), Ending> {
    match command {
        Bitcoin::Address { wallet, change, count, index, qr } => {
            let keep = session.open()?;
            let branch = if change { Branch::Change } else { Branch::Receive };
            let (bitcoin, wallet) = (keep.bitcoin(), selector(session, &wallet)?);
            let view = match index {
                Some(index) => bitcoin.addresses(&wallet, branch, index, count)?,
                None => bitcoin.next_addresses(&wallet, branch, count)?,
            };
            drop(keep);
            let codes = view.addresses.iter().map(|own| format!("bitcoin:{}", own.address));
            let codes: Vec<String> = if qr { codes.collect() } else { Vec::new() };
            session.output.show(&Addresses(view))?;
            draw(session, &codes);
            Ok(())
        }
        Bitcoin::Descriptor { wallet, qr } => {
            let view = session.open()?.bitcoin().descriptor(&selector(session, &wallet)?)?;
            let codes = if qr { vec![view.descriptor.clone()] } else { Vec::new() };
            session.output.show(&Descriptor(view))?;
            draw(session, &codes);
            Ok(())
        }
        Bitcoin::Analyze { wallet, psbt, fees, lookup } => {
            spend::analyze(session, &wallet, &psbt, &fees, &lookup)
        }
        Bitcoin::Sign { wallet, psbt, output, force, finalize, fees, lookup } => {
            let target = spend::Target { output: output.as_deref(), force, finalize };
            spend::sign(session, &wallet, &psbt, &target, &fees, &lookup)
        }
        Bitcoin::SignMessage { wallet, address, message, coins, full } => {
            let message = text(&message)?;
            let coins = coins.iter().map(|coin| coin.parse()).collect::<Result<Vec<CoinProof>, _>>()?;
            let keep = session.open()?;
            let wallet = selector(session, &wallet)?;
            let view = keep.bitcoin().sign_message(&wallet, address.as_deref(), &message, &coins, full)?;
            session.output.show(&SignedMessage(view))
        }
        Bitcoin::VerifyMessage { address, network, message, signature } => {
            let message = text(&message)?;
            let view = verify_message(
                &address,
                network.map_or_else(|| default_network(session), Ok)?,
                &message,
                &signature,
            )?;
            let valid = view.verdict == "valid";
            let why = view.reason.clone().unwrap_or_default();
            if !valid {
                return Err(Fault::new(ErrorCode::InvalidInput, format!("not valid: {why}"))
                    .with_hint("check the address, the message to its last character, and the signature")
                    .into());
            }
            session.output.show(&Verified(view))
        }
        Bitcoin::Balance { wallet, esplora, timeout } => {
            let esplora = spend::server(&esplora, timeout)?;
            let keep: Keep = session.open()?;
            let view = esplora.balance(&keep.bitcoin(), &selector(session, &wallet)?)?;
            session.output.show(&Balance(view))
        }
        Bitcoin::Limits {
            group,
            per_transaction,
            budgets,
            allow,
            block,
            max_fee,
            max_fee_rate,
            ask_above,
            clear,
        } => {
            let change = limits::Change {
                group,
                per_transaction,
                budgets,
                allow,
                block,
                max_fee,
                max_fee_rate,
                ask_above,
                clear,
            };
            limits::run(session, change)
        }
    }
}

/// Which wallet is meant.
pub(super) fn selector(session: &Session, wallet: &Wallet) -> Result<WalletSelector, Fault> {
    Ok(WalletSelector {
        key: session.chosen_key()?.map(str::to_owned),
        network: wallet.network.map_or_else(|| default_network(session), Ok)?,
        account: wallet.account,
    })
}

/// The network where none is named.
fn default_network(session: &Session) -> Result<Network, Fault> {
    session.config()?.network()
}

fn text(message: &Message) -> Result<String, Fault> {
    if let Some(text) = &message.message {
        return Ok(text.clone());
    }
    let bytes = file::read(message.message_file.as_deref().unwrap_or_else(|| "-".as_ref()))?;
    String::from_utf8(bytes).map_err(|_| {
        Fault::new(ErrorCode::InvalidInput, "the message is not UTF-8 text")
            .with_hint("only text can be signed")
    })
}

/// Draws codes for people, beside the result.
fn draw(session: &Session, codes: &[String]) {
    let style = session.output.talk_style();
    let columns = terminal::columns().unwrap_or(COLUMNS);
    for text in codes {
        let code = qr::draw(text, style, columns, 2);
        session.output.talk(&code.map_or_else(
            || style.dim("(a wider window would show a QR code here)"),
            |code| format!("\n{code}"),
        ));
    }
}
