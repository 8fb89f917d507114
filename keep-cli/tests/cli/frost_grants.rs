//! Standing grants for co-signers: what a member in another vault may have signed here although nobody is asked, within
//! what was granted and no further.

use std::path::Path;

use crate::frost::{command, done, run, two_vaults};
use crate::world::{Ran, World, finish};

/// One proposes, and two, where nobody can be asked, takes part if it may.
fn together(world: &World, one: &Path, two: &Path, what: &[&str]) -> (Ran, Option<Ran>) {
    let exchange = world.path().join("stick");
    let _ = std::fs::remove_dir_all(&exchange);
    let directory = exchange.to_str().unwrap();
    let propose = [what, &["--interactive", "--exchange", directory]].concat();
    let mut coordinator = command(world, one, &propose).spawn().unwrap();
    let join = ["frost", "sign", "--interactive", "--exchange", directory];
    let joined = run(world, two, &join, "");
    if joined.code == Some(0) {
        return (joined, Some(finish(coordinator, "")));
    }
    coordinator.kill().unwrap();
    coordinator.wait().unwrap();
    (joined, None)
}

const NOTE: [&str; 7] = ["sign-event", "--group", "pair", "--kind", "1", "--content", "ours"];

#[test]
fn a_member_has_signed_what_it_was_granted_and_nothing_else() {
    let world = World::new();
    let (one, two, _) = two_vaults(&world, &[]);
    let refused = |ran: (Ran, Option<Ran>)| {
        assert_eq!(ran.0.code, Some(1), "{ran:?}");
        assert!(ran.0.stderr.contains("no terminal to ask on"), "{ran:?}");
    };
    let signed = |ran: (Ran, Option<Ran>)| {
        assert_eq!(ran.0.code, Some(0), "{ran:?}");
        assert_eq!(ran.1.as_ref().and_then(|ran| ran.code), Some(0), "{ran:?}");
    };
    refused(together(&world, &one, &two, &NOTE));
    let grant = ["--json", "frost", "grant", "--to", "1", "--allow", "event:1,7", "--duration", "30d"];
    let given = done(&world, &two, &[&grant[..], &["--uses", "2"]].concat()).json();
    assert_eq!(given["grants"][0]["events"], serde_json::json!([1, 7]));
    assert_eq!((&given["grants"][0]["uses_left"], &given["grants"][0]["member"]), (&2.into(), &1.into()));
    // Of another kind, or bytes, or proposed by the other side's own choice of words: asked, and nobody is there.
    let list = ["sign-event", "--group", "pair", "--kind", "3", "--content", "ours"];
    refused(together(&world, &one, &two, &list));
    refused(together(&world, &one, &two, &["frost", "sign", "--message", "bytes"]));
    signed(together(&world, &one, &two, &NOTE));
    signed(together(&world, &one, &two, &NOTE));
    // Used up.
    refused(together(&world, &one, &two, &NOTE));
    let shown = done(&world, &two, &["frost", "show"]).stdout;
    assert!(shown.contains("member 1 may have signed here: events of kinds 1, 7; until 2"), "{shown}");
    assert!(shown.contains("; 0 more times"), "{shown}");
    let log = done(&world, &two, &["--json", "audit", "list"]).stdout;
    assert_eq!(log.matches("by the grant of member 1").count(), 2, "{log}");
    assert!(log.contains("grant for member 1: events of kinds 1, 7, until"), "{log}");

    // Bytes, until the member has another device: then it may be somebody else.
    let raw = done(&world, &two, &["frost", "grant", "--to", "1", "--allow", "raw"]);
    assert!(raw.stderr.contains("the hash of anything"), "{raw:?}");
    let bytes = ["frost", "sign", "--message", "bytes"];
    signed(together(&world, &one, &two, &bytes));
    refused(together(&world, &one, &two, &NOTE));
    let notice = done(&world, &one, &["frost", "device", "--rotate", "1"]).stdout;
    let accepted = run(&world, &two, &["frost", "device", "--accept", "-"], &notice);
    assert_eq!(accepted.code, Some(0), "{accepted:?}");
    refused(together(&world, &one, &two, &bytes));
    done(&world, &two, &["frost", "grant", "--to", "1", "--allow", "raw", "--allow", "event"]);
    signed(together(&world, &one, &two, &bytes));
    signed(together(&world, &one, &two, &NOTE));
    let revoked = done(&world, &two, &["--json", "frost", "revoke", "--to", "1"]).json();
    assert_eq!(revoked["grants"], serde_json::json!([]));
    refused(together(&world, &one, &two, &bytes));
}

#[test]
fn a_grant_that_means_nothing_is_refused() {
    let world = World::new();
    let (_, two, _) = two_vaults(&world, &[]);
    for (words, code, said) in [
        (["grant", "--to", "9", "--allow", "raw"].as_slice(), 3, "member 9 does not belong to the group"),
        (&["grant", "--to", "1", "--allow", "everything"], 2, "give event, event:1,7, raw or transactions"),
        (&["grant", "--to", "1"], 2, "--allow"),
        (&["grant", "--to", "1", "--allow", "raw", "--uses", "0"], 5, "would allow nothing"),
        (&["grant", "--to", "1", "--allow", "transactions"], 5, "nothing limits what may be spent"),
        (&["revoke", "--to", "1"], 3, "member 1 has no grant"),
    ] {
        let ran = run(&world, &two, &[&["frost"], words].concat(), "");
        assert_eq!(ran.code, Some(code), "{words:?}: {ran:?}");
        assert!(ran.stderr.contains(said), "{words:?}: {ran:?}");
    }
}
