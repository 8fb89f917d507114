//! The owner's limits hold for everybody who uses the key: at the command line, through the daemon, for a wallet that
//! takes Keep for a hardware wallet, and after a restart.

use bdk_wallet::bitcoin::Psbt;
use rustix::process::Signal;
use serde_json::Value;

use super::{REGTEST, about, outcomes, payment, refusal, stranger, stranger_address};
use crate::daemon::Unlocked;
use crate::world::World;

fn limit(world: &World, arguments: &[&str]) -> Value {
    world.done(&[&["--json", "bitcoin", "limits"], arguments].concat()).json()
}

/// What a wallet gets that has this signed.
fn hwi(world: &World, psbt: &Psbt) -> Value {
    let fingerprint = world.done(&[&["--json", "bitcoin", "descriptor"], &REGTEST[..]].concat()).json();
    let fingerprint = fingerprint["fingerprint"].as_str().unwrap().to_owned();
    let line = ["hwi", "--stdin", "--fingerprint", &fingerprint, "--chain", "regtest"];
    world.run_with(&line, &format!("signtx {psbt}"), |_| {}).json()
}

/// Refused at the command line and for a wallet, with this reason; and `analyze` says so beforehand.
fn refused(world: &World, psbt: &Psbt, reason: &str) {
    let said = refusal(&about(world, "sign", psbt, &[]), 1);
    assert!(said.contains(reason), "{said}");
    let seen = about(world, "analyze", psbt, &[]).json();
    assert!(seen["refusals"][0].as_str().unwrap().contains(reason), "{seen}");
    let told = hwi(world, psbt);
    assert_eq!(told["code"], -14, "{told}");
    assert!(told["error"].as_str().unwrap().contains(reason), "{told}");
}

fn allowed(world: &World, psbt: &Psbt) {
    let seen = about(world, "analyze", psbt, &[]).json();
    assert_eq!(seen["refusals"].as_array().unwrap().len(), 0, "{seen}");
    assert_eq!(about(world, "sign", psbt, &[]).code, Some(0));
}

#[test]
fn each_limit_is_met_by_every_front_end() {
    let world = World::with_key();
    let (friend, other) = (stranger_address(9), stranger_address(5));
    let pay = |number, sats, fee| payment(&world, stranger(number), sats, fee);

    limit(&world, &["--allow", &friend]);
    refused(&world, &pay(5, 1_000, 500), "which is not on the allow list");
    allowed(&world, &pay(9, 1_000, 500));
    // The change is not a destination; upper case is the same address.
    limit(&world, &["--clear", "--allow", &friend.to_uppercase()]);
    allowed(&world, &pay(9, 1_001, 500));

    limit(&world, &["--clear", "--block", &other]);
    refused(&world, &pay(5, 1_000, 500), "which is blocked");
    assert_eq!(hwi(&world, &pay(9, 1_002, 500))["signed"], true);

    limit(&world, &["--clear", "--per-transaction", "10000"]);
    refused(&world, &pay(9, 9_501, 500), "over the limit of 10000 for one transaction");
    allowed(&world, &pay(9, 9_500, 500));

    limit(&world, &["--clear", "--max-fee", "500"]);
    refused(&world, &pay(9, 1_000, 501), "the fee is 501 sats, over the limit of 500");
    allowed(&world, &pay(9, 1_000, 500));

    limit(&world, &["--clear", "--max-fee-rate", "10"]);
    refused(&world, &pay(9, 1_000, 2_000), "over the limit of 10");
    allowed(&world, &pay(9, 1_000, 1_000));

    limit(&world, &["--clear", "--budget", "3000/24h", "--budget", "100000/30d"]);
    // A wallet that uses Keep spends from the same budget.
    assert_eq!(hwi(&world, &pay(9, 1_000, 500))["signed"], true);
    allowed(&world, &pay(9, 1_000, 500));
    refused(&world, &pay(9, 1, 500), "the budget is 3000 in 1d");
    assert_eq!(limit(&world, &[])["budgets"][0]["spent_sats"], 3_000);
    limit(&world, &["--budget", "4000/24h"]);
    allowed(&world, &pay(9, 1, 500));

    // What cannot be judged is refused where there is a limit on it.
    limit(&world, &["--clear", "--max-fee", "10000"]);
    let mut open = pay(9, 1_000, 500);
    open.inputs[0].sighash_type = Some(bdk_wallet::bitcoin::TapSighashType::AllPlusAnyoneCanPay.into());
    let said = refusal(&about(&world, "sign", &open, &["--allow-unusual-sighash"]), 1);
    assert!(said.contains("would not fix the fee"), "{said}");
    limit(&world, &["--clear"]);
    assert_eq!(about(&world, "sign", &open, &["--allow-unusual-sighash"]).code, Some(0));
    assert!(outcomes(&world).iter().filter(|outcome| *outcome == "refused").count() >= 12);
}

#[test]
fn limits_outlive_the_process_that_met_them() {
    let vault = Unlocked::new();
    let world = &vault.0;
    let pay = |sats| payment(world, stranger(9), sats, 500);
    limit(world, &["--budget", "10000/24h", "--block", &stranger_address(5)]);
    assert_eq!(about(world, "sign", &pay(7_000), &[]).code, Some(0));
    refused(world, &pay(3_000), "the budget is 10000");
    // Killed, without a chance to write anything.
    vault.signal(Signal::KILL);
    let socket = vault.socket();
    let began = std::time::Instant::now();
    while std::os::unix::net::UnixStream::connect(&socket).is_ok() {
        assert!(began.elapsed().as_secs() < 30, "it does not die");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    // By itself, and by the next daemon.
    refused(world, &pay(3_000), "the budget is 10000");
    world.done(&["unlock"]);
    refused(world, &pay(3_000), "the budget is 10000");
    refused(world, &payment(world, stranger(5), 10, 10), "which is blocked");
    assert_eq!(about(world, "sign", &pay(1_999), &[]).code, Some(0));
}

#[test]
fn limits_are_the_owners_to_change() {
    let vault = Unlocked::new();
    vault.0.done(&["bitcoin", "limits", "--per-transaction", "1000"]);
    // Whoever can use the socket can look, and lift nothing.
    assert_eq!(vault.run(&["--json", "bitcoin", "limits"]).json()["per_transaction_sats"], 1_000);
    assert_eq!(vault.run(&["bitcoin", "limits", "--clear"]).code, Some(4));
    assert_eq!(vault.run(&["--json", "bitcoin", "limits"]).json()["per_transaction_sats"], 1_000);
    for bad in [
        &["--allow", "bcrt1qtypo"][..],
        &["--budget", "1000/24w"],
        &["--budget", "1000/0h"],
        &["--per-transaction", "-1"],
        &["--max-fee", "1.5"],
    ] {
        let ran = vault.0.run(&[&["bitcoin", "limits"], bad].concat());
        assert!([Some(2), Some(5)].contains(&ran.code), "{ran:?}");
    }
}
