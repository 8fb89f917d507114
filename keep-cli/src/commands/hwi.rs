//! `keep hwi`: the external signer protocol of HWI, as Bitcoin Core calls it.
//!
//! One JSON value on stdout, errors too: `{"error": "…", "code": -N}`, with exit code 0 as HWI has it.

use std::io::Read;

use clap::Parser;
use keep_sdk::bitcoin::{Branch, FeeLimits, Network, PsbtFile, WalletSelector};
use keep_sdk::{ErrorCode, Fault, Keep, KeyView};
use serde::Serialize;

use crate::args;
use crate::bitcoin_args::{Hwi, HwiCommand};
use crate::ending::Ending;
use crate::session::Session;

/// The longest command on stdin, in bytes: a PSBT in base64.
const MAX_STDIN: u64 = 48 << 20;

pub fn run(session: &Session, arguments: Hwi) -> Result<(), Ending> {
    match answer(session, arguments) {
        Ok(value) => session.output.value(&value),
        Err(Ending::Fault(fault)) => {
            let error = format!("{}; {}", fault.message(), fault.hint());
            session.output.value(&Failed { error, code: code(fault.code()) })
        }
        Err(other) => Err(other),
    }
}

#[derive(Serialize)]
struct Failed {
    error: String,
    code: i32,
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
        return Err(
            usage("no command was given", "enumerate, getdescriptors, displayaddress or signtx").into()
        );
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
        HwiCommand::Displayaddress { desc, path, .. } => {
            let named = match (&desc, &path) {
                (Some(desc), _) => Named::of_descriptor(desc)?,
                (None, path) => Named::of_path(path.as_deref().unwrap_or_default(), None)?,
            };
            let own = bitcoin.addresses(&wallet(named.account), named.branch, named.index, 1)?;
            let address = own.addresses.into_iter().next();
            let address = address.filter(|own| named.key.as_ref().is_none_or(|key| *key == own.internal_key));
            let address = address.ok_or_else(|| {
                Fault::new(
                    ErrorCode::InvalidInput,
                    "the descriptor names another key than the one at its path",
                )
            })?;
            Answer::Address { address: address.address }
        }
        HwiCommand::Signtx { psbt } => {
            let file = PsbtFile::read(psbt.as_bytes())?;
            let signed = bitcoin.sign(&wallet(0), &file, &FeeLimits::default(), false)?;
            Answer::Signed { psbt: signed.psbt, signed: true }
        }
    })
}

/// Every key, or the one that `--key` names.
fn devices(session: &Session, keep: &Keep, network: Network) -> Result<Vec<Device>, Fault> {
    let keys = match session.key_name() {
        Some(name) => vec![keep.keys().find(Some(name))?],
        None => keep.keys().list()?,
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
    for key in keep.keys().list()? {
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
    let parsed = args::Arguments::try_parse_from(line).map_err(|_| {
        usage("stdin has no command that Keep knows", "enumerate, getdescriptors, displayaddress or signtx")
    })?;
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

/// An address, as a wallet names it: by the path of its key, and by the key itself.
struct Named {
    account: u32,
    branch: Branch,
    index: u32,
    key: Option<String>,
}

impl Named {
    /// Reads `tr([fingerprint/86h/1h/0h/0/5]KEY)`, with or without checksum.
    fn of_descriptor(text: &str) -> Result<Self, Fault> {
        let text = text.trim_matches(['"', '\'']);
        let inner = text.split('#').next().unwrap_or_default();
        let inner = inner.strip_prefix("tr(").and_then(|rest| rest.strip_suffix(')')).ok_or_else(not_ours)?;
        let (origin, key) =
            inner.strip_prefix('[').and_then(|rest| rest.split_once(']')).ok_or_else(not_ours)?;
        let (_, path) = origin.split_once('/').ok_or_else(not_ours)?;
        // A key of 33 bytes has its parity in front.
        let key = if key.len() == 66 { &key[2..] } else { key };
        let is_key = key.len() == 64 && key.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_key {
            return Err(not_ours());
        }
        Self::of_path(path, Some(key.to_ascii_lowercase()))
    }

    /// Reads `m/86h/1h/0h/0/5`.
    fn of_path(path: &str, key: Option<String>) -> Result<Self, Fault> {
        let path = path.trim_start_matches("m/").replace(['\'', 'H'], "h");
        let steps: Vec<&str> = path.split('/').collect();
        let [purpose, _, account, branch, index] = steps.as_slice() else { return Err(not_ours()) };
        let number = |text: &str| text.parse::<u32>().map_err(|_| not_ours());
        if *purpose != "86h" {
            return Err(not_ours());
        }
        Ok(Self {
            account: number(account.strip_suffix('h').ok_or_else(not_ours)?)?,
            branch: match *branch {
                "0" => Branch::Receive,
                "1" => Branch::Change,
                _ => return Err(not_ours()),
            },
            index: number(index)?,
            key,
        })
    }
}

fn not_ours() -> Fault {
    Fault::new(ErrorCode::InvalidInput, "this is no address of Keep")
        .with_hint("Keep has taproot addresses at m/86h/coinh/accounth/branch/index (BIP-86)")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "cc8a4bc64d897bddc5fbc2f670f7a8ba0b386779106cf1223c6fc5d7cd6fc115";

    #[test]
    fn addresses_are_named_by_descriptor_or_path() {
        for text in [
            format!("tr([73c5da0a/86h/1h/3h/1/7]{KEY})#x9z3k2qd"),
            format!("\"tr([73c5da0a/86'/1'/3'/1/7]02{KEY})\""),
        ] {
            let named = Named::of_descriptor(&text).unwrap();
            assert_eq!((named.account, named.branch, named.index), (3, Branch::Change, 7), "{text}");
            assert_eq!(named.key.as_deref(), Some(KEY));
        }
        assert_eq!(Named::of_path("m/86h/0h/0h/0/0", None).unwrap().index, 0);
        for bad in ["m/84h/0h/0h/0/0", "m/86h/0h/0h/2/0", "m/86h/0h/0/0/0", "", "m/86h/0h/0h/0"] {
            assert!(Named::of_path(bad, None).is_err(), "{bad}");
        }
        assert!(Named::of_descriptor(&format!("wpkh([73c5da0a/86h/1h/3h/1/7]{KEY})")).is_err());
    }
}
