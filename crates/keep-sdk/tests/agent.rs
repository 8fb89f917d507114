//! Sessions of agents, through the facade.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops where something is wrong"
)]

use keep_sdk::agent::{AccountInput, Asks, Exceeding, Preset, RelayOffer, SessionScope};
use keep_sdk::{
    Agent, ErrorCode, EventTemplate, Home, KdfCost, Keep, Name, Options, PublicKey, RelayUrl, SecretText,
    Timestamp,
};
use keep_testing::clock::FakeClock;

struct World {
    keep: Keep,
    clock: FakeClock,
    directory: tempfile::TempDir,
}

const START: u64 = 1_800_000_000;

fn options(clock: &FakeClock) -> Options {
    let cheap = KdfCost::Custom { memory_kib: 64, iterations: 1, lanes: 1 };
    Options::default().allow_weak_kdf().kdf_cost(cheap).clock(clock.clone())
}

fn passphrase() -> SecretText {
    SecretText::from("correct horse".to_owned())
}

fn world() -> World {
    let directory = tempfile::tempdir().unwrap();
    let clock = FakeClock::at(Timestamp::from_secs(START));
    let home = Home::new(directory.path().join("vault")).unwrap();
    let keep = Keep::create(home, &passphrase(), &options(&clock)).unwrap();
    keep.keys().generate(Name::new("main").unwrap()).unwrap();
    World { keep, clock, directory }
}

impl World {
    fn session(&self, name: &str, scope: SessionScope, asks: Asks) -> (Agent, SecretText) {
        let made = self.keep.agents().create(name, None, scope, asks).unwrap();
        (Agent::new(self.keep.for_session(&made.token).unwrap()), made.token)
    }

    /// Ends the process that has the vault, and starts another one.
    fn restart(self) -> Self {
        let Self { keep, clock, directory } = self;
        drop(keep);
        let home = Home::new(directory.path().join("vault")).unwrap();
        let keep = Keep::open(home, &passphrase(), &options(&clock)).unwrap();
        Self { keep, clock, directory }
    }
}

fn nostr() -> SessionScope {
    SessionScope::of(Preset::Nostr)
}

fn note(kind: u16) -> EventTemplate {
    EventTemplate::new(kind, "hello", vec![], START)
}

fn code<T: std::fmt::Debug>(result: Result<T, keep_sdk::Fault>) -> ErrorCode {
    result.unwrap_err().code()
}

#[test]
fn a_session_signs_what_it_may_and_nothing_else() {
    let world = world();
    let (agent, _) = world.session("bot", SessionScope { kinds: Some(vec![1, 7]), ..nostr() }, Asks::Vault);
    let event = agent.sign_event(note(1), None).unwrap().event.unwrap();
    assert!(event.0.verify().is_ok());
    for kind in [0, 3, 4, 6, 10002, 22242, 65535] {
        assert_eq!(code(agent.sign_event(note(kind), Some(true))), ErrorCode::RefusedByPolicy, "{kind}");
    }
    let peer = PublicKey::from_hex(&agent.public_key().unwrap().pubkey).unwrap();
    let sealed = agent.encrypt(peer, "secret".to_owned().into(), None).unwrap().ciphertext.unwrap();
    assert_eq!(agent.decrypt(peer, sealed, None).unwrap().plaintext.unwrap().expose(), "secret");
    let info = agent.info().unwrap();
    assert_eq!((info.name.as_str(), info.requests, info.kinds), ("bot", 4, Some(vec![1, 7])));
}

#[test]
fn nothing_of_the_owners_is_open_to_a_session() {
    let world = world();
    let full = SessionScope::of(Preset::Full);
    let made = world.keep.agents().create("bot", None, full, Asks::Client).unwrap();
    let keep = world.keep.for_session(&made.token).unwrap();
    let key = world.keep.keys().find(None).unwrap();
    assert_eq!(code(keep.keys().export_nsec(&key)), ErrorCode::RefusedByPolicy);
    assert_eq!(code(keep.keys().list()), ErrorCode::RefusedByPolicy);
    assert_eq!(code(keep.keys().delete(&key)), ErrorCode::RefusedByPolicy);
    assert_eq!(code(keep.keys().generate(Name::new("x").unwrap())), ErrorCode::RefusedByPolicy);
    assert_eq!(code(keep.sign().event(&key, note(1))), ErrorCode::RefusedByPolicy);
    assert_eq!(code(keep.audit().verify()), ErrorCode::RefusedByPolicy);
    assert_eq!(code(keep.agents().list()), ErrorCode::RefusedByPolicy);
    assert_eq!(code(keep.agents().revoke("bot")), ErrorCode::RefusedByPolicy);
    assert_eq!(code(keep.agents().create("more", None, nostr(), Asks::Client)), ErrorCode::RefusedByPolicy);
    // Nor is a threshold key, in any way, and no session can be made for one.
    let suite = keep_sdk::frost::Suite::Secp256k1Tr;
    world.keep.frost().generate(Some(Name::new("family").unwrap()), suite, 2, 2).unwrap();
    let frost = keep.frost();
    let raw = || keep_sdk::frost::ToSign::Raw("00".to_owned());
    let plain = keep_sdk::frost::GroupKey::default;
    assert_eq!(code(frost.list()), ErrorCode::RefusedByPolicy);
    assert_eq!(code(frost.sign(None, raw(), plain(), vec![])), ErrorCode::RefusedByPolicy);
    assert_eq!(code(frost.propose(None, raw(), plain(), vec![])), ErrorCode::RefusedByPolicy);
    assert_eq!(code(frost.join(None, "keepfrost1:", None, vec![])), ErrorCode::RefusedByPolicy);
    assert_eq!(code(frost.contribute(None, "", "", &[])), ErrorCode::RefusedByPolicy);
    assert_eq!(code(frost.refresh(None, vec![])), ErrorCode::RefusedByPolicy);
    assert_eq!(code(frost.recover(None)), ErrorCode::RefusedByPolicy);
    let of_group = world.keep.agents().create("group-bot", Some("family"), nostr(), Asks::Client);
    assert_eq!(code(of_group), ErrorCode::NotFound);
}

#[test]
fn tokens_are_stored_as_hashes_and_wrong_ones_open_nothing() {
    let world = world();
    let (_, token) = world.session("bot", nostr(), Asks::Vault);
    assert!(token.expose().starts_with("keep-session-") && token.expose().len() == 13 + 64);
    let mut wrong = token.expose().to_owned();
    let last = if wrong.pop() == Some('0') { '1' } else { '0' };
    wrong.push(last);
    for wrong in [wrong.as_str(), "", "keep-session-", &token.expose()[..40]] {
        assert_eq!(code(world.keep.for_session(&wrong.to_owned().into())), ErrorCode::NotConnected);
    }
}

#[test]
fn limits_hold_over_a_restart_and_a_clock_that_is_set_back() {
    let mut scope = nostr();
    scope.rates.per_minute = Some(3);
    scope.rates.uses = Some(5);
    let world = world();
    let (agent, token) = world.session("bot", scope, Asks::Vault);
    for _ in 0..2 {
        agent.sign_event(note(1), None).unwrap();
    }
    assert_eq!(agent.info().unwrap().requests_remaining, Some(1));
    drop(agent);
    let world = world.restart();
    let agent = Agent::new(world.keep.for_session(&token).unwrap());
    agent.record_request().unwrap();
    assert_eq!(code(agent.sign_event(note(1), None)), ErrorCode::RateLimited);
    assert_eq!(code(agent.record_request()), ErrorCode::RateLimited);
    // An earlier minute is no new one.
    world.clock.set(Timestamp::from_secs(START - 3600));
    assert_eq!(code(agent.sign_event(note(1), None)), ErrorCode::RateLimited);
    world.clock.set(Timestamp::from_secs(START + 60));
    agent.sign_event(note(1), None).unwrap();
    agent.sign_event(note(1), None).unwrap();
    assert_eq!(code(agent.sign_event(note(1), None)), ErrorCode::RefusedByPolicy);
    assert_eq!(agent.info().unwrap().requests_remaining, Some(0));
}

#[test]
fn a_session_ends_with_its_time() {
    let world = world();
    let (agent, token) =
        world.session("bot", SessionScope { duration_secs: Some(3600), ..nostr() }, Asks::Vault);
    agent.sign_event(note(1), None).unwrap();
    world.clock.set(Timestamp::from_secs(START + 3600));
    assert_eq!(code(agent.sign_event(note(1), None)), ErrorCode::RefusedByPolicy);
    assert_eq!(code(world.keep.for_session(&token)), ErrorCode::NotConnected);
    assert_eq!(world.keep.agents().show("bot").unwrap().state, "over");
}

#[test]
fn many_threads_get_as_many_signatures_as_the_limit_says() {
    let mut scope = nostr();
    scope.rates.uses = Some(20);
    let world = world();
    let (agent, _) = world.session("bot", scope, Asks::Vault);
    let signed: usize = std::thread::scope(|threads| {
        let work = |_| {
            let agent = agent.clone();
            threads.spawn(move || (0..10).filter(|_| agent.sign_event(note(1), None).is_ok()).count())
        };
        let workers: Vec<_> = (0..8).map(work).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert_eq!(signed, 20);
    assert_eq!(agent.info().unwrap().requests, 20);
}

#[test]
fn revocation_is_immediate_and_takes_what_narrows_with_it() {
    let world = world();
    let (agent, token) = world.session("bot", nostr(), Asks::Vault);
    let keep = world.keep.for_session(&token).unwrap();
    let narrow =
        keep.agents().begin(None, SessionScope { kinds: Some(vec![1]), ..nostr() }, Asks::Client).unwrap();
    assert!(narrow.session.name.starts_with("bot/"));
    // Who decides is the owner's to say.
    assert_eq!(narrow.session.asks, "vault");
    let narrowed = Agent::new(keep.for_session(&narrow.token).unwrap());
    narrowed.sign_event(note(1), None).unwrap();
    assert_eq!(code(narrowed.sign_event(note(7), None)), ErrorCode::RefusedByPolicy);
    agent.sign_event(note(7), None).unwrap();
    // Narrowing and both signatures were counted on the session that is narrowed.
    assert_eq!(agent.info().unwrap().requests, 3);
    world.keep.agents().revoke("bot").unwrap();
    assert_eq!(code(agent.sign_event(note(1), None)), ErrorCode::NotConnected);
    assert_eq!(code(narrowed.sign_event(note(1), None)), ErrorCode::NotConnected);
    assert_eq!(code(agent.info()), ErrorCode::NotConnected);
    assert!(world.keep.agents().list().unwrap().is_empty());
    let log = world.keep.audit().list(50).unwrap();
    assert!(log.iter().any(|entry| entry.origin.as_str() == "agent:bot" && entry.action == "sign_event"));
    assert_eq!(log.iter().filter(|entry| entry.action == "agent_revoked").count(), 2);
}

#[test]
fn a_narrower_session_cannot_widen() {
    let world = world();
    let mut scope = SessionScope { kinds: Some(vec![1]), ..nostr() };
    scope.rates.uses = Some(3);
    let (_, token) = world.session("bot", scope, Asks::Vault);
    let keep = world.keep.for_session(&token).unwrap();
    let wide = keep.agents().begin(None, SessionScope::of(Preset::Full), Asks::Client).unwrap();
    let wide = Agent::new(keep.for_session(&wide.token).unwrap());
    assert_eq!(code(wide.sign_event(note(7), Some(true))), ErrorCode::RefusedByPolicy);
    // Narrowing was one of the three uses.
    assert_eq!(wide.info().unwrap().requests_remaining, Some(2));
    for _ in 0..2 {
        wide.sign_event(note(1), None).unwrap();
    }
    assert_eq!(code(wide.sign_event(note(1), None)), ErrorCode::RefusedByPolicy);
}

#[test]
fn an_agent_without_a_session_may_know_the_key_and_asks_for_the_rest() {
    let world = world();
    let made = world.keep.agents().begin(Some("main"), SessionScope::of(Preset::Full), Asks::Client).unwrap();
    assert!(made.session.self_made && made.session.expires_at.is_some());
    let agent = Agent::new(world.keep.for_session(&made.token).unwrap());
    agent.public_key().unwrap();
    let asked = agent.sign_event(note(1), None).unwrap();
    let question = asked.question.unwrap();
    assert_eq!((question.kind, question.content.as_str(), asked.event), (Some(1), "hello", None));
    assert_eq!(question.not_shown, 0);
    let long = EventTemplate::new(1, "word ".repeat(2_400), vec![], START);
    let question = agent.sign_event(long, None).unwrap().question.unwrap();
    assert_eq!((question.content_chars, question.not_shown), (Some(12_000), 2_000));
    assert_eq!(code(agent.sign_event(note(1), Some(false))), ErrorCode::RefusedByPerson);
    assert!(agent.sign_event(note(1), Some(true)).unwrap().event.is_some());
    // Where the vault's person decides, the agent's word counts for nothing.
    let made = world.keep.agents().begin(Some("main"), SessionScope::of(Preset::Full), Asks::Vault).unwrap();
    let agent = Agent::new(world.keep.for_session(&made.token).unwrap());
    assert_eq!(code(agent.sign_event(note(1), Some(true))), ErrorCode::ApprovalUnavailable);
    agent.end().unwrap();
    assert_eq!(code(agent.info()), ErrorCode::NotConnected);
}

/// Otherwise a program that makes a session for itself and says yes to itself would go around it.
#[test]
fn the_policy_of_the_command_line_bounds_agents_without_a_session() {
    let world = world();
    let begin = || world.keep.agents().begin(Some("main"), SessionScope::of(Preset::Full), Asks::Client);
    let before = begin().unwrap();
    let policy = r#"
        name = "cli"
        otherwise = "deny"
        [[rule]]
        effect = "allow"
        kinds = [1]
        limits = { uses = 1 }
        [[rule]]
        effect = "ask"
        kinds = [7]
    "#;
    world.keep.policies().put(policy, false).unwrap();
    let after = begin().unwrap();
    assert_eq!((before.session.asks.as_str(), after.session.asks.as_str()), ("client", "vault"));
    for made in [&before, &after] {
        let agent = Agent::new(world.keep.for_session(&made.token).unwrap());
        assert_eq!(code(agent.sign_event(note(0), Some(true))), ErrorCode::RefusedByPolicy);
        assert_eq!(code(agent.sign_event(note(7), Some(true))), ErrorCode::ApprovalUnavailable);
        assert_eq!(code(agent.sign_event(note(1), Some(true))), ErrorCode::ApprovalUnavailable);
        assert_eq!(agent.check("sign_event", Some(0)).unwrap().effect, "deny");
        // It is about events and messages, and about nothing else.
        assert!(agent.public_key().is_ok());
    }
    // What the owner used up is used up for them as well.
    let key = world.keep.keys().list().unwrap().remove(0);
    world.keep.sign().event(&key, note(1)).unwrap();
    let agent = Agent::new(world.keep.for_session(&after.token).unwrap());
    assert_eq!(code(agent.sign_event(note(1), Some(true))), ErrorCode::RefusedByPolicy);
    // Sessions that the owner made are what the owner said.
    let (granted, _) = world.session("bot", nostr(), Asks::Client);
    assert!(granted.sign_event(note(1), None).unwrap().event.is_some());
    // Without the policy everything is as it was.
    world.keep.policies().remove("cli").unwrap();
    let agent = Agent::new(world.keep.for_session(&before.token).unwrap());
    assert!(agent.sign_event(note(0), Some(true)).unwrap().event.is_some());
}

#[test]
fn what_exceeds_is_asked_where_the_scope_says_so() {
    let world = world();
    let scope = SessionScope { kinds: Some(vec![1]), exceeding: Exceeding::Ask, ..nostr() };
    let (agent, _) = world.session("bot", scope, Asks::Client);
    assert!(agent.sign_event(note(0), None).unwrap().question.is_some());
    assert!(agent.sign_event(note(0), Some(true)).unwrap().event.is_some());
    // It was the program that said yes, and the log does not take it for the owner.
    let last = world.keep.audit().list(1).unwrap().remove(0);
    assert_eq!((last.outcome.as_str(), last.by.as_slice()), ("approved", ["client".into()].as_slice()));
    let check = |operation: &str, kind| agent.check(operation, kind).unwrap();
    assert!(check("sign_nostr_event", Some(1)).allowed && check("sign_event", None).allowed);
    assert_eq!(check("sign_event", Some(0)).effect, "ask");
    assert_eq!(check("nip04_decrypt", None).effect, "ask");
    assert_eq!(code(agent.check("export", None)), ErrorCode::Usage);
    let (agent, _) = world.session("other", nostr(), Asks::Client);
    assert_eq!(agent.check("sign_event", Some(0)).unwrap().code.as_deref(), Some("refused_by_policy"));
}

#[test]
fn calls_that_are_smuggled_are_refused() {
    let world = world();
    let (_, token) = world.session("bot", SessionScope { kinds: Some(vec![1]), ..nostr() }, Asks::Vault);
    let keep = world.keep.for_session(&token).unwrap();
    let ask = |name: &str, parameters: &str| keep.call_by_name(name, parameters).map(|_| ());
    let event =
        |fields: &str| format!(r#"{{"template":{{{fields},"content":"","tags":[],"created_at":1}}}}"#);
    assert!(ask("agent.sign_event", &event(r#""kind":1"#)).is_ok());
    for fields in [
        r#""kind":1,"kind":0"#,
        r#""kind":0,"kind":1"#,
        r#""kind":1.0"#,
        r#""kind":"1""#,
        r#""kind":65537"#,
        r#""kind":-1"#,
        r#""kind":1,"pubkey":"0000000000000000000000000000000000000000000000000000000000000000""#,
    ] {
        let fault = ask("agent.sign_event", &event(fields)).unwrap_err();
        assert!(matches!(fault.code(), ErrorCode::Usage | ErrorCode::InvalidEvent), "{fields}: {fault}");
    }
    // An event inside an event's content is content.
    let nested = r#"{"template":{"kind":0,"content":"{\"kind\":1}","tags":[],"created_at":1}}"#;
    assert_eq!(ask("agent.sign_event", nested).unwrap_err().code(), ErrorCode::RefusedByPolicy);
    for name in ["keys.export_nsec", "keys.list", "agent.create", "sign.event", "no.such"] {
        let fault = ask(name, "{}").unwrap_err();
        assert!(matches!(fault.code(), ErrorCode::RefusedByPolicy | ErrorCode::Usage), "{name}: {fault}");
    }
}

#[test]
fn large_contents_are_signed_or_refused_like_others() {
    let world = world();
    let (agent, _) = world.session("bot", SessionScope { kinds: Some(vec![1]), ..nostr() }, Asks::Vault);
    let large = |kind| EventTemplate::new(kind, "x".repeat(1 << 20), vec![], START);
    assert!(agent.sign_event(large(1), None).is_ok());
    assert_eq!(code(agent.sign_event(large(0), None)), ErrorCode::RefusedByPolicy);
}

#[test]
fn names_of_sessions_are_unique_and_keys_must_exist() {
    let world = world();
    world.session("bot", nostr(), Asks::Vault);
    let create = |name: &str, key: Option<&str>| world.keep.agents().create(name, key, nostr(), Asks::Vault);
    assert_eq!(code(create("bot", None)), ErrorCode::AlreadyExists);
    assert_eq!(code(create("other", Some("nobody"))), ErrorCode::NotFound);
    assert_eq!(code(create("", None)), ErrorCode::InvalidInput);
    assert_eq!(code(world.keep.agents().revoke("nobody")), ErrorCode::NotFound);
}

#[test]
fn sessions_are_not_made_without_end() {
    let world = world();
    let mut scope = nostr();
    scope.rates.uses = Some(2);
    let (_, token) = world.session("bounded", scope, Asks::Vault);
    let keep = world.keep.for_session(&token).unwrap();
    let begin = |keep: &Keep| keep.agents().begin(None, nostr(), Asks::Client);
    let first = begin(&keep).unwrap();
    begin(&keep).unwrap();
    assert_eq!(code(begin(&keep)), ErrorCode::RefusedByPolicy, "each of them was a use");

    let (_, token) = world.session("free", nostr(), Asks::Vault);
    let keep = world.keep.for_session(&token).unwrap();
    let deeper = world.keep.for_session(&begin(&keep).unwrap().token).unwrap();
    for _ in 1..100 {
        begin(&deeper).unwrap();
    }
    assert_eq!(code(begin(&deeper)), ErrorCode::RateLimited, "those of those count too");
    assert_eq!(code(begin(&keep)), ErrorCode::RateLimited);
    // The owner, and other sessions, are not kept from making theirs.
    world.session("another", nostr(), Asks::Vault);
    drop(first);
}

#[test]
fn a_scope_is_not_as_long_as_somebody_likes() {
    let world = world();
    let scope = SessionScope { kinds: Some(vec![1; 100_000]), ..nostr() };
    assert_eq!(code(world.keep.agents().begin(None, scope, Asks::Client)), ErrorCode::InvalidInput);
}

#[test]
fn looking_at_a_transaction_is_a_use_of_the_account() {
    let world = world();
    let psbt = || "cHNidP8BAAoCAAAAAAAAAAAAAA==".to_owned();
    let look = |agent: &Agent, approved| agent.analyze_psbt(AccountInput::default(), psbt(), approved);
    let mut scope = SessionScope::of(Preset::Bitcoin);
    scope.rates.uses = Some(2);
    let (agent, _) = world.session("bot", scope, Asks::Vault);
    // The first look at an account opens it, which is a use of its own.
    let seen = look(&agent, None);
    assert_ne!(agent.info().unwrap().requests, 0, "{seen:?}");
    while agent.info().unwrap().requests_remaining != Some(0) {
        let _ = look(&agent, None);
    }
    assert_eq!(code(look(&agent, None)), ErrorCode::RefusedByPolicy);

    let (agent, _) = world.session("nostr", nostr(), Asks::Client);
    assert_eq!(code(look(&agent, Some(true))), ErrorCode::RefusedByPolicy);
    let scope = SessionScope { exceeding: Exceeding::Ask, ..nostr() };
    let (agent, _) = world.session("asks", scope, Asks::Client);
    let asked = look(&agent, None).unwrap();
    assert!(asked.analysis.is_none() && asked.question.is_some());
    assert_eq!(code(look(&agent, Some(false))), ErrorCode::RefusedByPerson);
}

#[test]
fn what_is_not_covered_learns_nothing_of_the_wallet() {
    let world = world();
    let own = world.keep.bitcoin().addresses(
        &keep_sdk::bitcoin::WalletSelector::default(),
        keep_sdk::bitcoin::Branch::Receive,
        0,
        1,
    );
    let own = own.unwrap().addresses.remove(0).address;
    let (agent, _) = world.session("bot", nostr(), Asks::Client);
    let sign = |agent: &Agent, address: &str| {
        agent.sign_message(AccountInput::default(), Some(address.to_owned()), "hello".to_owned(), None)
    };
    let of = |fault: keep_sdk::Fault| (fault.code(), fault.message().to_owned());
    let stranger = "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr";
    assert_eq!(of(sign(&agent, &own).unwrap_err()), of(sign(&agent, stranger).unwrap_err()));
    let psbt = || "cHNidP8BAAoCAAAAAAAAAAAAAA==".to_owned();
    assert_eq!(
        code(agent.sign_psbt(AccountInput::default(), psbt(), false, None)),
        ErrorCode::RefusedByPolicy
    );
    let refused = |entry: &&keep_sdk::AuditEntryView| {
        entry.origin.as_str() == "agent:bot" && entry.outcome == "refused"
    };
    assert_eq!(world.keep.audit().list(50).unwrap().iter().filter(refused).count(), 3);
    // Who may sign messages finds out one address with each use.
    let mut scope = SessionScope::of(Preset::Bitcoin);
    scope.rates.uses = Some(2);
    let (agent, _) = world.session("wallet", scope, Asks::Vault);
    assert_eq!(code(sign(&agent, stranger)), ErrorCode::NotFound);
    assert_eq!(agent.info().unwrap().requests, 1);
    let far = AccountInput { account: 7, ..AccountInput::default() };
    assert_eq!(code(agent.bitcoin_address(far, None)), ErrorCode::NotFound);
}

#[test]
fn refusals_are_recorded_so_often_and_not_more() {
    let world = world();
    let (agent, token) = world.session("bot", nostr(), Asks::Vault);
    let keep = world.keep.for_session(&token).unwrap();
    for _ in 0..5 {
        let made = keep.agents().begin(None, nostr(), Asks::Client).unwrap();
        let narrowed = Agent::new(world.keep.for_session(&made.token).unwrap());
        for _ in 0..10 {
            assert_eq!(code(narrowed.sign_event(note(0), None)), ErrorCode::RefusedByPolicy);
        }
    }
    assert_eq!(code(agent.sign_event(note(0), None)), ErrorCode::RefusedByPolicy);
    let log = world.keep.audit().list(200).unwrap();
    let refused = log.iter().filter(|entry| entry.outcome == "refused").count();
    assert_eq!(refused, 20, "one minute, whoever of them asks");
}

#[test]
fn agents_without_a_session_share_a_limit() {
    let world = world();
    let begin = || world.keep.agents().begin(Some("main"), SessionScope::of(Preset::Full), Asks::Client);
    let (one, other) = (begin().unwrap(), begin().unwrap());
    let agent =
        |made: &keep_sdk::agent::MadeSession| Agent::new(world.keep.for_session(&made.token).unwrap());
    let (one, other) = (agent(&one), agent(&other));
    for use_of in 0..299 {
        assert!(one.public_key().is_ok(), "{use_of}");
        assert!(other.public_key().is_ok(), "{use_of}");
    }
    assert_eq!(code(one.public_key()), ErrorCode::RateLimited, "two were made, and 598 times asked");
    assert_eq!(code(other.public_key()), ErrorCode::RateLimited);
    assert_eq!(code(begin()), ErrorCode::RateLimited);
    // What ended gives its room back, and the log says who ended it.
    one.end().unwrap();
    let log = world.keep.audit().list(5).unwrap();
    assert!(log.iter().any(|entry| entry.action == "agent_revoked" && entry.origin.as_str().starts_with("agent:agent/")), "{log:?}");
}

const FRIEND: &str = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
const OTHER: &str = "c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5";

#[test]
fn only_its_recipients_are_written_to_and_named() {
    let world = world();
    let kinds = Some(vec![1, 4, 6, 7, 1059, 1111, 9734]);
    let scope = SessionScope { recipients: Some(vec![FRIEND.to_owned()]), kinds, ..nostr() };
    let (agent, token) = world.session("bot", scope, Asks::Vault);
    assert_eq!(agent.info().unwrap().recipients, Some(vec![FRIEND.to_owned()]));
    let id = "ab".repeat(32);
    let article = |of: &str| format!("30023:{of}:slug");
    let event = |kind: u16, tags: &[&[&str]]| {
        let tags = tags.iter().map(|tag| tag.iter().map(|part| (*part).to_owned()).collect()).collect();
        EventTemplate::new(kind, "hello", tags, START)
    };
    let both = |kind: u16, tag: &dyn Fn(&str) -> Vec<String>| {
        let of = |key: &str| {
            let tag = tag(key);
            event(kind, &[&tag.iter().map(String::as_str).collect::<Vec<_>>()])
        };
        assert!(agent.sign_event(of(FRIEND), None).is_ok(), "{kind} {:?}", tag(FRIEND));
        let refused = code(agent.sign_event(of(OTHER), None));
        assert_eq!(refused, ErrorCode::RefusedByPolicy, "{kind} {:?}", tag(OTHER));
    };
    let words = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>();
    for kind in [1, 4, 6, 7, 1059, 9734] {
        both(kind, &|key| words(&["p", key]));
    }
    both(1111, &|key| words(&["P", key]));
    both(1, &|key| words(&["zap", key, "wss://x", "1"]));
    both(7, &|key| words(&["a", &article(key)]));
    both(1111, &|key| words(&["A", &article(key)]));
    both(1, &|key| words(&["q", &id, "", key]));
    both(1, &|key| words(&["e", &id, "", "reply", key]));
    both(1111, &|key| words(&["E", &id, "", key]));
    // One of them does not make up for another; naming nobody is fine.
    let mixed = event(1, &[&["p", FRIEND], &["p", OTHER]]);
    assert_eq!(code(agent.sign_event(mixed, None)), ErrorCode::RefusedByPolicy);
    assert!(agent.sign_event(event(1, &[&["e", &id, "", "root"], &["t", "x"]]), None).is_ok());
    let (friend, other) = (PublicKey::from_hex(FRIEND).unwrap(), PublicKey::from_hex(OTHER).unwrap());
    let sealed = agent.encrypt(friend, "hi".to_owned().into(), None).unwrap().ciphertext.unwrap();
    assert_eq!(code(agent.encrypt(other, "hi".to_owned().into(), None)), ErrorCode::RefusedByPolicy);
    assert_eq!(code(agent.decrypt(other, sealed, None)), ErrorCode::RefusedByPolicy);

    // Whoever narrows it has the recipients of both.
    let narrower = SessionScope { recipients: Some(vec![OTHER.to_owned()]), ..nostr() };
    let made = world.keep.for_session(&token).unwrap().agents().begin(None, narrower, Asks::Vault).unwrap();
    let narrow = Agent::new(world.keep.for_session(&made.token).unwrap());
    for person in [FRIEND, OTHER] {
        assert_eq!(code(narrow.sign_event(event(1, &[&["p", person]]), None)), ErrorCode::RefusedByPolicy);
    }
    assert!(narrow.sign_event(event(1, &[]), None).is_ok());
}

#[test]
fn notes_go_to_relays_that_the_owner_named() {
    let world = world();
    let urls = |names: &[&str]| -> Vec<RelayUrl> {
        names.iter().map(|name| RelayUrl::parse(&format!("wss://{name}.example")).unwrap()).collect()
    };
    let scope = |relays: &[&str]| SessionScope {
        relays: Some(relays.iter().map(|&r| r.to_owned()).collect()),
        ..nostr()
    };
    let (agent, token) = world.session("bot", scope(&["wss://a.example/", "WSS://B.example"]), Asks::Vault);
    let none = RelayOffer::default();
    assert_eq!(agent.choose_relays(none.clone(), vec![]).unwrap(), urls(&["a", "b"]));
    assert_eq!(agent.choose_relays(none.clone(), urls(&["b"])).unwrap(), urls(&["b"]));
    let given = RelayOffer { given: urls(&["b", "c"]), settings: urls(&["d"]) };
    assert_eq!(agent.choose_relays(given.clone(), vec![]).unwrap(), urls(&["b"]));
    for other in ["a", "c", "d", "x"] {
        assert_eq!(code(agent.choose_relays(given.clone(), urls(&[other]))), ErrorCode::RefusedByPolicy);
    }
    // A use it is none, and the refusals are in the log.
    assert_eq!(agent.info().unwrap().requests, 0);
    let refused = agent.audit(50).unwrap().into_iter().filter(|entry| entry.outcome == "refused").count();
    assert_eq!(refused, 4);

    // Narrowing takes some away, and brings none.
    let make = || world.keep.for_session(&token).unwrap().agents();
    let made = make().begin(None, scope(&["wss://b.example", "wss://x.example"]), Asks::Vault).unwrap();
    assert_eq!(made.session.relays, Some(vec![urls(&["b"])[0].to_string()]));
    let narrow = Agent::new(world.keep.for_session(&made.token).unwrap());
    assert_eq!(narrow.choose_relays(none.clone(), vec![]).unwrap(), urls(&["b"]));
    assert_eq!(code(narrow.choose_relays(none.clone(), urls(&["x"]))), ErrorCode::RefusedByPolicy);
    let made = make().begin(None, nostr(), Asks::Vault).unwrap();
    assert_eq!(made.session.relays.map(|relays| relays.len()), Some(2));

    // Where the session names none, the server's do.
    let (free, _) = world.session("free", nostr(), Asks::Vault);
    assert_eq!(free.choose_relays(given.clone(), vec![]).unwrap(), urls(&["b", "c"]));
    assert_eq!(code(free.choose_relays(none, vec![])), ErrorCode::Usage);
    let wrong = scope(&["http://a.example"]);
    assert!(world.keep.agents().create("wrong", None, wrong, Asks::Vault).is_err());
}
