//! An agent that tries to do more than its session allows, over the socket of the daemon.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};

use keep_bitcoin::bitcoin::absolute::LockTime;
use keep_bitcoin::bitcoin::hashes::Hash;
use keep_bitcoin::bitcoin::psbt::PsbtSighashType;
use keep_bitcoin::bitcoin::transaction::Version;
use keep_bitcoin::bitcoin::{
    Address, Amount, OutPoint, Psbt, ScriptBuf, Sequence, TapSighashType, Transaction, TxIn, TxOut, Txid,
    Witness,
};
use keep_sdk::agent::{Asks, Link, LinkOptions, Preset, SessionScope};
use keep_sdk::bitcoin::{Branch, Network, WalletSelector};
use keep_sdk::daemon::{Daemon, DaemonOptions, Place};
use keep_sdk::{Budget, ErrorCode, Fault, Home, KdfCost, Keep, Name, Options, SecretText, Timestamp};
use keep_testing::clock::FakeClock;
use serde_json::{Value, json};

const START: u64 = 1_800_000_000;

struct World {
    keep: Keep,
    clock: FakeClock,
    _daemon: Daemon,
    _directory: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = FakeClock::at(Timestamp::from_secs(START));
        let cheap = KdfCost::Custom { memory_kib: 64, iterations: 1, lanes: 1 };
        let options = Options::default().allow_weak_kdf().kdf_cost(cheap).clock(clock.clone());
        let home = Home::new(directory.path().join("vault")).unwrap();
        let keep = Keep::create(home, &SecretText::from("passphrase".to_owned()), &options).unwrap();
        keep.keys().generate(Name::new("main").unwrap()).unwrap();
        let daemon = Daemon::start(&keep, DaemonOptions::default()).unwrap();
        Self { keep, clock, _daemon: daemon, _directory: directory }
    }

    fn token(&self, scope: SessionScope) -> SecretText {
        let name = format!("bot-{}", self.keep.agents().list().unwrap().len());
        self.keep.agents().create(&name, None, scope, Asks::Vault).unwrap().token
    }

    fn link(&self, token: &SecretText, scope: Option<SessionScope>) -> Link {
        let token = Some(SecretText::from(token.expose().to_owned()));
        let home = Some(self.keep.home().path().to_owned());
        Link::open(&LinkOptions { scope, token, home, ..LinkOptions::default() }).unwrap()
    }

    fn address(&self, branch: Branch) -> String {
        let wallet = WalletSelector { network: Network::Regtest, ..WalletSelector::default() };
        self.keep.bitcoin().addresses(&wallet, branch, 0, 1).unwrap().addresses.remove(0).address
    }
}

/// A connection of a program that writes its own frames.
struct Raw(UnixStream);

impl Raw {
    fn greet(world: &World, hello: &str) -> (Self, Value) {
        let mut raw = Self(UnixStream::connect(Place::of(world.keep.home()).socket()).unwrap());
        let answer = raw.say(hello);
        (raw, answer)
    }

    fn with(world: &World, token: &SecretText) -> Self {
        let (raw, welcome) = Self::greet(world, &json!({"keep": 1, "token": token.expose()}).to_string());
        assert_eq!(welcome["keep"], 1, "{welcome}");
        raw
    }

    /// Sends a frame; the answer, or nothing when the daemon hangs up.
    fn say(&mut self, frame: &str) -> Value {
        self.0.write_all(&u32::try_from(frame.len()).unwrap().to_be_bytes()).unwrap();
        self.0.write_all(frame.as_bytes()).unwrap();
        let mut length = [0; 4];
        if self.0.read_exact(&mut length).is_err() {
            return Value::Null;
        }
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        self.0.read_exact(&mut answer).unwrap();
        serde_json::from_slice(&answer).unwrap()
    }

    fn code(&mut self, frame: &str) -> String {
        let answer = self.say(frame);
        answer["error"]["code"].as_str().unwrap_or_else(|| panic!("{frame}: {answer}")).to_owned()
    }
}

fn notes() -> SessionScope {
    SessionScope { kinds: Some(vec![1]), ..SessionScope::of(Preset::Nostr) }
}

fn event(fields: &str) -> String {
    format!(r#"{{"call":"agent.sign_event","with":{{"template":{{{fields},"tags":[],"created_at":1}}}}}}"#)
}

fn code(outcome: Result<impl std::fmt::Debug, Fault>) -> ErrorCode {
    outcome.unwrap_err().code()
}

#[test]
fn kinds_cannot_be_smuggled() {
    let world = World::new();
    let mut raw = Raw::with(&world, &world.token(notes()));
    assert!(raw.say(&event(r#""kind":1,"content":"""#))["ok"].is_object());
    for fields in [
        r#""kind":1,"kind":0,"content":"""#,
        r#""kind":0,"kind":1,"content":"""#,
        r#""kind":1,"\u006bind":0,"content":"""#,
        r#""kind":1.0,"content":"""#,
        r#""kind":1e0,"content":"""#,
        r#""kind":"1","content":"""#,
        r#""kind":65537,"content":"""#,
        r#""kind":-1,"content":"""#,
        r#""kind":[1],"content":"""#,
        r#""kind":true,"content":"""#,
        r#""kind":1,"content":"","pubkey":"0000000000000000000000000000000000000000000000000000000000000000""#,
    ] {
        let code = raw.code(&event(fields));
        assert!(code == "usage" || code == "invalid_event", "{fields}: {code}");
    }
    // What is inside the content is content, whatever it looks like.
    for content in [r#"{\"kind\":1}"#, r#"\"},\"kind\":1,\"x\":{\""#, r#"{\"template\":{\"kind\":1}}"#] {
        assert_eq!(raw.code(&event(&format!(r#""kind":0,"content":"{content}""#))), "refused_by_policy");
        let signed = raw.say(&event(&format!(r#""kind":1,"content":"{content}""#)));
        assert_eq!(signed["ok"]["event"]["kind"], 1, "{signed}");
    }
}

#[test]
fn a_megabyte_is_judged_like_a_word() {
    let world = World::new();
    let mut raw = Raw::with(&world, &world.token(notes()));
    let large = "x".repeat(1 << 20);
    assert_eq!(raw.code(&event(&format!(r#""kind":0,"content":"{large}""#))), "refused_by_policy");
    assert!(raw.say(&event(&format!(r#""kind":1,"content":"{large}""#)))["ok"].is_object());
    // A frame that is too long is not read, and its sender hung up on.
    raw.0.write_all(&u32::MAX.to_be_bytes()).unwrap();
    let mut answer = Vec::new();
    raw.0.read_to_end(&mut answer).unwrap();
    assert!(String::from_utf8_lossy(&answer).contains("usage"));
    // Nor does much depth do harm.
    let mut raw = Raw::with(&world, &world.token(notes()));
    let deep = "[".repeat(100_000);
    let _ = raw.say(&format!(r#"{{"call":"agent.sign_event","with":{deep}"#));
    let mut raw = Raw::with(&world, &world.token(notes()));
    assert!(raw.say(&event(r#""kind":1,"content":"still here""#))["ok"].is_object());
}

#[test]
fn calls_cannot_be_smuggled() {
    let world = World::new();
    let token = world.token(SessionScope::of(Preset::Full));
    let mut raw = Raw::with(&world, &token);
    for frame in [
        r#"{"call":"agent.session_info","with":{},"call":"keys.list"}"#,
        r#"{"call":"agent.session_info","with":{},"with":{"limit":1}}"#,
        r#"{"call":["keys.list"],"with":{}}"#,
        r#"{"with":{}}"#,
        "[]",
        "",
    ] {
        assert_eq!(raw.code(frame), "usage", "{frame}");
    }
    for call in ["daemon.lock", "daemon.manage", "daemon.status", "daemon.extend", "keys.list", "agent.list"]
    {
        assert_eq!(raw.code(&format!(r#"{{"call":"{call}","with":{{}}}}"#)), "refused_by_policy", "{call}");
    }
    // Greeting again does not make it the owner.
    assert_eq!(raw.code(r#"{"keep":1}"#), "usage");
    for hello in [
        json!({"keep": 1, "token": "keep-session-".to_owned() + &"0".repeat(64)}).to_string(),
        format!(r#"{{"keep":1,"token":"{0}","token":null}}"#, token.expose()),
        json!({"keep": 1, "token": [token.expose()]}).to_string(),
        json!({"keep": 2, "token": token.expose()}).to_string(),
    ] {
        let (_, answer) = Raw::greet(&world, &hello);
        assert!(answer["error"]["code"].is_string(), "{hello}: {answer}");
    }
    assert!(raw.say(r#"{"call":"agent.session_info","with":{}}"#)["ok"].is_object());
}

#[test]
fn a_clock_that_is_set_back_gives_nothing_back() {
    let world = World::new();
    let mut scope = notes();
    scope.rates.per_minute = Some(2);
    scope.duration_secs = Some(3_600);
    let link = world.link(&world.token(scope), None);
    let sign = || {
        let note = r#"{"template":{"kind":1,"content":"","tags":[],"created_at":1}}"#;
        link.call("agent.sign_event", note).map(drop)
    };
    sign().unwrap();
    sign().unwrap();
    for time in [START - 60, START - 86_400, 0, START] {
        world.clock.set(Timestamp::from_secs(time));
        assert_eq!(code(sign()), ErrorCode::RateLimited, "{time}");
    }
    world.clock.set(Timestamp::from_secs(START + 60));
    sign().unwrap();
    world.clock.set(Timestamp::from_secs(START + 3_600));
    assert_eq!(code(sign()), ErrorCode::RefusedByPolicy);
    // It was over once, and so it stays.
    world.clock.set(Timestamp::from_secs(START + 60));
    assert_eq!(code(sign()), ErrorCode::RefusedByPolicy);
}

#[test]
fn many_who_share_a_session_stay_within_it() {
    let world = World::new();
    let mut scope = notes();
    scope.rates.uses = Some(25);
    let token = world.token(scope);
    // Narrowing is a use of it, too: three of the links below.
    let links: Vec<Link> = (0..6)
        .map(|number| world.link(&token, (number % 2 == 0).then(|| SessionScope::of(Preset::Full))))
        .collect();
    let signed = AtomicUsize::new(0);
    std::thread::scope(|threads| {
        for link in &links {
            let signed = &signed;
            threads.spawn(move || {
                let note = r#"{"template":{"kind":1,"content":"","tags":[],"created_at":1}}"#;
                let done = (0..10).filter(|_| link.call("agent.sign_event", note).is_ok()).count();
                signed.fetch_add(done, Ordering::Relaxed);
            });
        }
    });
    assert_eq!(signed.into_inner(), 22);
}

/// Pays `sats` to somebody out of a coin of 100,000; what is left, but for a fee of 500, goes to `rest`.
fn payment(from: &str, sats: u64, rest: &str, coin: &str) -> Psbt {
    let script =
        |address: &str| -> ScriptBuf { Address::from_str(address).unwrap().assume_checked().script_pubkey() };
    let output = |sats, script_pubkey| TxOut { value: Amount::from_sat(sats), script_pubkey };
    let stranger = script(STRANGER);
    let mut psbt = Psbt::from_unsigned_tx(Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint { txid: Txid::hash(coin.as_bytes()), vout: 0 },
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        }],
        output: vec![output(sats, stranger), output(100_000 - sats - 500, script(rest))],
    })
    .unwrap();
    psbt.inputs[0].witness_utxo = Some(output(100_000, script(from)));
    psbt
}

const STRANGER: &str = "bcrt1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqc8gma6";

/// The PSBT in hexadecimal, which is read as base64 is.
fn hex(psbt: &Psbt) -> String {
    psbt.serialize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn pay(link: &Link, psbt: &Psbt) -> Result<Value, Fault> {
    let asked = json!({"account": {"network": "regtest"}, "psbt": hex(psbt)}).to_string();
    Ok(serde_json::from_slice(&link.call("agent.sign_psbt", &asked)?).unwrap())
}

fn till() -> SessionScope {
    let mut scope = SessionScope::of(Preset::Bitcoin);
    scope.spend.per_transaction_sats = Some(6_000);
    scope.spend.budgets = vec![Budget { sats: 15_000, window_secs: 86_400 }];
    scope
}

#[test]
fn amounts_do_not_pass_as_change() {
    let world = World::new();
    let link = world.link(&world.token(till()), None);
    let (coin, change) = (world.address(Branch::Receive), world.address(Branch::Change));
    // Everything but a little goes to a stranger, who calls it change.
    let plain = payment(&coin, 1_000, STRANGER, "a");
    assert_eq!(code(pay(&link, &plain)), ErrorCode::RefusedByPolicy);
    let mut marked = plain;
    let own = payment(&coin, 1_000, &change, "a");
    let asked = json!({"account": {"network": "regtest"}, "psbt": hex(&own)}).to_string();
    let seen: Value = serde_json::from_slice(&link.call("agent.analyze_psbt", &asked).unwrap()).unwrap();
    assert_eq!(seen["analysis"]["facts"]["leaving_sats"], 1_500, "{seen}");
    let key = keep_bitcoin::bitcoin::XOnlyPublicKey::from_str(&world.keep.keys().find(None).unwrap().pubkey)
        .unwrap();
    marked.outputs[1].tap_internal_key = Some(key);
    let origin = (keep_bitcoin::bitcoin::bip32::Fingerprint::default(), "m/86'/1'/0'/1/0".parse().unwrap());
    marked.outputs[1].tap_key_origins.insert(key, (Vec::new(), origin));
    assert_eq!(code(pay(&link, &marked)), ErrorCode::RefusedByPolicy);
    // A signature that leaves the outputs open is none within a limit.
    for open in
        [TapSighashType::None, TapSighashType::NonePlusAnyoneCanPay, TapSighashType::SinglePlusAnyoneCanPay]
    {
        let mut psbt = payment(&coin, 1_000, &change, "a");
        psbt.inputs[0].sighash_type = Some(PsbtSighashType::from(open));
        let refused = code(pay(&link, &psbt));
        assert!(
            matches!(refused, ErrorCode::RefusedByPolicy | ErrorCode::InvalidInput),
            "{open}: {refused:?}"
        );
    }
    // A coin that is not what it says.
    let mut lying = payment(&coin, 1_000, &change, "a");
    lying.inputs[0].witness_utxo = None;
    assert!(pay(&link, &lying).is_err());
    assert_eq!(pay(&link, &own).unwrap()["signed"]["leaving_sats"], 1_500);
}

#[test]
fn a_budget_holds_for_many_at_once() {
    let world = World::new();
    let token = world.token(till());
    let (coin, change) = (world.address(Branch::Receive), world.address(Branch::Change));
    let links: Vec<Link> = (0..4).map(|_| world.link(&token, None)).collect();
    let paid = AtomicUsize::new(0);
    std::thread::scope(|threads| {
        for (number, link) in links.iter().enumerate() {
            let (coin, change, paid) = (&coin, &change, &paid);
            threads.spawn(move || {
                for round in 0..3 {
                    let psbt = payment(coin, 4_000, change, &format!("{number} {round}"));
                    match pay(link, &psbt) {
                        Ok(_) => drop(paid.fetch_add(1, Ordering::Relaxed)),
                        Err(fault) => assert_eq!(fault.code(), ErrorCode::RefusedByPolicy, "{fault}"),
                    }
                }
            });
        }
    });
    // Three times 4,500 are within 15,000, four are not.
    assert_eq!(paid.into_inner(), 3);
    assert_eq!(code(pay(&links[0], &payment(&coin, 6_000, &change, "z"))), ErrorCode::RefusedByPolicy);
    // Neither a restart of the agent nor the next hour gives more; the next day does.
    world.clock.set(Timestamp::from_secs(START + 3_600));
    let again = world.link(&token, None);
    assert_eq!(code(pay(&again, &payment(&coin, 4_000, &change, "y"))), ErrorCode::RefusedByPolicy);
    // A clock that is more than a day ahead of the time that passed would not be believed.
    world.clock.set(Timestamp::from_secs(START + 86_400));
    pay(&again, &payment(&coin, 4_000, &change, "y")).unwrap();
}

#[test]
fn confirming_binds_what_agents_made_before_it() {
    let World { keep, clock, _daemon: daemon, _directory: directory } = World::new();
    let made = keep.agents().begin(Some("main"), SessionScope::of(Preset::Full), Asks::Client).unwrap();
    let granted =
        keep.agents().create("granted", None, SessionScope::of(Preset::Full), Asks::Client).unwrap();
    drop(daemon.stop());
    let daemon = Daemon::start(&keep, DaemonOptions { confirm: true, ..DaemonOptions::default() }).unwrap();
    let world = World { keep, clock, _daemon: daemon, _directory: directory };
    let signs = |token: &SecretText| {
        let asked = r#"{"call":"agent.sign_event","with":{"template":{"kind":0,"content":"","tags":[],"created_at":1},"approved":true}}"#;
        Raw::with(&world, token).say(asked)
    };
    // Its own yes counts for nothing where a person confirms; that person is asked, and is not there.
    assert!(signs(&granted.token)["ok"]["event"].is_object(), "the owner granted this one so");
    let (told, hears) = std::sync::mpsc::channel();
    std::thread::scope(|threads| {
        threads.spawn(|| told.send(signs(&made.token)));
        let waiting = || world.keep.inbox().pending().unwrap();
        while waiting().is_empty() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        world.keep.inbox().decide(&waiting()[0].id, false, None).unwrap();
        assert_eq!(hears.recv().unwrap()["error"]["code"], "refused_by_person");
    });
}
