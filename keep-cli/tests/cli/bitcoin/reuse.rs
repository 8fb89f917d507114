//! Addresses that were used before.

use bdk_wallet::bitcoin::{Psbt, ScriptBuf};
use serde_json::Value;

use super::{Own, about, claim, codes, psbt, stranger};
use crate::world::World;

/// The notes about reuse: output and text.
fn notes(analysis: &Value) -> Vec<(u64, String)> {
    let warnings = analysis["warnings"].as_array().unwrap().iter();
    let reused = warnings.filter(|warning| warning["code"] == "reused_address");
    reused.map(|w| (w["place"]["output"].as_u64().unwrap(), w["text"].as_str().unwrap().to_owned())).collect()
}

#[test]
fn an_address_that_a_signed_transaction_used_is_known_again() {
    let world = World::with_key();
    let (first, change, next) =
        (Own::of(&world, false, 0), Own::of(&world, true, 0), Own::of(&world, true, 1));
    let pay = |from: &Own, to: ScriptBuf, back: &Own, coin: u64| -> Psbt {
        let mut psbt = psbt(&[(from, coin)], &[(to, 20_000), (back.script(), coin - 21_000)]);
        claim(&mut psbt, 1, back);
        psbt
    };
    let one = pay(&first, stranger(9), &change, 100_000);
    let two = pay(&change, stranger(9), &first, 80_000);
    let look = |psbt: &Psbt| about(&world, "analyze", psbt, &[]).json();
    assert_eq!(codes(&look(&one)), Vec::<String>::new());
    // Looking is not using.
    assert_eq!(codes(&look(&two)), Vec::<String>::new());
    assert_eq!(about(&world, "sign", &one, &[]).code, Some(0));
    // The same transaction again is not another use.
    assert_eq!(codes(&look(&one)), Vec::<String>::new());
    let theirs = "a transaction that was signed here paid to this address before";
    let ours = "this address of ours was used before, in a transaction that was signed here";
    assert_eq!(notes(&look(&two)), [(0, theirs.to_owned()), (1, ours.to_owned())]);
    // Change where change came before.
    let three = pay(&change, stranger(7), &change, 80_000);
    assert_eq!(notes(&look(&three)).len(), 1, "within the transaction");
    let four = pay(&next, stranger(7), &change, 80_000);
    assert_eq!(notes(&look(&four)), [(1, ours.to_owned())]);
    assert_eq!(
        codes(&look(&pay(&next, stranger(7), &Own::of(&world, true, 2), 80_000))),
        Vec::<String>::new()
    );
    // It is a note, no reason not to sign; and what was refused was not used.
    world.done(&["bitcoin", "limits", "--block", &super::stranger_address(5)]);
    assert_eq!(about(&world, "sign", &pay(&next, stranger(5), &next, 50_000), &[]).code, Some(1));
    assert_eq!(about(&world, "sign", &two, &[]).code, Some(0));
    assert!(
        !codes(&look(&pay(&next, stranger(6), &Own::of(&world, true, 3), 50_000)))
            .contains(&"reused_address".to_owned())
    );
}
