//! Every condition of a rule, every bound of a client, and the written form of policies.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

use keep_policy::{
    Approval, Basis, Breadth, Builtin, Effect, Facts, Grant, Limits, Policy, PolicyDocument, Reason,
    Remember, Rule, Source, Standing, Usage, Verdict, explain, judge, unreachable_rules,
};
use keep_types::{
    EndpointId, EventTemplate, Intent, JobId, KeyId, Origin, PublicKey, Record, Request, RequestId, Scheme,
    SecretText, Timestamp,
};
use proptest::prelude::*;

/// Wednesday, 2026-11-18, 10:00 in universal time.
const NOW: u64 = 1_794_996_000;

fn key(byte: u8) -> PublicKey {
    PublicKey::from_byte_array([byte; 32])
}

fn me() -> PublicKey {
    key(7)
}

fn policy(text: &str) -> Policy {
    PolicyDocument::from_toml(&format!("name = \"p\"\n{text}")).unwrap().policy().unwrap()
}

fn sign(kind: u16, content: &str, tags: &[&[&str]]) -> Intent {
    let tags = tags.iter().map(|tag| tag.iter().map(|part| (*part).to_owned()).collect()).collect();
    Intent::SignEvent(EventTemplate::new(kind, content, tags, NOW).into_unsigned(me()).unwrap())
}

fn encrypt(peer: PublicKey, text: &str) -> Intent {
    Intent::Encrypt { scheme: Scheme::Nip44, peer, plaintext: SecretText::from(text.to_owned()) }
}

fn decrypt(peer: PublicKey) -> Intent {
    Intent::Decrypt { scheme: Scheme::Nip44, peer, ciphertext: String::new() }
}

fn at(policy: &Policy, intent: &Intent, now: u64) -> &'static str {
    let relays = vec!["wss://own.example".to_owned()];
    policy.decide(&Facts::of(intent, &me(), &relays, Timestamp::from_secs(now))).effect.as_str()
}

fn says(policy: &Policy, intent: Intent) -> &'static str {
    at(policy, &intent, NOW)
}

fn grant(policy: Policy) -> Grant {
    let (endpoint, key) = (EndpointId::from_bytes([1; 16]), KeyId::from_bytes([2; 16]));
    Grant::new(&me(), endpoint, key, policy, Limits::default(), Timestamp::from_secs(NOW))
}

fn request(intent: Intent) -> Request {
    Request {
        id: RequestId::from_bytes([3; 32]),
        origin: Origin::Nip46 { client: me(), endpoint: EndpointId::from_bytes([1; 16]) },
        key: KeyId::from_bytes([2; 16]),
        intent,
        asked_at: Timestamp::from_secs(NOW),
    }
}

fn judged(
    grant: &Grant,
    followed: Option<&Policy>,
    usage: &mut Usage,
    intent: Intent,
    basis: Basis,
    now: u64,
) -> Verdict {
    let standing = Standing::Client { grant, followed, usage, relays: &[], identity: &me() };
    judge(request(intent), JobId::fresh(), standing, basis, Timestamp::from_secs(now))
}

fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Allow(_) => "allow",
        Verdict::Ask(_) => "ask",
        Verdict::Deny(_) => "deny",
    }
}

#[test]
fn kinds_and_ranges() {
    let p = policy("otherwise = \"deny\"\n[[rule]]\neffect = \"allow\"\nkinds = [1, \"30000-30005\"]");
    for (kind, expected) in
        [(1, "allow"), (2, "deny"), (29999, "deny"), (30000, "allow"), (30005, "allow"), (30006, "deny")]
    {
        assert_eq!(says(&p, sign(kind, "", &[])), expected, "{kind}");
    }
    assert_eq!(says(&p, Intent::GetPublicKey), "deny");
}

#[test]
fn tags() {
    let p = policy(
        "otherwise = \"deny\"\n[[rule]]\neffect = \"allow\"\nkinds = [1]\n\
         tags = { require = { t = [\"keep\", \"nostr\"] }, forbid = { e = [], p = [\"bad\"] }, only = [\"t\", \"p\"], most = 3 }",
    );
    for (tags, expected) in [
        (&[&["t", "keep"][..]][..], "allow"),
        (&[&["t", "keep"], &["t", "nostr"]], "allow"),
        (&[&["t", "keep"], &["t", "other"]], "deny"),
        (&[], "deny"),
        (&[&["t"]], "deny"),
        (&[&["t", "keep"], &["e", "x"]], "deny"),
        (&[&["t", "keep"], &["p", "bad"]], "deny"),
        (&[&["t", "keep"], &["p", "good"]], "allow"),
        (&[&["t", "keep"], &["x", "y"]], "deny"),
        (&[&["t", "keep"], &["p", "a"], &["p", "b"], &["p", "c"]], "deny"),
    ] {
        assert_eq!(says(&p, sign(1, "", tags)), expected, "{tags:?}");
    }
}

#[test]
fn content() {
    let p = policy(
        "otherwise = \"deny\"\n[[rule]]\neffect = \"allow\"\nmethods = [\"sign_event\", \"nip44_encrypt\"]\n\
         content = { contains = [\"release\"], excludes = [\"Secret\"], begins = [\"Keep\"], longest = 30 }",
    );
    for (text, expected) in [
        ("keep release 1", "allow"),
        ("KEEP RELEASE", "allow"),
        ("keep version 1", "deny"),
        ("new keep release", "deny"),
        ("keep release SECRET", "deny"),
        ("keep release 1 with much too long words", "deny"),
    ] {
        assert_eq!(says(&p, sign(1, text, &[])), expected, "{text}");
        assert_eq!(says(&p, encrypt(key(1), text)), expected, "{text}");
    }
    assert_eq!(says(&p, decrypt(key(1))), "deny");
}

#[test]
fn people() {
    let friend = key(1).to_hex();
    let p = policy(&format!(
        "otherwise = \"deny\"\n[[rule]]\neffect = \"allow\"\nmethods = [\"nip44_encrypt\", \"nip44_decrypt\"]\npeers = [\"self\", \"{friend}\"]\n\
         [[rule]]\neffect = \"ask\"\nmethods = [\"nip44_encrypt\"]\nnot_peers = [\"{}\"]",
        key(2).to_hex()
    ));
    for (peer, enc, dec) in [
        (key(1), "allow", "allow"),
        (me(), "allow", "allow"),
        (key(2), "deny", "deny"),
        (key(3), "ask", "deny"),
    ] {
        assert_eq!(says(&p, encrypt(peer, "x")), enc);
        assert_eq!(says(&p, decrypt(peer)), dec);
    }
}

#[test]
fn relays_of_nip_42() {
    let p = policy(
        "otherwise = \"deny\"\n[[rule]]\neffect = \"allow\"\nkinds = [22242]\nrelays = [\"own\", \"wss://other.example/chat\"]",
    );
    for (url, expected) in [
        ("wss://own.example/", "allow"),
        ("wss://other.example/chat", "allow"),
        ("wss://other.example", "deny"),
        ("wss://evil.example", "deny"),
    ] {
        assert_eq!(says(&p, sign(22242, "", &[&["relay", url]])), expected, "{url}");
        assert_eq!(says(&p, sign(22242, "", &[&["relay", url], &["relay", "wss://evil.example"]])), "deny");
    }
    assert_eq!(says(&p, sign(22242, "", &[])), "deny");
}

#[test]
fn hosts_of_nip_98() {
    let p = policy(
        "otherwise = \"deny\"\n[[rule]]\neffect = \"allow\"\nkinds = [27235]\nhosts = [\"example.com\", \"*.media.example\"]",
    );
    for (url, expected) in [
        ("https://example.com/upload", "allow"),
        ("https://EXAMPLE.com:443/", "allow"),
        ("https://a.media.example/", "allow"),
        ("https://media.example/", "deny"),
        ("https://example.com.evil.example/", "deny"),
        ("https://example.com@evil.example/", "deny"),
    ] {
        assert_eq!(says(&p, sign(27235, "", &[&["u", url], &["method", "POST"]])), expected, "{url}");
    }
    assert_eq!(
        says(&p, sign(27235, "", &[&["u", "https://example.com"], &["u", "https://evil.example"]])),
        "deny"
    );
    assert_eq!(says(&p, sign(1, "", &[&["u", "https://example.com"]])), "deny");
}

#[test]
fn plaintexts() {
    let p = policy(
        "otherwise = \"deny\"\n[[rule]]\neffect = \"deny\"\nmethods = [\"nip44_encrypt\", \"nip44_decrypt\"]\nplaintext = [\"secret\"]\n\
         [[rule]]\neffect = \"allow\"\nmethods = [\"nip44_encrypt\", \"nip44_decrypt\"]\nplaintext = [\"event\", \"tags\"]\n\
         [[rule]]\neffect = \"ask\"\nmethods = [\"nip44_encrypt\"]",
    );
    assert_eq!(says(&p, encrypt(key(1), "[[\"p\",\"x\"]]")), "allow");
    assert_eq!(says(&p, encrypt(key(1), "hello")), "ask");
    assert_eq!(says(&p, encrypt(key(1), "nsec1xyz")), "deny");
    let decided = p.decide(&Facts::of(&decrypt(key(1)), &me(), &[], Timestamp::from_secs(NOW)));
    assert_eq!(decided.effect, Effect::Allow);
    assert_eq!(decided.releases.to_string(), "event, tags");
    // A person's decision does not release what the policy denies.
    let mut grant = grant(p.clone());
    let all = Remember { breadth: Breadth::Client, until: None };
    grant.remember(all.rule(Effect::Allow, &request(decrypt(key(1)))), Timestamp::from_secs(NOW));
    let decided = grant.decide(&p, &Facts::of(&decrypt(key(1)), &me(), &[], Timestamp::from_secs(NOW)));
    assert_eq!(decided.source, Source::Remembered(1));
    assert!(!decided.releases.contains(keep_policy::PlaintextClass::Secret));
}

#[test]
fn schedules_of_rules_and_of_clients() {
    let office = "schedule = { days = [\"wed\"], hours = \"09:00-12:00\", zone = \"Europe/Prague\" }";
    let p = policy(&format!("otherwise = \"deny\"\n[[rule]]\neffect = \"allow\"\nkinds = [1]\n{office}"));
    assert_eq!(at(&p, &sign(1, "", &[]), NOW), "allow");
    assert_eq!(at(&p, &sign(1, "", &[]), NOW + 3600), "deny", "noon in Prague");
    assert_eq!(at(&p, &sign(1, "", &[]), NOW + 86_400), "deny");
    let p = policy(&format!("[limits]\n{office}\n[[rule]]\neffect = \"allow\"\nmethods = [\"all\"]"));
    let grant = grant(p);
    let run = |now| word(&judged(&grant, None, &mut Usage::default(), sign(1, "", &[]), Basis::Fresh, now));
    assert_eq!(run(NOW), "allow");
    assert_eq!(run(NOW + 3600), "deny");
}

#[test]
fn rates_per_minute_hour_and_day_and_uses_and_lifetime() {
    let p = policy(
        "lifetime = \"10d\"\n[limits]\nuses = 9\nper_minute = 2\nper_hour = 4\nper_day = 6\n[[rule]]\neffect = \"allow\"\nmethods = [\"all\"]",
    );
    let grant = grant(p);
    let mut usage = Usage::default();
    let mut run = |now| word(&judged(&grant, None, &mut usage, sign(1, "", &[]), Basis::Fresh, now));
    assert_eq!([run(NOW), run(NOW + 1), run(NOW + 2)], ["allow", "allow", "deny"], "two a minute");
    assert_eq!([run(NOW + 60), run(NOW + 61), run(NOW + 120)], ["allow", "allow", "deny"], "four an hour");
    assert_eq!([run(NOW + 3600), run(NOW + 3601), run(NOW + 7200)], ["allow", "allow", "deny"], "six a day");
    let day = NOW + 86_400;
    assert_eq!([run(day), run(day + 1), run(day + 60)], ["allow", "allow", "allow"]);
    assert_eq!(run(day + 120), "deny", "nine in all");
    let verdict =
        judged(&grant, None, &mut Usage::default(), sign(1, "", &[]), Basis::Fresh, NOW + 10 * 86_400);
    assert_eq!(word(&verdict), "deny", "its time is over");
}

#[test]
fn two_persons_are_two() {
    let p = policy("[[rule]]\neffect = \"ask\"\nkinds = [0]\napproval = \"two_persons\"");
    let grant = grant(p);
    let run = |basis| judged(&grant, None, &mut Usage::default(), sign(0, "", &[]), basis, NOW);
    let Verdict::Ask(question) = run(Basis::Fresh) else { panic!("must ask") };
    assert_eq!(question.prompt.approval, Approval::TwoPersons);
    assert_eq!(word(&run(Basis::Approved { persons: 1 })), "ask");
    assert_eq!(word(&run(Basis::Approved { persons: 2 })), "allow");
    // What one person allowed for everything this client asks is not the yes of two.
    let mut trusting = grant.clone();
    let all = Remember { breadth: Breadth::Client, until: None };
    trusting.remember(all.rule(Effect::Allow, &request(sign(1, "", &[]))), Timestamp::from_secs(NOW));
    let run = |intent| word(&judged(&trusting, None, &mut Usage::default(), intent, Basis::Fresh, NOW));
    assert_eq!([run(sign(0, "", &[])), run(sign(1, "", &[]))], ["ask", "allow"]);
}

#[test]
fn decisions_are_remembered_for_their_kind_and_time() {
    let mut grant = grant(Builtin::Social.policy());
    let policy = grant.policy.clone();
    let for_kind = Remember { breadth: Breadth::Kind, until: Some(Timestamp::from_secs(NOW + 300)) };
    grant.remember(for_kind.rule(Effect::Allow, &request(sign(0, "", &[]))), Timestamp::from_secs(NOW));
    let decide = |grant: &Grant, intent: &Intent, now| {
        grant.decide(&policy, &Facts::of(intent, &me(), &[], Timestamp::from_secs(now))).effect
    };
    assert_eq!(decide(&grant, &sign(0, "x", &[]), NOW), Effect::Allow);
    assert_eq!(decide(&grant, &sign(0, "x", &[]), NOW + 300), Effect::Ask, "its time is over");
    assert_eq!(decide(&grant, &sign(3, "x", &[]), NOW), Effect::Ask, "another kind");
    let never = Remember { breadth: Breadth::Client, until: None };
    grant.remember(never.rule(Effect::Deny, &request(sign(0, "", &[]))), Timestamp::from_secs(NOW));
    assert_eq!(decide(&grant, &sign(1, "x", &[]), NOW), Effect::Deny, "a refusal is remembered too");
    assert_eq!(grant.remembered.len(), 2);
    // Signing in to one relay is no permission for another one.
    let mut grant = self::grant(Builtin::Social.policy());
    let one = sign(22242, "", &[&["relay", "wss://a.example"]]);
    let always = Remember { breadth: Breadth::Kind, until: None };
    grant.remember(always.rule(Effect::Allow, &request(one)), Timestamp::from_secs(NOW));
    assert_eq!(decide(&grant, &sign(22242, "", &[&["relay", "wss://a.example"]]), NOW), Effect::Allow);
    assert_eq!(decide(&grant, &sign(22242, "", &[&["relay", "wss://b.example"]]), NOW), Effect::Ask);
    assert_eq!(Grant::from_cbor(&grant.to_cbor().unwrap()).unwrap(), grant);
}

#[test]
fn what_a_policy_denies_no_decision_allows() {
    let p =
        policy("[[rule]]\neffect = \"deny\"\nkinds = [5]\n[[rule]]\neffect = \"ask\"\nmethods = [\"all\"]");
    let mut grant = grant(p);
    let all = Remember { breadth: Breadth::Client, until: None };
    grant.remember(all.rule(Effect::Allow, &request(sign(5, "", &[]))), Timestamp::from_secs(NOW));
    let run = |intent, basis| word(&judged(&grant, None, &mut Usage::default(), intent, basis, NOW));
    assert_eq!(run(sign(5, "", &[]), Basis::Approved { persons: 9 }), "deny");
    assert_eq!(run(sign(1, "", &[]), Basis::Fresh), "allow");
}

#[test]
fn a_followed_policy_is_the_one_that_counts() {
    let own = Policy { name: "p".into(), ..Builtin::Full.policy() };
    let grant = Grant { follows: true, ..grant(own) };
    let strict = policy("otherwise = \"deny\"");
    let run = |followed| judged(&grant, followed, &mut Usage::default(), sign(1, "", &[]), Basis::Fresh, NOW);
    assert_eq!(word(&run(Some(&strict))), "deny");
    let full = Builtin::Full.policy();
    assert_eq!(word(&run(Some(&full))), "allow");
    let Verdict::Deny(denied) = run(None) else { panic!("a policy that is gone allows nothing") };
    assert_eq!(denied.reason, Reason::NoPolicy);
    let suspended = Grant { suspended: true, follows: false, ..grant };
    let verdict = judged(&suspended, None, &mut Usage::default(), sign(1, "", &[]), Basis::Recorded, NOW);
    assert_eq!(word(&verdict), "deny");
}

#[test]
fn explanations_name_the_rule_and_what_is_not_known() {
    let p = policy(
        "[[rule]]\neffect = \"allow\"\nkinds = [1]\ntags = { require = { t = [\"x\"] } }\n[[rule]]\neffect = \"deny\"\nkinds = [1]",
    );
    let intent = sign(1, "", &[]);
    let said = explain(&p, None, &Facts::of(&intent, &me(), &[], Timestamp::from_secs(NOW)));
    assert_eq!(said.effect, Effect::Deny);
    assert_eq!(said.because, "rule 2 of policy p denies it");
    assert_eq!(said.rules[0].why.as_deref(), Some("it has no tag \"t\""));
    assert!(said.is_certain());
    let recorded =
        Facts::recorded(keep_types::Operation::SignEvent, Some(1), None, Timestamp::from_secs(NOW));
    let said = explain(&p, None, &recorded);
    assert_eq!(said.rules[0].why.as_deref(), Some("it depends on the event's tags"));
    assert!(!said.is_certain());
}

#[test]
fn rules_that_never_decide_are_found() {
    let p =
        policy("[[rule]]\neffect = \"ask\"\nmethods = [\"all\"]\n[[rule]]\neffect = \"allow\"\nkinds = [1]");
    assert_eq!(unreachable_rules(&p), [2]);
    assert!(unreachable_rules(&Builtin::Social.policy()).is_empty());
}

#[test]
fn built_in_policies_read_as_they_are_written() {
    for builtin in Builtin::ALL {
        let policy = builtin.policy();
        let toml = PolicyDocument::of(&policy).to_toml().unwrap();
        assert_eq!(PolicyDocument::from_toml(&toml).unwrap().policy().unwrap(), policy, "{toml}");
        assert_eq!(minicbor::decode::<Policy>(&minicbor::to_vec(&policy).unwrap()).unwrap(), policy);
    }
}

#[test]
fn texts_that_are_no_policies_say_where() {
    for (text, part) in [
        ("[[rule]]\neffect = \"maybe\"", "maybe"),
        ("[[rule]]\neffect = \"allow\"\nmethods = [\"fly\"]", "rule 1: there is no method \"fly\""),
        ("[[rule]]\neffect = \"allow\"\nmethods = [\"export\"]", "export is never allowed"),
        ("[[rule]]\neffect = \"allow\"\nkinds = [\"5-1\"]", "no range of kinds"),
        ("[[rule]]\neffect = \"allow\"\nkinds = [65536]", ""),
        ("[[rule]]\neffect = \"allow\"\npeers = [\"bob\"]", "no public key"),
        ("[[rule]]\neffect = \"allow\"\nrelays = [\"http://x\"]", "rule 1"),
        ("[[rule]]\neffect = \"allow\"\nhosts = [\"https://x\"]", "no host name"),
        ("[[rule]]\neffect = \"allow\"\nplaintext = [\"poem\"]", "no class of plaintext"),
        ("[[rule]]\neffect = \"allow\"\napproval = \"owner\"", "approval is for rules that ask"),
        ("[[rule]]\neffect = \"allow\"\nshedule = {}", "shedule"),
        ("[limits]\nschedule = { zone = \"Mars\" }", "no time zone"),
        ("lifetime = \"soon\"", "no length of time"),
    ] {
        let text = format!("name = \"p\"\n{text}");
        let error = PolicyDocument::from_toml(&text).and_then(|document| document.policy()).unwrap_err();
        assert!(error.to_string().contains(part), "{text}: {error}");
    }
    assert!(PolicyDocument::from_toml("name = \"A b\"").unwrap().policy().is_err());
}

/// Records of the first format, as they lie in vaults.
#[test]
fn old_records_are_read() {
    let grant = hex_bytes(include_str!("fixtures/grant-v1.hex"));
    let grant = Grant::from_cbor(&grant).unwrap();
    assert_eq!(grant.policy.name, "social");
    assert_eq!(grant.policy.rules.len(), 5);
    assert_eq!(grant.limits.uses, Some(3));
    assert!(!grant.follows && grant.remembered.is_empty() && grant.session.is_none() && !grant.suspended);
    let usage = Usage::from_cbor(&hex_bytes(include_str!("fixtures/usage-v1.hex"))).unwrap();
    assert_eq!((usage.total, usage.in_minute, usage.in_hour, usage.in_day), (1, 1, 0, 0));
}

fn hex_bytes(text: &str) -> Vec<u8> {
    let text = text.trim();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let effect = prop_oneof![Just(Effect::Allow), Just(Effect::Ask), Just(Effect::Deny)];
    let kinds = prop_oneof![
        Just(keep_policy::Kinds::Any),
        prop::collection::vec(0_u16..5, 1..3).prop_map(keep_policy::Kinds::Only),
        (0_u16..5, 0_u16..5).prop_map(|(a, b)| keep_policy::Kinds::Ranges(vec![(a.min(b), a.max(b) + 1)])),
    ];
    (effect, kinds, prop::option::of(0_u64..2 * NOW)).prop_map(|(effect, kinds, until)| Rule {
        kinds,
        until: until.map(Timestamp::from_secs),
        ..Rule::sign(effect, &[])
    })
}

proptest! {
    /// A rule in front that denies everything denies everything, whatever comes after it and whoever approved it.
    #[test]
    fn a_denying_rule_in_front_always_wins(rules in prop::collection::vec(any_rule(), 0..6), kind in 0_u16..6, persons in 0_u8..4) {
        let mut all = vec![Rule::new(Effect::Deny, &keep_types::Operation::for_clients())];
        all.extend(rules.clone());
        let mut grant = grant(Policy { name: "p".into(), rules: all, ..Policy::default() });
        for rule in rules {
            grant.remember(rule, Timestamp::from_secs(NOW));
        }
        let verdict = judged(&grant, None, &mut Usage::default(), sign(kind, "", &[]), Basis::Approved { persons }, NOW);
        prop_assert_eq!(word(&verdict), "deny");
    }

    /// The first rule that fits decides, and the written form says the same.
    #[test]
    fn the_written_form_decides_alike(rules in prop::collection::vec(any_rule(), 0..8), kind in 0_u16..6, now in 0_u64..2 * NOW) {
        let policy = Policy { name: "p".into(), rules, ..Policy::default() };
        let toml = PolicyDocument::of(&policy).to_toml().unwrap();
        let read = PolicyDocument::from_toml(&toml).unwrap().policy().unwrap();
        let stored: Policy = minicbor::decode(&minicbor::to_vec(&policy).unwrap()).unwrap();
        let intent = sign(kind, "", &[]);
        let facts = Facts::of(&intent, &*ME, &[], Timestamp::from_secs(now));
        let decided = policy.decide(&facts);
        prop_assert_eq!(read.decide(&facts), decided);
        prop_assert_eq!(stored.decide(&facts), decided);
        if let Source::Rule(at) = decided.source {
            prop_assert!(policy.rules[..at - 1].iter().all(|rule| rule.fit(&facts) != keep_policy::Fit::Yes));
        }
    }

    /// However the times fall, no window ever has more uses than its rate allows.
    #[test]
    fn no_window_has_more_uses_than_its_rate(steps in prop::collection::vec(0_u64..2000, 1..200)) {
        let limits = Limits { uses: Some(50), per_minute: Some(3), per_hour: Some(7), per_day: Some(20), ..Limits::default() };
        let (mut usage, mut now, mut allowed) = (Usage::default(), NOW, Vec::new());
        for step in steps {
            now += step;
            if usage.check(&limits, Timestamp::from_secs(now)).is_ok() {
                usage.count(Timestamp::from_secs(now));
                allowed.push(now);
            }
        }
        prop_assert!(allowed.len() <= 50);
        for (window, most) in [(60, 3), (3600, 7), (86_400, 20)] {
            for time in &allowed {
                let same = allowed.iter().filter(|other| *other / window == time / window).count();
                prop_assert!(same <= most);
            }
        }
    }
}

static ME: std::sync::LazyLock<PublicKey> = std::sync::LazyLock::new(me);

#[test]
fn a_rule_has_limits_of_its_own() {
    let text = "otherwise = \"deny\"\n[[rule]]\neffect = \"allow\"\nkinds = [1]\nlimits = { per_hour = 2, uses = 3 }\n\
                [[rule]]\neffect = \"allow\"\nkinds = [7]\n";
    let of = policy(text);
    assert_eq!(PolicyDocument::of(&of).policy().unwrap(), of);
    let grant = grant(of);
    let mut usage = Usage::default();
    let mut try_at = |kind, basis, now| judged(&grant, None, &mut usage, sign(kind, "x", &[]), basis, now);
    let fresh = Basis::Fresh;
    assert_eq!(word(&try_at(1, fresh, NOW)), "allow");
    assert_eq!(word(&try_at(1, fresh, NOW)), "allow");
    let Verdict::Deny(denied) = try_at(1, Basis::Approved { persons: 2 }, NOW) else { panic!() };
    assert_eq!(denied.reason.to_string(), "more than 2 requests in one hour, by rule 1 of the policy");
    let fault = keep_types::Fault::from(denied.reason);
    assert_eq!(fault.code(), keep_types::ErrorCode::RateLimited);
    // Another rule is not touched, a repeat counts nothing, and the next hour is another one.
    assert_eq!(word(&try_at(7, fresh, NOW)), "allow");
    assert_eq!(word(&try_at(1, Basis::Recorded, NOW)), "allow");
    assert_eq!(word(&try_at(1, fresh, NOW + 3_600)), "allow");
    let Verdict::Deny(denied) = try_at(1, fresh, NOW + 3_600) else { panic!() };
    assert_eq!(denied.reason.to_string(), "all 3 uses are spent, by rule 1 of the policy");
    assert_eq!((usage.total, usage.rules.len()), (4, 1));
    let stored = usage.to_cbor().unwrap();
    assert_eq!(Usage::from_cbor(&stored).unwrap(), usage);
}

#[test]
fn limits_of_a_rule_follow_it_and_not_its_place() {
    let rule = "[[rule]]\neffect = \"allow\"\nkinds = [1]\nlimits = { uses = 1 }\n";
    let mut grant = grant(policy(rule));
    let mut usage = Usage::default();
    assert_eq!(word(&judged(&grant, None, &mut usage, sign(1, "x", &[]), Basis::Fresh, NOW)), "allow");
    grant.policy = policy(&format!("[[rule]]\neffect = \"deny\"\nkinds = [5]\n{rule}"));
    assert_eq!(word(&judged(&grant, None, &mut usage, sign(1, "x", &[]), Basis::Fresh, NOW)), "deny");
    // What the owner remembered does not lift it.
    let remember = Remember { breadth: Breadth::Client, until: None };
    grant.remember(remember.rule(Effect::Allow, &request(sign(1, "x", &[]))), Timestamp::from_secs(NOW));
    assert_eq!(word(&judged(&grant, None, &mut usage, sign(1, "x", &[]), Basis::Fresh, NOW)), "deny");
    assert!(
        PolicyDocument::from_toml("name = \"p\"\n[[rule]]\neffect = \"deny\"\nlimits = { uses = 1 }")
            .unwrap()
            .policy()
            .is_err()
    );
    assert!(
        PolicyDocument::from_toml("name = \"p\"\n[[rule]]\neffect = \"allow\"\nlimits = { expires = 1 }")
            .is_err()
    );
}

/// A decryption counts for each rule that it may turn out to be about.
#[test]
fn limits_hold_for_decryptions_whose_plaintext_decides() {
    let text = "otherwise = \"deny\"\n[[rule]]\neffect = \"allow\"\nmethods = [\"nip44_decrypt\"]\nplaintext = [\"text\"]\nlimits = { uses = 1 }\n\
                [[rule]]\neffect = \"allow\"\nmethods = [\"nip44_decrypt\"]\nplaintext = [\"json\"]\n";
    let grant = grant(policy(text));
    let mut usage = Usage::default();
    assert_eq!(word(&judged(&grant, None, &mut usage, decrypt(key(1)), Basis::Fresh, NOW)), "allow");
    assert_eq!(word(&judged(&grant, None, &mut usage, decrypt(key(1)), Basis::Fresh, NOW)), "deny");
}

/// The owner's own uses under the policy that the owner set for them.
#[test]
fn the_owner_can_be_under_a_policy_too() {
    let of = policy(
        "otherwise = \"deny\"\n[[rule]]\neffect = \"allow\"\nkinds = [1]\nlimits = { uses = 1 }\n[[rule]]\neffect = \"ask\"\nkinds = [0]\n\
         [[rule]]\neffect = \"ask\"\nkinds = [3]\napproval = \"two_persons\"",
    );
    let mut usage = Usage::default();
    let mut run = |origin, kind, basis| {
        let standing =
            Standing::Ruled { policy: &of, since: Timestamp::ZERO, usage: &mut usage, identity: &me() };
        let request = Request { origin, ..request(sign(kind, "x", &[])) };
        word(&judge(request, JobId::fresh(), standing, basis, Timestamp::from_secs(NOW)))
    };
    let (fresh, approved) = (Basis::Fresh, |persons| Basis::Approved { persons });
    assert_eq!([run(Origin::Cli, 1, fresh), run(Origin::Cli, 1, fresh)], ["allow", "deny"]);
    assert_eq!([run(Origin::Cli, 0, fresh), run(Origin::Cli, 0, approved(1))], ["ask", "allow"]);
    assert_eq!([run(Origin::Cli, 3, approved(1)), run(Origin::Cli, 3, approved(2))], ["ask", "allow"]);
    assert_eq!(run(Origin::Cli, 7, approved(2)), "deny");
    // It is the owner's alone.
    assert_eq!(run(request(sign(1, "x", &[])).origin, 0, approved(2)), "deny");
}

#[test]
fn the_policy_of_the_owner_has_a_lifetime_too() {
    let of = policy("otherwise = \"allow\"\nlifetime = \"1h\"");
    let run = |since, now| {
        let (mut usage, since) = (Usage::default(), Timestamp::from_secs(since));
        let standing = Standing::Ruled { policy: &of, since, usage: &mut usage, identity: &me() };
        let request = Request { origin: Origin::Cli, ..request(sign(1, "x", &[])) };
        word(&judge(request, JobId::fresh(), standing, Basis::Fresh, Timestamp::from_secs(now)))
    };
    assert_eq!([run(NOW, NOW), run(NOW, NOW + 3_599), run(NOW, NOW + 3_600)], ["allow", "allow", "deny"]);
    assert_eq!(run(0, NOW), "deny", "nobody knows since when");
}

/// What is explained is what is judged.
#[test]
fn the_limits_of_rules_are_explained() {
    let of = policy(
        "otherwise = \"deny\"\n[[rule]]\neffect = \"allow\"\nkinds = [1]\nlimits = { uses = 3, per_day = 2 }",
    );
    let (note, at) = (sign(1, "x", &[]), |secs| Timestamp::from_secs(NOW + secs));
    let me = me();
    let facts = |secs| Facts::of(&note, &me, &[], at(secs));
    let mut usage = Usage::default();
    let left = |usage: Option<&Usage>, secs| of.rules_left(&facts(secs), usage)[0].left;
    assert_eq!((left(None, 0), left(Some(&usage), 0)), (None, Some(2)));
    assert_eq!(of.rules_left(&facts(0), None)[0].limits.to_string(), "3 in all, 2 a day");
    usage.count_deciding(&of, &facts(0));
    usage.count_deciding(&of, &facts(0));
    assert_eq!(left(Some(&usage), 0), Some(0));
    assert!(usage.check_deciding(&of, &facts(0)).unwrap_err().to_string().contains("rule 1"));
    // The next day.
    assert_eq!(left(Some(&usage), 86_400), Some(1));
    usage.check_deciding(&of, &facts(86_400)).unwrap();
    let other = sign(7, "+", &[]);
    assert_eq!(of.rules_left(&Facts::of(&other, &me, &[], at(0)), Some(&usage)), []);
}
