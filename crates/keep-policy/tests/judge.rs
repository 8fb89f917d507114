//! What each built-in policy says to each request, and how limits end a grant.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

use keep_policy::{
    Basis, Builtin, Effect, Grant, Limits, Policy, Reason, Rule, Standing, Usage, Verdict, judge,
};
use keep_types::{
    EndpointId, EventTemplate, Intent, JobId, KeyId, Operation, Origin, PublicKey, Record, Request,
    RequestId, Scheme, SecretText, Timestamp,
};

const APPROVED: Basis = Basis::Approved { persons: 1 };
const RELAYS: &[&str] = &["wss://relay.example.com"];

fn client() -> PublicKey {
    PublicKey::from_hex("79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798").unwrap()
}

fn grant(policy: Policy, limits: Limits) -> Grant {
    let (endpoint, key) = (EndpointId::from_bytes([1; 16]), KeyId::from_bytes([2; 16]));
    let grant = Grant::new(&client(), endpoint, key, policy, limits, Timestamp::ZERO);
    Grant { claims: Some("app\u{202e}".into()), ..grant }
}

fn request(intent: Intent) -> Request {
    Request {
        id: RequestId::from_bytes([3; 32]),
        origin: Origin::Nip46 { client: client(), endpoint: EndpointId::from_bytes([1; 16]) },
        key: KeyId::from_bytes([2; 16]),
        intent,
        asked_at: Timestamp::from_secs(100),
    }
}

fn sign(kind: u16, tags: Vec<Vec<String>>) -> Intent {
    Intent::SignEvent(EventTemplate::new(kind, "hello", tags, 1).into_unsigned(client()).unwrap())
}

fn decrypt() -> Intent {
    Intent::Decrypt { scheme: Scheme::Nip44, peer: client(), ciphertext: String::new() }
}

fn encrypt() -> Intent {
    Intent::Encrypt { scheme: Scheme::Nip04, peer: client(), plaintext: SecretText::from("x".to_owned()) }
}

fn run(grant: &Grant, usage: &mut Usage, intent: Intent, basis: Basis, now: u64) -> Verdict {
    let relays: Vec<String> = RELAYS.iter().map(|r| (*r).to_owned()).collect();
    let standing = Standing::Client { grant, followed: None, usage, relays: &relays, identity: &client() };
    judge(request(intent), JobId::fresh(), standing, basis, Timestamp::from_secs(now))
}

fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Allow(_) => "allow",
        Verdict::Ask(_) => "ask",
        Verdict::Deny(_) => "deny",
    }
}

fn says(builtin: Builtin, intent: Intent) -> &'static str {
    word(&run(&grant(builtin.policy(), Limits::default()), &mut Usage::default(), intent, Basis::Fresh, 100))
}

fn relay_tag(url: &str) -> Vec<Vec<String>> {
    vec![vec!["relay".into(), url.into()], vec!["challenge".into(), "x".into()]]
}

#[test]
fn the_built_in_policies_say_what_the_manual_says() {
    use Builtin::{Full, ReadOnly, Social};
    for kind in [1, 6, 7, 16, 1111, 9734, 30023] {
        assert_eq!(says(Social, sign(kind, vec![])), "allow", "kind {kind}");
        assert_eq!(says(ReadOnly, sign(kind, vec![])), "ask", "kind {kind}");
    }
    for kind in [0, 3, 10002, 4, 5, 13194, 27235] {
        assert_eq!(says(Social, sign(kind, vec![])), "ask", "kind {kind}");
        assert_eq!(says(Full, sign(kind, vec![])), "allow", "kind {kind}");
    }
    assert_eq!(says(Social, encrypt()), "allow");
    assert_eq!(says(Social, decrypt()), "ask");
    assert_eq!(says(Full, decrypt()), "allow");
    assert_eq!(says(ReadOnly, Intent::GetPublicKey), "allow");
    for builtin in Builtin::ALL {
        assert_eq!(says(builtin, Intent::Export), "deny");
    }
}

#[test]
fn authentication_is_signed_only_for_our_own_relays() {
    assert_eq!(says(Builtin::Social, sign(22242, relay_tag("wss://RELAY.example.com/"))), "allow");
    assert_eq!(says(Builtin::Social, sign(22242, relay_tag("wss://elsewhere.example.com"))), "ask");
    assert_eq!(says(Builtin::Social, sign(22242, vec![])), "ask");
    let mut both = relay_tag("wss://relay.example.com");
    both.extend(relay_tag("wss://elsewhere.example.com"));
    assert_eq!(says(Builtin::Social, sign(22242, both)), "ask");
}

#[test]
fn owners_may_and_strangers_may_not() {
    let own = Request { origin: Origin::Cli, ..request(Intent::Export) };
    let verdict = judge(own, JobId::fresh(), Standing::Owner, Basis::Fresh, Timestamp::from_secs(1));
    assert_eq!(word(&verdict), "allow");
    let verdict = judge(
        request(sign(1, vec![])),
        JobId::fresh(),
        Standing::Stranger,
        APPROVED,
        Timestamp::from_secs(1),
    );
    let Verdict::Deny(denied) = verdict else { panic!("a stranger was let in") };
    assert_eq!(denied.reason, Reason::NotConnected);
}

#[test]
fn standing_and_origin_must_belong_together() {
    let now = Timestamp::from_secs(1);
    let verdict = judge(request(Intent::Export), JobId::fresh(), Standing::Owner, Basis::Fresh, now);
    assert_eq!(word(&verdict), "deny", "a client is not the owner");
    let mut other = grant(Builtin::Full.policy(), Limits::default());
    other.endpoint = EndpointId::from_bytes([7; 16]);
    let standing = Standing::Client {
        grant: &other,
        followed: None,
        usage: &mut Usage::default(),
        relays: &[],
        identity: &client(),
    };
    assert_eq!(
        word(&judge(request(sign(1, vec![])), JobId::fresh(), standing, Basis::Recorded, now)),
        "deny"
    );
}

#[test]
fn a_grant_for_one_key_is_none_for_another() {
    let grant = grant(Builtin::Full.policy(), Limits::default());
    let mut other = request(sign(1, vec![]));
    other.key = KeyId::from_bytes([9; 16]);
    let standing = Standing::Client {
        grant: &grant,
        followed: None,
        usage: &mut Usage::default(),
        relays: &[],
        identity: &client(),
    };
    assert_eq!(word(&judge(other, JobId::fresh(), standing, Basis::Recorded, Timestamp::ZERO)), "deny");
}

#[test]
fn limits_hold_on_every_basis_but_the_recorded() {
    let limits = Limits {
        uses: Some(2),
        per_minute: Some(1),
        expires: Some(Timestamp::from_secs(1_000)),
        ..Limits::default()
    };
    let grant = grant(Builtin::Full.policy(), limits);
    let mut usage = Usage::default();
    let mut at = |now, basis| word(&run(&grant, &mut usage, sign(1, vec![]), basis, now));
    assert_eq!(at(60, Basis::Fresh), "allow");
    assert_eq!(at(119, APPROVED), "deny", "a second in the same minute");
    assert_eq!(at(120, APPROVED), "allow");
    assert_eq!(at(240, Basis::Fresh), "deny", "both uses are spent");
    assert_eq!(at(240, Basis::Recorded), "allow", "was counted before");
    assert_eq!(usage.total, 2);
    let mut fresh = Usage::default();
    assert_eq!(word(&run(&grant, &mut fresh, sign(1, vec![]), Basis::Fresh, 1_000)), "deny", "expired");
    assert_eq!(fresh.total, 0, "a refusal is not counted");
}

#[test]
fn approval_does_not_override_a_denying_rule() {
    let policy =
        Policy { name: "no".into(), rules: vec![Rule::sign(Effect::Deny, &[1])], ..Policy::default() };
    let grant = grant(policy, Limits::default());
    assert_eq!(word(&run(&grant, &mut Usage::default(), sign(1, vec![]), APPROVED, 1)), "deny");
    assert_eq!(word(&run(&grant, &mut Usage::default(), sign(2, vec![]), APPROVED, 1)), "allow");
}

#[test]
fn prompts_show_claims_neutralised() {
    let verdict = run(
        &grant(Builtin::ReadOnly.policy(), Limits::default()),
        &mut Usage::default(),
        sign(1, vec![]),
        Basis::Fresh,
        1,
    );
    let Verdict::Ask(question) = verdict else { panic!("must ask") };
    assert_eq!(question.prompt.claims.as_str(), "app\\u{202e}");
    assert_eq!(question.prompt.content.as_str(), "hello");
    assert_eq!(question.prompt.operation, Operation::SignEvent);
}

#[test]
fn grants_and_counters_survive_storage() {
    for builtin in Builtin::ALL {
        let grant = grant(builtin.policy(), Limits { uses: Some(1), ..Limits::default() });
        assert_eq!(Grant::from_cbor(&grant.to_cbor().unwrap()).unwrap(), grant);
    }
    let mut usage = Usage::default();
    usage.count(Timestamp::from_secs(61));
    assert_eq!(Usage::from_cbor(&usage.to_cbor().unwrap()).unwrap(), usage);
}
