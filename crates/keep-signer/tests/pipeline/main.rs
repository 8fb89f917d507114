//! The pipeline through its public API: decisions, records, repeats, restarts, races at a limit.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod unanswered;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use keep_audit::{Action, Decider, Outcome, Surface};
use keep_policy::{
    Approval, Builtin, Days, Effect, Grant, Limits, Policy, Prompt, Rule, RuleLimits, Schedule, Zone,
};
use keep_signer::{
    Approver, Arrival, Connections, Decision, Endpoint, Headless, NewEndpoint, Policies, Repeatable, Reply,
    RequestRow, RequestState, Settled, Signer, SignerError,
};
use keep_store::{MemoryStore, Store};
use keep_testing::clock::FakeClock;
use keep_types::{
    Answer, ErrorCode, Event, EventTemplate, Intent, KeyId, Name, Origin, PublicKey, Request, RequestId,
    Scheme, SecretText, Timestamp,
};
use keep_vault::{Environment, KdfCost, Vault};

const NOW: u64 = 1_800_000_000;

struct Always(Decision, AtomicUsize);

impl Approver for Always {
    fn available(&self) -> bool {
        true
    }

    fn ask(&self, _: Prompt, reply: Reply) {
        self.1.fetch_add(1, Ordering::SeqCst);
        reply.decide(self.0.clone());
    }
}

/// Takes prompts and never answers, like a person who is away when the process dies.
struct Away;

impl Approver for Away {
    fn available(&self) -> bool {
        true
    }

    fn ask(&self, _: Prompt, reply: Reply) {
        std::mem::forget(reply);
    }
}

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

impl World {
    fn new(policy: Builtin, limits: Limits) -> Self {
        Self::with(policy.policy(), limits)
    }

    fn with(policy: Policy, limits: Limits) -> Self {
        let store = MemoryStore::new();
        let clock = FakeClock::at(Timestamp::from_secs(NOW));
        let environment = Environment::new(clock.clone()).allow_weak_kdf();
        let cost = KdfCost::Custom { memory_kib: 64, iterations: 1, lanes: 1 };
        let own: Arc<dyn Store> = Arc::new(store.another_handle());
        let vault = Arc::new(Vault::create(own, &passphrase(), [7; 32], cost, &environment).unwrap());
        let key = vault.generate_key(Name::new("main").unwrap()).unwrap();
        let endpoint = Connections::new(Arc::clone(&vault))
            .create(NewEndpoint {
                key: key.id,
                relays: vec!["ws://127.0.0.1:7777".into()],
                policy,
                limits,
                secret: "s3cret-s3cret-s3cret".into(),
            })
            .unwrap();
        Self { store, vault, clock, key: key.id, author: key.nostr_key(), endpoint }
    }

    /// The same vault in a new process.
    fn restart(self) -> Self {
        let Self { store, vault, clock, key, author, endpoint } = self;
        drop(vault);
        let environment = Environment::new(clock.clone()).allow_weak_kdf();
        let vault = Vault::open(Arc::new(store.another_handle()), &passphrase(), &environment).unwrap();
        Self { store, vault: Arc::new(vault), clock, key, author, endpoint }
    }

    fn signer(&self) -> Signer {
        Signer::new(Arc::clone(&self.vault), Arc::new(Headless))
    }

    fn signer_asking(&self, decision: Decision) -> Signer {
        Signer::new(Arc::clone(&self.vault), Arc::new(Always(decision, AtomicUsize::new(0))))
    }

    fn connections(&self) -> Connections {
        Connections::new(Arc::clone(&self.vault))
    }

    async fn connected(self) -> Self {
        self.connections()
            .connect(client(1), self.endpoint.id, Some("s3cret-s3cret-s3cret".into()), None)
            .await
            .unwrap();
        self
    }

    fn request(&self, id: u8, intent: Intent) -> Request {
        let origin = Origin::Nip46 { client: client(1), endpoint: self.endpoint.id };
        let id = RequestId::from_bytes([id; 32]);
        Request { id, origin, key: self.key, intent, asked_at: Timestamp::from_secs(NOW) }
    }

    fn sign(&self, id: u8, kind: u16) -> Request {
        let template = EventTemplate::new(kind, "hello", vec![], NOW);
        self.request(id, Intent::SignEvent(template.into_unsigned(self.author).unwrap()))
    }

    fn uses(&self) -> u64 {
        self.connections().usage(&client(1), self.endpoint.id).unwrap().total
    }

    fn outcomes(&self, action: Action) -> Vec<Outcome> {
        let log = self.vault.audit_tail(100_000).unwrap();
        log.iter().rev().filter(|entry| entry.action == action).map(|entry| entry.outcome).collect()
    }
}

fn client(n: u8) -> PublicKey {
    let secret = keep_types::SecretKey32::take(&mut [n; 32]);
    let pair = nostr_keys(secret.expose());
    PublicKey::from_byte_array(pair)
}

fn nostr_keys(secret: &[u8; 32]) -> [u8; 32] {
    let keys = secp256k1::Keypair::from_seckey_slice(secp256k1::SECP256K1, secret).unwrap();
    keys.x_only_public_key().0.serialize()
}

fn event(answer: Answer) -> Event {
    match answer {
        Answer::Event(event) => *event,
        other => panic!("{other:?}"),
    }
}

fn refusal(outcome: Result<Answer, SignerError>) -> ErrorCode {
    match outcome.unwrap_err() {
        SignerError::Refused(fault) => fault.code(),
        other => panic!("{other}"),
    }
}

fn repeatable(fingerprint: &str) -> Option<Repeatable> {
    Some(Repeatable { received: b"{}".to_vec(), fingerprint: Some(fingerprint.to_owned()) })
}

async fn resume(signer: &Signer, request: Request, fingerprint: &str) -> Result<Answer, SignerError> {
    signer.handle_with(request, repeatable(fingerprint), Arrival::Resumed, || Ok(())).await
}

#[tokio::test]
async fn a_granted_request_is_signed_counted_and_logged() {
    let world = World::new(Builtin::Social, Limits::default()).connected().await;
    let signed = event(world.signer().handle(world.sign(1, 1), None).await.unwrap());
    signed.verify().unwrap();
    assert_eq!(signed.pubkey, world.author);
    assert_eq!(world.uses(), 1);
    assert_eq!(world.outcomes(Action::SignEvent), [Outcome::Allowed]);
    assert!(world.vault.verify().unwrap().is_intact());
}

#[tokio::test]
async fn strangers_get_nothing_and_leave_no_trace() {
    let world = World::new(Builtin::Full, Limits::default());
    let before = world.vault.verify_audit().unwrap().entries;
    assert_eq!(
        refusal(world.signer().handle(world.sign(1, 1), repeatable("f")).await),
        ErrorCode::NotConnected
    );
    assert_eq!(world.vault.verify_audit().unwrap().entries, before);
    assert!(world.signer().unfinished().unwrap().is_empty());
}

#[tokio::test]
async fn headless_refuses_what_needs_a_person() {
    let world = World::new(Builtin::Social, Limits::default()).connected().await;
    let signer = world.signer();
    assert_eq!(refusal(signer.handle(world.sign(1, 0), None).await), ErrorCode::ApprovalUnavailable);
    assert_eq!(world.outcomes(Action::SignEvent), [Outcome::Unanswered]);
    let decrypt = Intent::Decrypt { scheme: Scheme::Nip44, peer: client(2), ciphertext: "x".into() };
    assert_eq!(refusal(signer.handle(world.request(2, decrypt), None).await), ErrorCode::ApprovalUnavailable);
    assert_eq!(
        refusal(signer.handle(world.request(3, Intent::Export), None).await),
        ErrorCode::RefusedByPolicy
    );
    assert_eq!(world.uses(), 0);
}

#[tokio::test]
async fn a_person_decides() {
    let world = World::new(Builtin::Social, Limits::default()).connected().await;
    let signed = event(world.signer_asking(Decision::Approve).handle(world.sign(1, 0), None).await.unwrap());
    signed.verify().unwrap();
    let declined = world.signer_asking(Decision::Decline).handle(world.sign(2, 0), None).await;
    assert_eq!(refusal(declined), ErrorCode::RefusedByPerson);
    let gone = world.signer_asking(Decision::Unavailable).handle(world.sign(3, 0), None).await;
    assert_eq!(refusal(gone), ErrorCode::ApprovalUnavailable);
    let log = world.outcomes(Action::SignEvent);
    assert_eq!(log, [Outcome::Approved, Outcome::Declined, Outcome::Unanswered]);
    assert_eq!(world.uses(), 1);
}

/// Whoever was removed between the yes and its record does not count, nor whoever came after it was asked.
#[tokio::test]
async fn the_yes_of_somebody_who_is_gone_is_none_when_it_is_recorded() {
    let world = World::new(Builtin::Social, Limits::default()).connected().await;
    let policies = Policies::new(Arc::clone(&world.vault));
    let yes = |seat| {
        let by = vec![Decider::Person("bob".to_owned())];
        Decision::Settled(Settled { approved: true, persons: 1, remember: None, by, seats: vec![seat] })
    };
    policies.add_person("bob").unwrap();
    let bob = policies.persons().unwrap()[0].seat();
    event(world.signer_asking(yes(bob.clone())).handle(world.sign(1, 0), None).await.unwrap())
        .verify()
        .unwrap();
    policies.remove_person("bob").unwrap();
    let gone = world.signer_asking(yes(bob.clone())).handle(world.sign(2, 0), None).await;
    assert_eq!(refusal(gone), ErrorCode::ApprovalUnavailable);
    policies.add_person("bob").unwrap();
    let other = world.signer_asking(yes(bob.clone())).handle(world.sign(3, 0), None).await;
    assert_eq!(refusal(other), ErrorCode::ApprovalUnavailable);
    let own = Request { origin: Origin::Cli, ..world.sign(4, 0) };
    let own = world.signer().handle_confirmed(own, |_| yes(bob.clone()));
    assert_eq!(refusal(own), ErrorCode::ApprovalUnavailable);
    assert_eq!(world.uses(), 1);
}

/// Asks somebody whom the owner adds only when the question is there.
struct Late(Arc<Vault>, FakeClock);

impl Approver for Late {
    fn available(&self) -> bool {
        true
    }

    fn ask(&self, _: Prompt, reply: Reply) {
        let (vault, clock) = (Arc::clone(&self.0), self.1.clone());
        std::thread::spawn(move || {
            clock.advance(Duration::from_secs(1));
            let policies = Policies::new(vault);
            policies.add_person("carol").unwrap();
            let seats = policies.persons().unwrap().iter().map(keep_signer::Person::seat).collect();
            let by = vec![Decider::Person("carol".to_owned())];
            reply.decide(Decision::Settled(Settled {
                approved: true,
                persons: 1,
                remember: None,
                by,
                seats,
            }));
        });
    }
}

/// Also where whoever carries the yes does not look when its person came.
#[tokio::test]
async fn the_yes_of_somebody_who_came_later_is_none_when_it_is_recorded() {
    let world = World::new(Builtin::Social, Limits::default()).connected().await;
    let late = Arc::new(Late(Arc::clone(&world.vault), world.clock.clone()));
    let signer = Signer::new(Arc::clone(&world.vault), late);
    assert_eq!(refusal(signer.handle(world.sign(1, 0), None).await), ErrorCode::ApprovalUnavailable);
    assert_eq!(world.uses(), 0);
}

#[tokio::test]
async fn the_log_says_who_decided() {
    let world = World::new(Builtin::Social, Limits::default()).connected().await;
    let bob = || Decider::Person("bob".to_owned());
    let owner = || Decider::Owner(Surface::Screen);
    let by = vec![owner(), bob()];
    let both = Settled { approved: true, persons: 2, remember: None, by, seats: Vec::new() };
    world.signer_asking(Decision::Settled(both)).handle(world.sign(1, 0), None).await.unwrap();
    let no = Decision::Settled(Settled::once(false, bob()));
    world.signer_asking(no).handle(world.sign(2, 0), None).await.unwrap_err();
    // What a rule allows nobody decided.
    world.signer().handle(world.sign(3, 1), None).await.unwrap();
    let by = |entry: &keep_audit::Entry| entry.by.clone().unwrap_or_default().join(" ");
    let log: Vec<String> = world
        .vault
        .audit_tail(100)
        .unwrap()
        .iter()
        .rev()
        .filter(|entry| entry.action == Action::SignEvent)
        .map(by)
        .collect();
    assert_eq!(log, ["owner:screen person:bob", "person:bob", ""]);
}

#[tokio::test]
async fn revocation_holds_for_a_request_that_waits() {
    struct Revoking(Connections, keep_types::EndpointId, tokio::runtime::Handle);
    impl Approver for Revoking {
        fn available(&self) -> bool {
            true
        }
        fn ask(&self, _: Prompt, reply: Reply) {
            let (connections, endpoint) = (self.0.clone(), self.1);
            self.2.spawn(async move {
                assert!(connections.disconnect(client(1), endpoint, Origin::Cli).await.unwrap());
                reply.decide(Decision::Approve);
            });
        }
    }
    let world = World::new(Builtin::Social, Limits::default()).connected().await;
    let approver = Revoking(world.connections(), world.endpoint.id, tokio::runtime::Handle::current());
    let signer = Signer::new(Arc::clone(&world.vault), Arc::new(approver));
    assert_eq!(refusal(signer.handle(world.sign(1, 0), None).await), ErrorCode::NotConnected);
}

#[tokio::test]
async fn a_repeated_request_gets_the_same_bytes_and_is_counted_once() {
    let world = World::new(Builtin::Full, Limits { uses: Some(2), ..Limits::default() }).connected().await;
    let signer = world.signer();
    let encrypt = || Intent::Encrypt {
        scheme: Scheme::Nip44,
        peer: client(2),
        plaintext: SecretText::from("psst".to_owned()),
    };
    let text = |answer| match answer {
        Answer::Ciphertext(text) => text,
        other => panic!("{other:?}"),
    };
    let first = event(signer.handle(world.sign(1, 1), repeatable("sign")).await.unwrap());
    let cipher = text(signer.handle(world.request(2, encrypt()), repeatable("enc")).await.unwrap());
    // The same event again, and the same request in a new event.
    let again = event(signer.handle(world.sign(1, 1), repeatable("sign")).await.unwrap());
    assert_eq!(again.sig, first.sig);
    let renewed = text(signer.handle(world.request(3, encrypt()), repeatable("enc")).await.unwrap());
    assert_eq!(renewed, cipher);
    assert_eq!(world.uses(), 2);
    assert_eq!(refusal(signer.handle(world.sign(9, 1), repeatable("new")).await), ErrorCode::RefusedByPolicy);
    let world = world.restart();
    let after = event(world.signer().handle(world.sign(1, 1), repeatable("sign")).await.unwrap());
    assert_eq!(after.sig, first.sig);
    // Ten minutes later it is a request of its own.
    world.clock.advance(Duration::from_secs(601));
    assert_eq!(
        refusal(world.signer().handle(world.sign(4, 1), repeatable("sign")).await),
        ErrorCode::RefusedByPolicy
    );
}

#[tokio::test]
async fn a_grant_that_names_another_client_than_its_place_is_nobodys() {
    let world = World::new(Builtin::Full, Limits::default()).connected().await;
    let (stranger, endpoint) = (client(2), world.endpoint.id);
    let placed = world.vault.submit(move |tx| {
        let place = |client| tx.locate::<Grant>(&Grant::natural_key(&client, endpoint));
        let (from, to) = (place(client(1)), place(stranger));
        let grant = tx.get::<Grant>(&from)?.unwrap();
        tx.put(to, &grant)
    });
    placed.wait().unwrap();
    let mut request = world.sign(1, 1);
    request.origin = Origin::Nip46 { client: stranger, endpoint };
    assert_eq!(refusal(world.signer().handle(request, None).await), ErrorCode::NotConnected);
}

#[tokio::test]
async fn a_repeat_after_revocation_gets_nothing() {
    let world = World::new(Builtin::Full, Limits::default()).connected().await;
    world.signer().handle(world.sign(1, 1), repeatable("a")).await.unwrap();
    world.connections().disconnect(client(1), world.endpoint.id, Origin::Cli).await.unwrap();
    assert_eq!(
        refusal(world.signer().handle(world.sign(1, 1), repeatable("a")).await),
        ErrorCode::NotConnected
    );
}

#[tokio::test]
async fn open_requests_survive_a_restart() {
    let world = World::new(Builtin::Social, Limits::default()).connected().await;
    let away = Signer::new(Arc::clone(&world.vault), Arc::new(Away));
    let waiting = away.handle(world.sign(1, 0), repeatable("asks"));
    assert!(tokio::time::timeout(Duration::from_millis(200), waiting).await.is_err(), "it waits");
    // A copy of a waiting request is not decided a second time.
    let copy = away.handle(world.sign(1, 0), repeatable("asks")).await;
    assert_eq!(copy.unwrap_err(), SignerError::InProgress);
    // Granted and signed, but the process ends before the answer is marked as sent.
    world.signer().handle(world.sign(2, 1), repeatable("granted")).await.unwrap();
    drop(away);

    let world = world.restart();
    let signer = world.signer_asking(Decision::Approve);
    let open = signer.unfinished().unwrap();
    let states: Vec<RequestState> = open.iter().map(|u| u.row.state).collect();
    assert_eq!(states.len(), 2);
    assert!(states.contains(&RequestState::Asking) && states.contains(&RequestState::Granted));
    assert!(open.iter().all(|u| u.row.received == b"{}"));
    event(resume(&signer, world.sign(1, 0), "asks").await.unwrap()).verify().unwrap();
    event(resume(&signer, world.sign(2, 1), "granted").await.unwrap()).verify().unwrap();
    assert_eq!(world.uses(), 2, "each was counted once");
    for id in [1, 2] {
        signer.answered(RequestId::from_bytes([id; 32]));
    }
    signer.tidy(Timestamp::ZERO).await.unwrap();
    assert!(signer.unfinished().unwrap().is_empty());
    world.clock.advance(Duration::from_secs(3600));
    signer.tidy(Timestamp::from_secs(NOW + 1)).await.unwrap();
    let rows = world.vault.all::<RequestRow>().unwrap();
    assert!(rows.is_empty(), "old rows are forgotten");
    assert!(world.vault.verify().unwrap().is_intact());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_use_count_cannot_be_raced() {
    let world = World::new(Builtin::Full, Limits { uses: Some(10), ..Limits::default() }).connected().await;
    let signer = Arc::new(world.signer());
    let tasks: Vec<_> = (0..64_u8)
        .map(|n| {
            let (signer, request) = (Arc::clone(&signer), world.sign(n, 1));
            tokio::spawn(async move { signer.handle(request, None).await.is_ok() })
        })
        .collect();
    let mut allowed = 0;
    for task in tasks {
        allowed += usize::from(task.await.unwrap());
    }
    assert_eq!(allowed, 10);
    assert_eq!(world.uses(), 10);
    assert_eq!(world.outcomes(Action::SignEvent).iter().filter(|o| **o == Outcome::Allowed).count(), 10);
}

/// How many of these requests of kind 1 are allowed that come at the same time.
async fn at_once(signer: &Arc<Signer>, requests: Vec<Request>) -> usize {
    let tasks: Vec<_> = requests
        .into_iter()
        .map(|request| {
            let signer = Arc::clone(signer);
            tokio::spawn(async move { signer.handle(request, None).await.is_ok() })
        })
        .collect();
    let mut allowed = 0;
    for task in tasks {
        allowed += usize::from(task.await.unwrap());
    }
    allowed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_limit_of_a_rule_cannot_be_raced_and_survives_a_restart() {
    let limits = RuleLimits { uses: Some(5), ..RuleLimits::default() };
    let rule = Rule { limits: Some(limits), ..Rule::sign(Effect::Allow, &[1]) };
    let policy = Policy { rules: vec![rule, Rule::sign(Effect::Allow, &[7])], ..Policy::default() };
    let world = World::with(policy, Limits::default()).connected().await;
    let signer = Arc::new(world.signer());
    let requests = (0..64).map(|n| world.sign(n, if n % 2 == 0 { 1 } else { 7 })).collect();
    assert_eq!(at_once(&signer, requests).await, 5 + 32);
    drop(signer);
    let world = world.restart();
    let signer = Arc::new(world.signer());
    assert_eq!(at_once(&signer, vec![world.sign(100, 1), world.sign(101, 1), world.sign(102, 7)]).await, 1);
    assert_eq!(world.uses(), 38);
}

/// Requests are under way when the time ends. What is allowed was judged before; what is judged after is refused, however
/// early it was asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_allowed_after_a_window_has_closed() {
    let end = Timestamp::from_secs(NOW + 60);
    // 2027-01-15 08:00 in universal time: the schedule ends at the same second.
    let hours = "07:00-08:01".parse().unwrap();
    let schedule = Some(Schedule { days: Days::ALL, hours, zone: Zone::UTC });
    for limits in
        [Limits { expires: Some(end), ..Limits::default() }, Limits { schedule, ..Limits::default() }]
    {
        let world = World::new(Builtin::Full, limits).connected().await;
        let signer = Arc::new(world.signer());
        assert_eq!(at_once(&signer, vec![world.sign(255, 1)]).await, 1, "it is still open");
        let requests: Vec<Request> = (0..64).map(|n| world.sign(n, 1)).collect();
        let clock = world.clock.clone();
        let closing = std::thread::spawn(move || clock.set(end));
        let allowed = at_once(&signer, requests).await;
        closing.join().unwrap();
        let log = world.vault.audit_tail(1_000).unwrap();
        let signed = |entry: &&keep_audit::Entry| {
            entry.action == Action::SignEvent && entry.outcome == Outcome::Allowed
        };
        assert!(log.iter().filter(signed).all(|entry| entry.time < end), "judged after the end");
        assert_eq!(log.iter().filter(signed).count(), allowed + 1);
        assert_eq!(world.uses(), allowed as u64 + 1);
        let late = (64..96).map(|n| world.sign(n, 1)).collect();
        assert_eq!(at_once(&signer, late).await, 0);
    }
}

#[tokio::test]
async fn the_connect_secret_works_once_and_again_for_its_client_only() {
    let world = World::new(Builtin::Social, Limits::default());
    let connections = world.connections();
    let connect = |who, secret: Option<&str>| {
        connections.connect(client(who), world.endpoint.id, secret.map(str::to_owned), Some("app".into()))
    };
    for secret in [None, Some(""), Some("wrong"), Some("s3cret-s3cret-s3cret ")] {
        assert!(connect(1, secret).await.is_err());
    }
    connect(1, Some("s3cret-s3cret-s3cret")).await.unwrap();
    connect(1, Some("s3cret-s3cret-s3cret")).await.unwrap();
    connect(1, None).await.unwrap();
    assert!(connect(2, Some("s3cret-s3cret-s3cret")).await.is_err());
    assert_eq!(world.outcomes(Action::ClientConnected), [Outcome::Allowed]);
    // Taken away, the spent secret does not bring it back.
    connections.disconnect(client(1), world.endpoint.id, Origin::Cli).await.unwrap();
    assert!(connect(1, Some("s3cret-s3cret-s3cret")).await.is_err());
}

#[tokio::test]
async fn a_clock_set_back_does_not_revive_an_expired_grant() {
    let limits = Limits { expires: Some(Timestamp::from_secs(NOW + 60)), ..Limits::default() };
    let world = World::new(Builtin::Full, limits).connected().await;
    world.clock.advance(Duration::from_secs(61));
    assert_eq!(refusal(world.signer().handle(world.sign(1, 1), None).await), ErrorCode::RefusedByPolicy);
    world.clock.set(Timestamp::from_secs(NOW));
    assert_eq!(refusal(world.signer().handle(world.sign(2, 1), None).await), ErrorCode::RefusedByPolicy);
}

#[test]
fn the_owner_signs_and_exports_and_both_are_logged() {
    let world = World::new(Builtin::Social, Limits::default());
    let own = |id, intent| Request { origin: Origin::Cli, ..world.request(id, intent) };
    let signed =
        world.signer().handle_blocking(Request { origin: Origin::Cli, ..world.sign(1, 30_078) }).unwrap();
    event(signed).verify().unwrap();
    let exported = world.signer().handle_blocking(own(2, Intent::Export)).unwrap();
    let Answer::SecretKey(secret) = exported else { panic!("no secret") };
    assert_eq!(nostr_keys(secret.expose()), world.author.to_bytes());
    assert_eq!(world.outcomes(Action::Export), [Outcome::Allowed]);
}

#[test]
fn the_owners_own_policy_holds_for_the_command_line_and_for_nobody_else() {
    let world = World::new(Builtin::Social, Limits::default());
    let limits = Some(RuleLimits { uses: Some(1), ..RuleLimits::default() });
    let policy = Policy {
        name: Policy::CLI.to_owned(),
        rules: vec![
            Rule { limits, ..Rule::sign(Effect::Allow, &[1]) },
            Rule { approval: Some(Approval::TwoPersons), ..Rule::sign(Effect::Ask, &[0]) },
        ],
        otherwise: Some(Effect::Deny),
        ..Policy::default()
    };
    Policies::new(Arc::clone(&world.vault)).put(policy, false).unwrap();
    let own = |id, kind| Request { origin: Origin::Cli, ..world.sign(id, kind) };
    let signer = world.signer();
    event(signer.handle_blocking(own(1, 1)).unwrap()).verify().unwrap();
    assert_eq!(refusal(signer.handle_blocking(own(2, 1))), ErrorCode::RefusedByPolicy);
    assert_eq!(refusal(signer.handle_blocking(own(3, 7))), ErrorCode::RefusedByPolicy);
    let one = Settled::once(true, Decider::Owner(Surface::Command));
    let asked = signer.handle_asking(own(4, 0), |_| Some(Decision::Settled(one.clone())));
    assert_eq!(refusal(asked), ErrorCode::ApprovalUnavailable);
    let both = Settled { persons: 2, ..one };
    event(signer.handle_asking(own(5, 0), |_| Some(Decision::Settled(both))).unwrap()).verify().unwrap();
    assert_eq!(
        refusal(signer.handle_asking(own(6, 0), |_| Some(Decision::Decline))),
        ErrorCode::RefusedByPerson
    );
    // What takes the passphrase again is not a matter of policies.
    let export = Request { origin: Origin::Cli, ..world.request(7, Intent::Export) };
    signer.handle_blocking(export).unwrap();
    use Outcome::{Allowed, Approved, Declined, Refused, Unanswered};
    let log = world.outcomes(Action::SignEvent);
    assert_eq!(log, [Allowed, Refused, Refused, Unanswered, Approved, Declined]);
    // Once it is gone, the owner is free again.
    Policies::new(Arc::clone(&world.vault)).remove(Policy::CLI).unwrap();
    event(signer.handle_blocking(own(8, 7)).unwrap()).verify().unwrap();
}

#[tokio::test]
async fn a_failed_use_is_logged_as_failed() {
    let world = World::new(Builtin::Full, Limits::default()).connected().await;
    let signer = world.signer();
    let decrypt = Intent::Decrypt { scheme: Scheme::Nip44, peer: client(2), ciphertext: "nonsense".into() };
    let error = signer.handle(world.request(1, decrypt), None).await.unwrap_err();
    assert_eq!(keep_types::Fault::from(error).code(), ErrorCode::InvalidPayload);
    signer.tidy(Timestamp::ZERO).await.unwrap();
    assert_eq!(world.outcomes(Action::Nip44Decrypt), [Outcome::Allowed, Outcome::Failed]);
}

#[tokio::test]
async fn a_tampered_vault_signs_nothing_and_exports() {
    let world = World::new(Builtin::Full, Limits::default()).connected().await;
    let grant = world.vault.all::<keep_policy::Grant>().unwrap().remove(0).0;
    world.store.write(&mut |tx| tx.delete(4, &grant).map(|_| ())).unwrap();
    let world = world.restart();
    let own = |id, intent| Request { origin: Origin::Cli, ..world.request(id, intent) };
    let signed = world.signer().handle_blocking(Request { origin: Origin::Cli, ..world.sign(1, 1) });
    assert_eq!(keep_types::Fault::from(signed.unwrap_err()).code(), ErrorCode::Integrity);
    assert!(world.signer().handle_blocking(own(2, Intent::Export)).is_ok());
}
