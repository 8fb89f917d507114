//! What somebody who means harm would try: each test states the property that must hold.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::*;
use keep_policy::{Builtin, Grant, Limits, Usage};
use keep_signer::{Headless, NewEndpoint, Signer, SignerError};
use keep_store::Store;
use keep_types::{EndpointId, EventTemplate, Intent, Name, Origin, Request, RequestId, Timestamp};
use keep_vault::Vault;

#[tokio::test]
async fn two_copies_in_one_batch_get_the_same_answer() {
    let world = World::new(Builtin::Full, Limits::default()).await;
    let signer = world.signer();
    let held = hold_store(&world.store, 200);
    let (a, b) = tokio::join!(
        signer.handle(world_sign(&world), repeatable("f")),
        signer.handle(world_sign(&world), repeatable("f"))
    );
    held.join().unwrap();
    let (a, b) = (event(a.unwrap()), event(b.expect("the second copy")));
    assert_eq!(a.sig, b.sig);
}

#[tokio::test]
async fn an_old_fingerprint_can_be_used_again() {
    let mut failures = vec![];
    for round in 0..8_u8 {
        let world = World::new(Builtin::Full, Limits::default()).await;
        let signer = world.signer();
        signer.handle(world.sign(1 + round, 1), repeatable("f")).await.unwrap();
        world.clock.advance(Duration::from_secs(601));
        let other = world.sign(100 + round, 1);
        if let Err(error) = signer.handle(other, repeatable("f")).await {
            failures.push(error);
        }
    }
    assert!(failures.is_empty(), "{} of 8: {failures:?}", failures.len());
}

#[tokio::test]
async fn one_clients_old_fingerprint_does_not_fail_another_clients_request() {
    let mut failures = 0;
    for round in 0..6_u8 {
        let world = World::new(Builtin::Full, Limits::default()).await;
        let signer = world.signer();
        signer.handle(world.sign(1 + round, 1), repeatable("f")).await.unwrap();
        world.clock.advance(Duration::from_secs(601));
        let (bad, good) = (world.sign(100 + round, 1), world.sign(200 + round, 1));
        let held = hold_store(&world.store, 100);
        let (_, innocent) = tokio::join!(signer.handle(bad, repeatable("f")), signer.handle(good, None));
        held.join().unwrap();
        failures += usize::from(innocent.is_err());
    }
    assert_eq!(failures, 0);
}

#[tokio::test]
async fn a_repeat_at_another_endpoint_is_judged_by_its_own_grant() {
    let world = World::new(Builtin::Full, Limits::default()).await;
    let other = world.vault.generate_key(Name::new("other").unwrap()).unwrap();
    let weak: EndpointId = {
        let endpoint =
            world.connections().create(new_endpoint(other.id, Builtin::ReadOnly, Limits::default())).unwrap();
        world
            .connections()
            .connect(client(1), endpoint.id, Some("s3cret-s3cret-s3cret".into()), None)
            .await
            .unwrap();
        endpoint.id
    };
    let signer = world.signer();
    // Same client, same rpc id, method and parameters: the fingerprint as documented is the same.
    signer.handle(world.sign(1, 4), repeatable("client|7|sign_event|..")).await.unwrap();
    let template = EventTemplate::new(4, "hello", vec![], NOW).into_unsigned(other.nostr_key()).unwrap();
    let second = Request {
        id: RequestId::from_bytes([2; 32]),
        origin: Origin::Nip46 { client: client(1), endpoint: weak },
        key: other.id,
        intent: Intent::SignEvent(template),
        asked_at: Timestamp::from_secs(NOW),
    };
    let outcome = signer.handle(second, repeatable("client|7|sign_event|..")).await;
    assert!(
        matches!(outcome, Err(SignerError::Refused(_))),
        "signed with {:?}",
        outcome.map(|a| event(a).pubkey)
    );
}

#[tokio::test]
async fn a_key_deleted_by_another_process_signs_no_more() {
    let world = World::new(Builtin::Full, Limits::default()).await;
    let signer = world.signer();
    signer.handle(world.sign(1, 1), None).await.unwrap();
    world.another_process().delete_key(world.key).unwrap();
    let after = signer.handle(world.sign(2, 1), None).await;
    assert!(after.is_err(), "the deleted key still signs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verifying_under_load_is_no_alarm() {
    let world = World::new(Builtin::Full, Limits::default()).await;
    let stop = Arc::new(AtomicBool::new(false));
    let asker = {
        let (vault, stop) = (Arc::clone(&world.vault), Arc::clone(&stop));
        std::thread::spawn(move || {
            let (mut asked, mut alarms) = (0_u32, vec![]);
            while !stop.load(Ordering::Relaxed) {
                asked += 1;
                if let Err(error) = vault.verify_audit() {
                    alarms.push(error.to_string());
                }
            }
            (asked, alarms)
        })
    };
    let writer = Arc::clone(&world.vault);
    std::thread::spawn(move || {
        for _ in 0..4000 {
            writer
                .submit(|tx| {
                    let at = tx.locate::<Usage>(b"x");
                    tx.put(at, &Usage::default())
                })
                .wait()
                .unwrap();
        }
    })
    .join()
    .unwrap();
    stop.store(true, Ordering::Relaxed);
    let (asked, alarms) = asker.join().unwrap();
    assert!(alarms.is_empty(), "{} false alarms in {asked}: {:?}", alarms.len(), alarms.first());
}

#[tokio::test]
async fn a_revoked_grant_put_back_in_a_running_vault_is_not_obeyed() {
    let world = World::new(Builtin::Full, Limits::default()).await;
    let signer = world.signer();
    let grants = world.rows(4);
    world.connections().disconnect(client(1), world.endpoint.id, Origin::Cli).await.unwrap();
    assert!(signer.handle(world.sign(1, 1), None).await.is_err());
    world.store.another_handle().write(&mut |tx| tx.put(&grants[0])).unwrap();
    let outcome = signer.handle(world.sign(2, 1), None).await;
    assert!(outcome.is_err(), "signed under a resurrected grant");
}

#[tokio::test]
async fn a_failed_verification_stops_signing() {
    let world = World::new(Builtin::Full, Limits::default()).await;
    let usage_before = world.rows(4)[0].clone();
    world
        .store
        .another_handle()
        .write(&mut |tx| {
            let mut extra = usage_before.clone();
            extra.id = keep_types::RecordId::from_bytes([0xee; 16]);
            tx.put(&extra)
        })
        .unwrap();
    assert!(!world.vault.verify().unwrap().is_intact());
    assert!(
        world.signer().handle(world.sign(2, 1), None).await.is_err(),
        "signed in a vault known to be tampered with"
    );
}

#[tokio::test]
async fn a_permit_needs_a_record_of_its_own() {
    use keep_policy::{Basis, Standing, Verdict, judge};
    let world = World::new(Builtin::ReadOnly, Limits::default()).await;
    let before = world.vault.verify_audit().unwrap().entries;
    let request = Request { origin: Origin::Cli, ..world.request(9, Intent::Export) };
    let (permit, record) = world
        .vault
        .submit(move |tx| {
            tx.cite(1); // the making of the vault
            Ok(judge(request, tx.job(), Standing::Owner, Basis::Fresh, tx.now()))
        })
        .wait()
        .unwrap();
    let Verdict::Allow(permit) = permit else { panic!() };
    let leaked = world.vault.execute_recorded(permit, &record).and_then(|held| held.release(&record));
    assert_eq!(world.vault.verify_audit().unwrap().entries, before);
    assert!(leaked.is_err(), "the secret key left without an entry");
}

#[tokio::test]
async fn an_owner_standing_is_not_for_clients() {
    use keep_policy::{Basis, Standing, Verdict, judge};
    let world = World::new(Builtin::ReadOnly, Limits::default()).await;
    let verdict = judge(
        world.request(9, Intent::Export),
        keep_types::JobId::fresh(),
        Standing::Owner,
        Basis::Fresh,
        Timestamp::from_secs(NOW),
    );
    assert!(!matches!(verdict, Verdict::Allow(_)), "a NIP-46 export was permitted");
    let grant = world.vault.all::<Grant>().unwrap().remove(0).1;
    let mut request = world.request(9, Intent::GetPublicKey);
    request.origin = Origin::Nip46 { client: client(3), endpoint: world.endpoint.id };
    let standing = Standing::Client {
        grant: &grant,
        followed: None,
        usage: &mut Usage::default(),
        relays: &[],
        identity: &world.author,
    };
    let verdict =
        judge(request, keep_types::JobId::fresh(), standing, Basis::Fresh, Timestamp::from_secs(NOW));
    assert!(!matches!(verdict, Verdict::Allow(_)), "another client's grant was used");
}

#[tokio::test]
async fn an_empty_connect_secret_claims_nothing() {
    let world = World::new(Builtin::Full, Limits::default()).await;
    let open =
        NewEndpoint { secret: String::new(), ..new_endpoint(world.key, Builtin::Full, Limits::default()) };
    if let Ok(endpoint) = world.connections().create(open) {
        assert!(world.connections().connect(client(5), endpoint.id, None, None).await.is_err());
    }
}

#[tokio::test]
async fn a_dropped_waiter_does_not_block_its_request_for_ever() {
    struct Away;
    impl keep_signer::Approver for Away {
        fn available(&self) -> bool {
            true
        }
        fn ask(&self, _: keep_policy::Prompt, reply: keep_signer::Reply) {
            std::mem::forget(reply);
        }
    }
    let world = World::new(Builtin::Social, Limits::default()).await;
    let signer = Signer::new(Arc::clone(&world.vault), Arc::new(Away));
    let waiting = signer.handle(world.sign(1, 0), repeatable("f"));
    assert!(tokio::time::timeout(Duration::from_millis(50), waiting).await.is_err());
    world.clock.advance(Duration::from_secs(601));
    let again = tokio::time::timeout(
        Duration::from_millis(50),
        world.signer().handle(world.sign(1, 0), repeatable("f")),
    )
    .await;
    assert!(!matches!(again, Ok(Err(SignerError::InProgress))), "nobody will ever decide it");
}

#[tokio::test]
async fn a_request_that_is_asked_anew_can_be_approved() {
    struct Away;
    impl keep_signer::Approver for Away {
        fn available(&self) -> bool {
            true
        }
        fn ask(&self, _: keep_policy::Prompt, reply: keep_signer::Reply) {
            std::mem::forget(reply);
        }
    }
    struct Present;
    impl keep_signer::Approver for Present {
        fn available(&self) -> bool {
            true
        }
        fn ask(&self, _: keep_policy::Prompt, reply: keep_signer::Reply) {
            reply.decide(keep_signer::Decision::Approve);
        }
    }
    let world = World::new(Builtin::Social, Limits::default()).await;
    let away = Signer::new(Arc::clone(&world.vault), Arc::new(Away));
    let waiting = away.handle(world.sign(1, 0), repeatable("f"));
    assert!(tokio::time::timeout(Duration::from_millis(50), waiting).await.is_err());
    world.clock.advance(Duration::from_secs(601));
    // Its first wait is over; the copy waits from now on.
    let present = Signer::new(Arc::clone(&world.vault), Arc::new(Present));
    event(present.handle(world.sign(1, 0), repeatable("f")).await.unwrap());
}

#[tokio::test]
async fn the_audit_names_the_event_that_was_signed() {
    let world = World::new(Builtin::Full, Limits::default()).await;
    let mut request = world.sign(1, 1);
    if let Intent::SignEvent(event) = &mut request.intent {
        event.id = Some(keep_types::EventId::from_byte_array([9; 32]));
    }
    let signed = event(world.signer().handle(request, None).await.unwrap());
    let entry = world.vault.audit_tail(1).unwrap().remove(0);
    assert_eq!(entry.subject, Some(signed.id.to_bytes()));
}

#[tokio::test]
async fn making_a_transport_key_never_overwrites_an_identity() {
    let world = World::new(Builtin::Full, Limits::default()).await;
    let id = EndpointId::from_bytes(*world.key.as_bytes());
    let _ = world.vault.submit(move |tx| Vault::new_transport_key(tx, id)).wait();
    let fresh = world.another_process();
    let own = Request { origin: Origin::Cli, ..world.request(1, Intent::Export) };
    let outcome = Signer::new(fresh, Arc::new(Headless)).handle_blocking(own);
    assert!(outcome.is_ok(), "the identity's secret is gone: {:?}", outcome.err());
}

#[test]

fn waiting_inside_a_runtime_ends() {
    let (done, finished) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::new(Builtin::Full, Limits::default()).await;
            for _ in 0..200 {
                world.vault.submit(|_| Ok(())).wait().unwrap();
            }
        });
        let _ = done.send(());
    });
    assert!(finished.recv_timeout(Duration::from_secs(20)).is_ok(), "still waiting after 20 s: it spins");
}

/// A group is the owner's alone: no client, however much it was granted, and no session uses it in any way.

#[tokio::test]
async fn nobody_but_the_owner_reaches_a_group() {
    use keep_frost::Suite;
    use keep_types::{GroupKeyPath, GroupMessage, GroupSign, GroupUse, SessionId};
    let world = World::new(Builtin::Full, Limits::default()).await;
    let group = world.vault.deal_group(Name::new("family").unwrap(), Suite::Secp256k1Tr, 2, 3).unwrap();
    // Not even an endpoint for it can be made.
    assert!(world.connections().create(new_endpoint(group.id, Builtin::Full, Limits::default())).is_err());
    let signer = world.signer();
    let uses = || {
        let message = GroupMessage::Raw(b"anything".to_vec());
        let (session, nonces) = ([1; 32], vec![[2; 32]]);
        let (key, package, proposed_by) = (GroupKeyPath::default(), None, None);
        let sign = GroupSign { session, message, key, nonces, package, proposed_by };
        [
            GroupUse::Sign(sign),
            GroupUse::ExportShare { index: 1 },
            GroupUse::Recover,
            GroupUse::Refresh { keep: vec![1, 2], abandon: false },
            GroupUse::RefreshStep { keep: None, messages: vec![], abandon: true },
            GroupUse::Repair { index: 1, abandon: false },
            GroupUse::RepairStep { index: 1, messages: vec![], abandon: false },
        ]
    };
    let burns = world.rows(9).len();
    let session = SessionId::from_bytes([3; 16]);
    let client_of_it = Origin::Nip46 { client: client(1), endpoint: world.endpoint.id };
    for (id, origin) in [client_of_it, Origin::Agent { session }].into_iter().enumerate() {
        for (at, usage) in uses().into_iter().enumerate() {
            let id = RequestId::from_bytes([u8::try_from(10 * id + at).unwrap(); 32]);
            let intent = Intent::Group(Box::new(usage));
            let request = Request { id, origin, key: group.id, intent, asked_at: world.vault.now() };
            let refused = signer.handle(request, None).await.unwrap_err();
            let SignerError::Refused(fault) = refused else { panic!("{refused:?}") };
            assert_eq!(fault.code(), keep_types::ErrorCode::NotConnected);
        }
    }
    // Splitting a key that it was granted is no use of that grant either.
    let split = GroupUse::Split { name: Name::new("mine").unwrap(), threshold: 2, members: 2 };
    let refused = signer.handle(world.request(99, Intent::Group(Box::new(split))), None).await.unwrap_err();
    assert!(matches!(refused, SignerError::Refused(_)), "{refused:?}");
    assert_eq!(world.rows(9).len(), burns, "nothing was burnt");
    assert_eq!(world.vault.groups().unwrap().len(), 1);
}
