//! Counters and clocks under attack: what is counted stays counted, and no clock makes it forgotten.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::*;
use keep_policy::{Asks, Builtin, Limits, Session};
use keep_signer::{GrantChange, Maker, NewSession, Repeatable, Sessions, SignerError};
use keep_store::Store;
use keep_types::{Fault, Intent, KeyId, Name, Origin, RequestId, Scheme, Timestamp};

#[tokio::test]
async fn removed_counters_give_no_second_use_that_can_be_hidden() {
    let world = World::new(Builtin::Full, Limits { uses: Some(1), ..Limits::default() }).await;
    let signer = world.signer();
    signer.handle(world.sign(1, 1), None).await.unwrap();
    let usage = world.rows(5);
    world.store.another_handle().write(&mut |tx| tx.delete(5, &usage[0].id).map(drop)).unwrap();
    let second = signer.handle(world.sign(2, 1), None).await;
    // Later the client leaves, and the old row is put back: the sums fit again.
    world.connections().disconnect(client(1), world.endpoint.id, Origin::Cli).await.unwrap();
    let detected = !world.vault.verify().unwrap().is_intact();
    world.store.another_handle().write(&mut |tx| tx.put(&usage[0])).unwrap();
    let still = !world.vault.verify().unwrap().is_intact();
    assert!(
        second.is_err() || still,
        "second use allowed; detected before putting back: {detected}, after: {still}"
    );
}

#[tokio::test]
async fn refusals_do_not_grow_the_vault_without_bound() {
    let world = World::new(Builtin::ReadOnly, Limits { per_minute: Some(5), ..Limits::default() }).await;
    let signer = world.signer();
    let before = world.vault.verify_audit().unwrap().entries;
    for n in 0..200_u8 {
        let big = Repeatable { received: vec![n; 60_000], fingerprint: None };
        assert!(signer.handle(world.sign(n, 1), Some(big)).await.is_err());
    }
    let bytes: usize = world.rows(6).iter().map(|row| row.sealed.len()).sum();
    let entries = world.vault.verify_audit().unwrap().entries - before;
    assert!(
        entries <= 20 && bytes < 1 << 20,
        "{entries} entries, {bytes} bytes within one minute, limit 5 a minute"
    );
}

#[tokio::test]
async fn repeating_a_failed_request_is_not_logged_each_time() {
    let world = World::new(Builtin::Full, Limits { per_minute: Some(5), ..Limits::default() }).await;
    let signer = world.signer();
    let before = world.vault.verify_audit().unwrap().entries;
    for _ in 0..100 {
        let decrypt =
            Intent::Decrypt { scheme: Scheme::Nip44, peer: client(2), ciphertext: "nonsense".into() };
        assert!(signer.handle(world.request(1, decrypt), repeatable("f")).await.is_err());
    }
    signer.tidy(Timestamp::ZERO).await.unwrap();
    let entries = world.vault.verify_audit().unwrap().entries - before;
    assert!(entries <= 10, "{entries} entries for one counted request");
}

#[tokio::test]
async fn one_wrong_clock_reading_does_not_stop_a_client_for_years() {
    let world = World::new(Builtin::Full, Limits { per_minute: Some(2), ..Limits::default() }).await;
    let signer = world.signer();
    world.clock.set(Timestamp::from_secs(NOW + 10 * 365 * 86_400));
    signer.handle(world.sign(1, 1), None).await.unwrap();
    world.clock.set(Timestamp::from_secs(NOW));
    let mut refused = 0;
    for n in 2..10_u8 {
        world.clock.advance(Duration::from_secs(61));
        refused += usize::from(signer.handle(world.sign(n, 1), None).await.is_err());
    }
    assert_eq!(refused, 0, "of 8, one a minute");
}

#[tokio::test]
async fn a_row_pruned_by_the_clock_is_not_decided_again() {
    let world = World::new(Builtin::Full, Limits { uses: Some(5), ..Limits::default() }).await;
    let signer = world.signer();
    let replay = || {
        let mut request = world_sign(&world);
        request.asked_at = Timestamp::from_secs(NOW);
        request
    };
    signer.handle(replay(), repeatable("f")).await.unwrap();
    signer.answered(RequestId::from_bytes([1; 32]));
    world.clock.advance(Duration::from_secs(7200));
    signer.tidy(Timestamp::from_secs(NOW + 3600)).await.unwrap();
    let again = signer.handle(replay(), repeatable("f")).await;
    let uses = world.connections().usage(&client(1), world.endpoint.id).unwrap().total;
    assert!(again.is_err() && uses == 1, "an event two hours old was decided a second time, uses {uses}");
}

/// A session that an agent makes for itself with `key`, which counts among those of all such agents.
fn agent(world: &World, key: KeyId) -> Result<(), SignerError> {
    let new = NewSession {
        name: None,
        key,
        policy: Session::unnamed(),
        limits: Limits::default(),
        relays: None,
        asks: Asks::Vault,
    };
    Sessions::new(Arc::clone(&world.vault)).create(new, Maker::Agent).map(drop)
}

#[tokio::test]
async fn what_agents_without_a_name_used_is_spent_when_nothing_of_them_is_left() {
    let world = World::new(Builtin::Full, Limits::default()).await;
    agent(&world, world.key).unwrap();
    // Their sessions and their counters.
    [12, 5].into_iter().for_each(|collection| world.take_away(collection));
    assert!(!world.vault.verify().unwrap().is_intact());
    keep_signer::accept_damage(&world.vault, &[]).unwrap();
    let refused = Fault::from(agent(&world, world.key).unwrap_err());
    // It says why, until when, and what can be done.
    let (said, hint) = (refused.message(), refused.hint());
    assert!(said.contains("it is not known how many of 600 requests in one minute were made"), "{said}");
    assert!(said.ends_with("they count as made until 2027-01-15T08:01:00Z"), "{said}");
    assert!(hint.contains("keep agent create"), "{hint}");
    // A key that came later has lost nothing, and the day goes by: it began at eight.
    world.clock.advance(Duration::from_secs(60));
    let refused = agent(&world, world.key).unwrap_err().to_string();
    assert!(
        refused.ends_with("in one day were made: they count as made until 2027-01-16T00:00:00Z"),
        "{refused}"
    );
    let later = world.vault.generate_key(Name::new("later").unwrap()).unwrap();
    agent(&world, later.id).unwrap();
    world.clock.advance(Duration::from_secs(16 * 3_600));
    agent(&world, world.key).unwrap();
}

/// Where nothing is left of what was counted, uses in all do not begin again, until the owner begins them anew.
#[tokio::test]
async fn uses_in_all_that_were_lost_are_spent() {
    let world = World::new(Builtin::Full, Limits { uses: Some(3), ..Limits::default() }).await;
    event(world.signer().handle(world.sign(1, 1), None).await.unwrap());
    world.take_away(5);
    assert!(!world.vault.verify().unwrap().is_intact());
    keep_signer::accept_damage(&world.vault, &[]).unwrap();
    let connections = world.connections();
    let grant = |change| connections.change(client(1), world.endpoint.id, change, false);
    grant(GrantChange { suspended: Some(false), ..GrantChange::default() }).unwrap();
    connections.stop(world.endpoint.id, false).unwrap();
    world.clock.advance(Duration::from_secs(86_400));
    let refused = Fault::from(world.signer().handle(world.sign(2, 1), None).await.unwrap_err());
    assert!(refused.message().contains("it is not known how many of 3 uses were made"), "{refused}");
    assert!(refused.hint().contains("--max-uses"), "{}", refused.hint());
    let limits = Limits { uses: Some(1), ..Limits::default() };
    grant(GrantChange { limits, ..GrantChange::default() }).unwrap();
    event(world.signer().handle(world.sign(3, 1), None).await.unwrap());
    world.signer().handle(world.sign(4, 1), None).await.unwrap_err();
}
