//! `keep hwi`: the external signer protocol of HWI, as Bitcoin Core calls it.
//!
//! One JSON value on stdout, errors too: `{"error": "…", "code": -N}`, with exit code 0 as HWI has it.

mod named;

use std::io::Read;

use clap::Parser;
use keep_sdk::bitcoin::{FeeLimits, Network, PsbtFile, WalletSelector};
use keep_sdk::{Bitcoin, ErrorCode, Fault, Keep, KeyView};
use serde::Serialize;

use crate::args;
use crate::args::bitcoin::{Hwi, HwiCommand};
use crate::ending::Ending;
use crate::output::Output;
use crate::session::Session;

use self::named::{Below, Named};

/// The longest command on stdin, in bytes: a PSBT in base64.
const MAX_STDIN: u64 = 48 << 20;

/// What there is, for whoever wrote something else.
const COMMANDS: &str = "the commands are enumerate, getdescriptors, getmasterxpub, getxpub, displayaddress, signmessage and signtx";

pub fn run(session: &Session, arguments: Hwi) -> Result<(), Ending> {
    match answer(session, arguments) {
        Ok(value) => session.output.value(&value),
        Err(Ending::Fault(fault)) => session.output.value(&Failed::of(&fault)),
        Err(other) => Err(other),
    }
}

/// What is said where the command line itself is wrong: a wallet reads JSON then too. `known` is whether the command
/// exists.
pub fn misused(output: &Output, fault: &Fault, known: bool) -> Result<(), Ending> {
    let mut failed = Failed::of(fault);
    if !known {
        failed.code = NOT_IMPLEMENTED;
    }
    output.value(&failed)
}

/// HWI's number for a command that a device does not have.
const NOT_IMPLEMENTED: i32 = -8;

#[derive(Serialize)]
struct Failed {
    error: String,
    code: i32,
}

impl Failed {
    fn of(fault: &Fault) -> Self {
        let error = match fault.hint() {
            "" => fault.message().to_owned(),
            hint => format!("{}; {hint}", fault.message()),
        };
        Self { error, code: code(fault.code()) }
    }
}

/// HWI's numbers for what went wrong.
const fn code(code: ErrorCode) -> i32 {
    match code {
        ErrorCode::Usage => -7,
        ErrorCode::InvalidInput => -5,
        ErrorCode::NotFound | ErrorCode::NoVault => -3,
        ErrorCode::Locked | ErrorCode::WrongPassphrase => -12,
        ErrorCode::RefusedByPolicy | ErrorCode::RefusedByPerson | ErrorCode::ApprovalUnavailable => -14,
        ErrorCode::StorageBusy => -15,
        _ => -13,
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Answer {
    Devices(Vec<Device>),
    Descriptors { receive: Vec<String>, internal: Vec<String> },
    Xpub { xpub: String },
    Address { address: String },
    Message { signature: String },
    Signed { psbt: String, signed: bool },
}

/// A key, as HWI shows a device.
#[derive(Serialize)]
struct Device {
    #[serde(rename = "type")]
    kind: &'static str,
    model: String,
    label: String,
    path: String,
    fingerprint: String,
    needs_pin_sent: bool,
    needs_passphrase_sent: bool,
}

fn answer(session: &Session, mut arguments: Hwi) -> Result<Answer, Ending> {
    if arguments.stdin {
        arguments = read_stdin(arguments)?;
    }
    let Some(command) = arguments.command.take() else {
        return Err(usage("no command was given", COMMANDS).into());
    };
    let network = arguments.chain.unwrap_or_default();
    let keep = session.open()?;
    if matches!(command, HwiCommand::Enumerate) {
        return Ok(Answer::Devices(devices(session, &keep, network)?));
    }
    let key = find(session, &keep, arguments.fingerprint.as_deref(), network)?;
    Ok(perform(&keep, &key, network, command)?)
}

fn perform(keep: &Keep, key: &KeyView, network: Network, command: HwiCommand) -> Result<Answer, Fault> {
    let wallet = |account| WalletSelector { key: Some(key.pubkey.clone()), network, account };
    let bitcoin = keep.bitcoin();
    Ok(match command {
        HwiCommand::Enumerate => Answer::Devices(Vec::new()),
        HwiCommand::Getdescriptors { account } => {
            let view = bitcoin.descriptor(&wallet(account))?;
            Answer::Descriptors { receive: vec![view.receive], internal: vec![view.change] }
        }
        HwiCommand::Getmasterxpub { account, .. } => {
            Answer::Xpub { xpub: bitcoin.descriptor(&wallet(account))?.xpub }
        }
        HwiCommand::Getxpub { path } => {
            let below = Below::of_path(&path, network)?;
            Answer::Xpub { xpub: bitcoin.descriptor(&wallet(below.account))?.xpub_below(&below.steps)? }
        }
        HwiCommand::Displayaddress { desc, path, .. } => {
            let named = match (&desc, &path) {
                (Some(desc), _) => Named::of_descriptor(desc, network)?,
                (None, path) => Named::of_path(path.as_deref().unwrap_or_default(), network)?,
            };
            Answer::Address { address: address(&bitcoin, &wallet(named.account), &named)? }
        }
        HwiCommand::Signmessage { message, path } => {
            let named = Named::of_path(&path, network)?;
            let wallet = wallet(named.account);
            let address = address(&bitcoin, &wallet, &named)?;
            let signed = bitcoin.sign_message(&wallet, Some(&address), &message, &[], false)?;
            Answer::Message { signature: signed.signature }
        }
        HwiCommand::Signtx { psbt } => {
            let file = PsbtFile::read(psbt.as_bytes())?;
            let signed = bitcoin.sign(&wallet(0), &file, &FeeLimits::default(), false)?;
            Answer::Signed { psbt: signed.psbt, signed: true }
        }
    })
}

/// The address at a place, derived anew.
fn address(bitcoin: &Bitcoin, wallet: &WalletSelector, named: &Named) -> Result<String, Fault> {
    let own = bitcoin.addresses(wallet, named.branch, named.index, 1)?.addresses.into_iter().next();
    let own = own.filter(|own| named.key.as_ref().is_none_or(|key| *key == own.internal_key));
    own.map(|own| own.address)
        .ok_or_else(|| usage("the descriptor names another key than the one at its path", "check its origin"))
}

/// Every key, or the one that `--key` names.
fn devices(session: &Session, keep: &Keep, network: Network) -> Result<Vec<Device>, Fault> {
    let keys = match session.key_name() {
        Some(name) => vec![keep.keys().find(Some(name))?],
        None => keep.keys().own()?,
    };
    keys.into_iter()
        .map(|key| {
            Ok(Device {
                kind: "keep",
                model: format!("keep_{}", key.name),
                fingerprint: fingerprint(keep, &key, network)?,
                label: key.name,
                path: format!("keep:{}", key.npub),
                needs_pin_sent: false,
                needs_passphrase_sent: false,
            })
        })
        .collect()
}

fn fingerprint(keep: &Keep, key: &KeyView, network: Network) -> Result<String, Fault> {
    let wallet = WalletSelector { key: Some(key.pubkey.clone()), network, account: 0 };
    Ok(keep.bitcoin().descriptor(&wallet)?.fingerprint)
}

fn find(session: &Session, keep: &Keep, wanted: Option<&str>, network: Network) -> Result<KeyView, Fault> {
    let Some(wanted) = wanted else { return session.key(keep) };
    for key in keep.keys().own()? {
        if fingerprint(keep, &key, network)?.eq_ignore_ascii_case(wanted) {
            return Ok(key);
        }
    }
    Err(Fault::new(ErrorCode::NotFound, "no key of the vault has this fingerprint")
        .with_hint("see `keep hwi enumerate`"))
}

/// The command as the wallet writes it to stdin: words, as in a shell, up to the first empty line.
fn read_stdin(given: Hwi) -> Result<Hwi, Fault> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(MAX_STDIN).read_to_string(&mut text);
    read.map_err(|error| crate::secrets::unreadable("stdin", &error))?;
    let lines = text.lines().take_while(|line| !line.trim().is_empty());
    let words = lines.flat_map(str::split_whitespace).map(|word| word.trim_matches(['"', '\'']));
    let line = ["keep", "hwi"].into_iter().chain(words);
    let parsed = args::Arguments::try_parse_from(line)
        .map_err(|_| usage("stdin has no command that Keep knows", COMMANDS))?;
    let args::Command::Hwi(mut read) = parsed.command else {
        return Err(usage("stdin has no command of hwi", "see `keep help hwi`"));
    };
    read.fingerprint = given.fingerprint.or(read.fingerprint);
    read.chain = given.chain.or(read.chain);
    read.command = given.command.or(read.command);
    Ok(read)
}

fn usage(message: &str, hint: &str) -> Fault {
    Fault::new(ErrorCode::Usage, message).with_hint(hint)
}
