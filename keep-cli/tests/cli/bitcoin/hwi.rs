//! The external signer protocol, word for word as Bitcoin Core calls it, and HWI's other commands.

use serde_json::Value;

use super::{Own, REGTEST, outcomes, payment, stranger};
use crate::daemon::{Unlocked, eventually};
use crate::world::World;

/// Runs a command as a wallet does. There is always one JSON value on stdout, and the exit code is 0.
fn call(world: &World, arguments: &[&str], stdin: &str) -> Value {
    world.run_with(&[&["hwi"], arguments].concat(), stdin, |_| {}).json()
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value}")).to_owned()
}

/// The only key's fingerprint, as a wallet finds it.
fn fingerprint(world: &World) -> String {
    let devices = call(world, &["enumerate"], "");
    assert_eq!(devices.as_array().unwrap().len(), 1);
    word(&devices[0]["fingerprint"])
}

#[test]
fn core_finds_keys_and_their_addresses() {
    let vault = Unlocked::new();
    let world = &vault.0;
    let devices = call(world, &["enumerate"], "");
    assert_eq!((&devices[0]["type"], &devices[0]["model"]), (&"keep".into(), &"keep_main".into()));
    let fingerprint = word(&devices[0]["fingerprint"]);
    let with = ["--fingerprint", fingerprint.as_str(), "--chain", "regtest"];
    let ask = |arguments: &[&str]| call(world, &[&with, arguments].concat(), "");

    let descriptors = ask(&["getdescriptors", "--account", "0"]);
    let own = world.done(&[&["--json", "bitcoin", "descriptor"], &REGTEST[..]].concat()).json();
    assert_eq!((&descriptors["receive"][0], &descriptors["internal"][0]), (&own["receive"], &own["change"]));
    let seventh = Own::of(world, false, 7);
    let desc = format!("tr([{fingerprint}/86h/1h/0h/0/7]{})", seventh.key);
    assert_eq!(ask(&["displayaddress", "--desc", &desc])["address"], seventh.address.as_str());
    assert_eq!(
        ask(&["displayaddress", "--path", "m/86h/1h/0h/0/7", "--addr-type", "tap"])["address"],
        seventh.address.as_str()
    );
    // A wallet that was lied to about a key is told so.
    let other = format!("tr([{fingerprint}/86h/1h/0h/0/6]{})", seventh.key);
    assert_eq!(ask(&["displayaddress", "--desc", &other])["code"], -7);

    let account = word(&ask(&["getmasterxpub"])["xpub"]);
    assert_eq!(account, word(&own["xpub"]));
    assert_eq!(word(&ask(&["getxpub", "m/86h/1h/0h"])["xpub"]), account);
    let branch: bdk_wallet::bitcoin::bip32::Xpub =
        word(&ask(&["getxpub", "m/86'/1'/0'/0"])["xpub"]).parse().unwrap();
    let secp = bdk_wallet::bitcoin::key::Secp256k1::new();
    let child = branch.derive_pub(&secp, &[7.into()]).unwrap();
    assert_eq!(child.public_key.x_only_public_key().0, seventh.key);
    // What only the secret could give, and what another network has.
    for bad in ["m/86h/1h/0h/0h", "m/84h/1h/0h", "m", "m/86h/0h/0h"] {
        assert_eq!(ask(&["getxpub", bad])["code"], -7, "{bad}");
    }

    let signature = word(&ask(&["signmessage", "-- hello", "m/86h/1h/0h/0/7"])["signature"]);
    let line = ["bitcoin", "verify-message", "--address", &seventh.address, "--signature", &signature];
    world.done(&[&line[..], &["--message", "-- hello"], &REGTEST[..]].concat());
}

#[test]
fn core_has_transactions_signed() {
    let world = World::with_key();
    let fingerprint = fingerprint(&world);
    let psbt = payment(&world, stranger(9), 10_000, 500);
    // Core writes the command to stdin; HWI's own users write it as arguments.
    let command = format!("signtx {psbt}");
    let piped = call(&world, &["--stdin", "--fingerprint", &fingerprint, "--chain", "regtest"], &command);
    let text = psbt.to_string();
    let direct = call(&world, &["-f", &fingerprint, "--chain", "regtest", "signtx", &text], "");
    for answer in [piped, direct] {
        assert_eq!(answer["signed"], true, "{answer}");
        let signed: bdk_wallet::bitcoin::Psbt = word(&answer["psbt"]).parse().unwrap();
        assert!(signed.inputs[0].tap_key_sig.is_some());
        assert_eq!(signed.unsigned_tx, psbt.unsigned_tx);
    }
}

#[test]
fn errors_are_json_with_the_numbers_of_hwi() {
    let world = World::with_key();
    let fingerprint = fingerprint(&world);
    let with = ["--fingerprint", fingerprint.as_str(), "--chain", "regtest"];
    for (arguments, stdin, code) in [
        (&["--fingerprint", "00000000", "--chain", "regtest", "getdescriptors"][..], "", -3),
        (&["--stdin", with[0], with[1], with[2], with[3]], "signtx cHNidP8=", -5),
        (&["--stdin", with[0], with[1], with[2], with[3]], "", -7),
        (&["--stdin", with[0], with[1], with[2], with[3]], "frobnicate", -7),
        (&[with[0], with[1], with[2], with[3], "displayaddress", "--desc", "wpkh(X)"], "", -7),
        (&[with[0], with[1], with[2], with[3], "displayaddress"], "", -7),
        (&[with[0], with[1], "--chain", "moon", "getdescriptors"], "", -7),
        (&[], "", -7),
        (&["setup"], "", -8),
    ] {
        let answer = call(&world, arguments, stdin);
        assert_eq!(answer["code"], code, "{arguments:?}: {answer}");
        assert!(!word(&answer["error"]).is_empty());
    }
    // What is not ours is not signed, and the reason is there.
    let mut foreign = payment(&world, stranger(9), 10_000, 500);
    foreign.inputs[0].witness_utxo.as_mut().unwrap().script_pubkey = stranger(4);
    foreign.inputs[0].tap_key_origins.clear();
    foreign.inputs[0].tap_internal_key = None;
    let answer = call(&world, &[&with[..], &["signtx", &foreign.to_string()]].concat(), "");
    assert_eq!(answer["code"], -5);
    assert!(word(&answer["error"]).contains("input 0: no key of ours"), "{answer}");
    // A vault that nobody unlocked is not ready.
    let locked = world.run_with(&["hwi", "enumerate"], "", |command| {
        command.env_remove("KEEP_PASSWORD");
    });
    assert_eq!(locked.json()["code"], -12);
    assert_eq!(World::new().run(&["hwi", "enumerate"]).json()["code"], -3);
    let far = world.run(&["--json", "bitcoin", "address", "--account", "2147483648"]);
    assert_eq!(far.code, Some(5), "{far:?}");
    assert!(word(&far.error()["error"]["hint"]).contains("account"), "{far:?}");
    // A person who asks for help gets it.
    let help = world.run(&["hwi", "--help"]);
    assert!(help.code == Some(0) && help.stdout.contains("getdescriptors"), "{help:?}");
}

#[test]
fn a_person_approves_what_a_wallet_has_signed() {
    let world = World::with_key();
    let (fingerprint, psbt) = (fingerprint(&world), payment(&world, stranger(9), 10_000, 500));
    world.done(&["unlock", "--confirm"]);
    let vault = Unlocked(world);
    for (verb, outcome) in [("deny", "declined"), ("approve", "approved")] {
        let line = ["hwi", "--stdin", "--fingerprint", &fingerprint, "--chain", "regtest"];
        let mut command = vault.0.command(&line);
        command.env_remove("KEEP_PASSWORD");
        let mut signing = command.spawn().unwrap();
        {
            use std::io::Write;
            signing.stdin.as_mut().unwrap().write_all(format!("signtx {psbt}").as_bytes()).unwrap();
        }
        drop(signing.stdin.take());
        let mut waiting = Value::Null;
        eventually("nothing waits", || {
            let pending = vault.run(&["--json", "pending"]).json();
            let list = pending.as_array().or_else(|| pending["pending"].as_array()).cloned().unwrap();
            waiting = list.first().cloned().unwrap_or_default();
            !waiting.is_null()
        });
        // The person sees what leaves, not a digest.
        let text = waiting.to_string();
        assert!(text.contains("10500") && text.contains("\"fee_sats\":500"), "{text}");
        let id = word(&waiting["id"]);
        // A program that can use the socket cannot approve itself.
        assert_eq!(vault.run(&[verb, &id]).code, Some(4));
        vault.0.done(&[verb, &id]);
        let output = signing.wait_with_output().unwrap();
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        match verb {
            "deny" => assert_eq!(answer["code"], -14, "{answer}"),
            _ => assert_eq!(answer["signed"], true, "{answer}"),
        }
        assert_eq!(outcomes(&vault.0).last().map(String::as_str), Some(outcome));
    }
}
