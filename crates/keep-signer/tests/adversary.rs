//! What somebody who means harm would try: each test states the property that must hold.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use keep_policy::{Asks, Builtin, Grant, Limits, Session, Usage};
use keep_signer::{
    Connections, Endpoint, Headless, Maker, NewEndpoint, NewSession, Repeatable, Sessions, Signer,
    SignerError,
};
use keep_store::{MemoryStore, Row, Scan, Store};
use keep_testing::clock::FakeClock;
use keep_types::{
    Answer, EndpointId, Event, EventTemplate, Intent, KeyId, Name, Origin, PublicKey, Request, RequestId,
    Scheme, SecretText, Timestamp,
};
use keep_vault::{Environment, KdfCost, Vault};

const NOW: u64 = 1_800_000_000;

struct World {
    store: MemoryStore,
    vault: Arc<Vault>,
    clock: FakeClock,
    key: KeyId,
    author: PublicKey,
    endpoint: Endpoint,
}

fn passphrase() -> SecretText {
    SecretText::from("correct horse".to_owned())
}

fn client(n: u8) -> PublicKey {
    let keys = secp256k1::Keypair::from_seckey_slice(secp256k1::SECP256K1, &[n; 32]).unwrap();
    PublicKey::from_byte_array(keys.x_only_public_key().0.serialize())
}

impl World {
    async fn new(policy: Builtin, limits: Limits) -> Self {
        let store = MemoryStore::new();
        let clock = FakeClock::at(Timestamp::from_secs(NOW));
        let environment = Environment::new(clock.clone()).allow_weak_kdf();
        let cost = KdfCost::Custom { memory_kib: 64, iterations: 1, lanes: 1 };
        let own: Arc<dyn Store> = Arc::new(store.another_handle());
        let vault = Arc::new(Vault::create(own, &passphrase(), [7; 32], cost, &environment).unwrap());
        let key = vault.generate_key(Name::new("main").unwrap()).unwrap();
        let endpoint =
            Connections::new(Arc::clone(&vault)).create(new_endpoint(key.id, policy, limits)).unwrap();
        let world = Self { store, vault, clock, key: key.id, author: key.nostr_key(), endpoint };
        world
            .connections()
            .connect(client(1), world.endpoint.id, Some("s3cret-s3cret-s3cret".into()), None)
            .await
            .unwrap();
        world
    }
    fn another_process(&self) -> Arc<Vault> {
        let environment = Environment::new(self.clock.clone()).allow_weak_kdf();
        Arc::new(Vault::open(Arc::new(self.store.another_handle()), &passphrase(), &environment).unwrap())
    }
    fn signer(&self) -> Signer {
        Signer::new(Arc::clone(&self.vault), Arc::new(Headless))
    }
    fn connections(&self) -> Connections {
        Connections::new(Arc::clone(&self.vault))
    }
    fn sign(&self, id: u8, kind: u16) -> Request {
        let template = EventTemplate::new(kind, "hello", vec![], NOW).into_unsigned(self.author).unwrap();
        self.request(id, Intent::SignEvent(template))
    }
    fn request(&self, id: u8, intent: Intent) -> Request {
        let origin = Origin::Nip46 { client: client(1), endpoint: self.endpoint.id };
        Request {
            id: RequestId::from_bytes([id; 32]),
            origin,
            key: self.key,
            intent,
            asked_at: self.vault.now(),
        }
    }
    /// Keeps the store busy while `during` submits, so that what it submits shares a batch.
    fn rows(&self, collection: u8) -> Vec<Row> {
        let mut rows = vec![];
        self.store
            .read(&mut |tx| {
                tx.scan(Scan { collection: Some(collection), ..Scan::everything() }, &mut |row| {
                    rows.push(row);
                    std::ops::ControlFlow::Continue(())
                })
            })
            .unwrap();
        rows
    }
}

fn new_endpoint(key: KeyId, policy: Builtin, limits: Limits) -> NewEndpoint {
    NewEndpoint {
        key,
        relays: vec!["ws://127.0.0.1:7777".into()],
        policy: policy.policy(),
        limits,
        secret: "s3cret-s3cret-s3cret".into(),
    }
}

fn repeatable(fingerprint: &str) -> Option<Repeatable> {
    Some(Repeatable { received: b"{}".to_vec(), fingerprint: Some(fingerprint.to_owned()) })
}

fn event(answer: Answer) -> Event {
    match answer {
        Answer::Event(event) => *event,
        other => panic!("{other:?}"),
    }
}

fn hold_store(store: &MemoryStore, millis: u64) -> std::thread::JoinHandle<()> {
    let other = store.another_handle();
    let started = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&started);
    let thread = std::thread::spawn(move || {
        other
            .write(&mut |_| {
                flag.store(true, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(millis));
                Ok(())
            })
            .unwrap();
    });
    while !started.load(Ordering::SeqCst) {
        std::thread::yield_now();
    }
    thread
}

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

fn world_sign(world: &World) -> Request {
    let template = EventTemplate::new(1, "hello", vec![], NOW).into_unsigned(world.author).unwrap();
    let origin = Origin::Nip46 { client: client(1), endpoint: world.endpoint.id };
    Request {
        id: RequestId::from_bytes([1; 32]),
        origin,
        key: world.key,
        intent: Intent::SignEvent(template),
        asked_at: Timestamp::from_secs(NOW),
    }
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
async fn removed_counters_reset_budgets_and_can_be_laundered() {
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
            GroupUse::Refresh { keep: vec![1, 2] },
            GroupUse::RefreshStep { keep: None, messages: vec![] },
            GroupUse::Repair { index: 1 },
            GroupUse::RepairStep { index: 1, messages: vec![] },
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

impl World {
    /// A session that an agent makes for itself with `key`, which counts among those of all such agents.
    fn agent(&self, key: KeyId) -> Result<(), SignerError> {
        let new = NewSession {
            name: None,
            key,
            policy: Session::unnamed(),
            limits: Limits::default(),
            relays: None,
            asks: Asks::Vault,
        };
        Sessions::new(Arc::clone(&self.vault)).create(new, Maker::Agent).map(drop)
    }

    fn take_away(&self, collection: u8) {
        for row in self.rows(collection) {
            self.store.another_handle().write(&mut |tx| tx.delete(collection, &row.id).map(drop)).unwrap();
        }
    }
}

#[tokio::test]
async fn what_agents_without_a_name_used_is_spent_when_nothing_of_them_is_left() {
    let world = World::new(Builtin::Full, Limits::default()).await;
    world.agent(world.key).unwrap();
    // Their sessions and their counters.
    [12, 5].into_iter().for_each(|collection| world.take_away(collection));
    assert!(!world.vault.verify().unwrap().is_intact());
    keep_signer::accept_damage(&world.vault, &[]).unwrap();
    let refused = world.agent(world.key).unwrap_err();
    assert!(refused.to_string().contains("in one minute"), "{refused}");
    // A key that came later has lost nothing, and the day goes by: it began at eight.
    world.clock.advance(Duration::from_secs(1));
    let later = world.vault.generate_key(Name::new("later").unwrap()).unwrap();
    world.agent(later.id).unwrap();
    world.clock.advance(Duration::from_secs(16 * 3_600));
    world.agent(world.key).unwrap();
}
