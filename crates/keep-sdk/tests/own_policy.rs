//! The owner's policy for the command line: what it says about identity and time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

use keep_sdk::agent::{Asks, Preset, SessionScope};
use keep_sdk::{
    Agent, ErrorCode, EventTemplate, Home, KdfCost, Keep, Name, Options, PublicKey, Question, SecretText,
    Timestamp,
};
use keep_testing::clock::FakeClock;

const START: u64 = 1_800_000_000;
const HOUR: u64 = 3_600;

struct World {
    keep: Keep,
    clock: FakeClock,
    _directory: tempfile::TempDir,
}

impl World {
    fn with(policy: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = FakeClock::at(Timestamp::from_secs(START));
        let cheap = KdfCost::Custom { memory_kib: 64, iterations: 1, lanes: 1 };
        let options = Options::default().allow_weak_kdf().kdf_cost(cheap).clock(clock.clone());
        let home = Home::new(directory.path().join("vault")).unwrap();
        let keep = Keep::create(home, &SecretText::from("correct horse".to_owned()), &options).unwrap();
        keep.keys().generate(Name::new("main").unwrap()).unwrap();
        let world = Self { keep, clock, _directory: directory };
        world.put(policy, false);
        world
    }

    fn put(&self, policy: &str, replace: bool) {
        self.keep.policies().put(&format!("name = \"cli\"\n{policy}"), replace).unwrap();
    }

    fn sign(&self, kind: u16) -> Result<(), ErrorCode> {
        let key = self.keep.keys().list().unwrap().remove(0);
        let event = EventTemplate::new(kind, "hello", vec![], START);
        self.keep.sign().event(&key, event).map(drop).map_err(|fault| fault.code())
    }

    /// A session that a program made for itself.
    fn unnamed(&self) -> Agent {
        let scope = SessionScope::of(Preset::Full);
        let made = self.keep.agents().begin(Some("main"), scope, Asks::Vault).unwrap();
        Agent::new(self.keep.for_session(&made.token).unwrap())
    }

    fn explained(&self, kind: u16) -> keep_sdk::Explained {
        let question = Question {
            policy: Some("cli".to_owned()),
            method: "sign_event".to_owned(),
            kind: Some(kind),
            ..Question::default()
        };
        self.keep.policies().explain(question).unwrap()
    }
}

fn code<T: std::fmt::Debug>(result: Result<T, keep_sdk::Fault>) -> ErrorCode {
    result.unwrap_err().code()
}

#[test]
fn rules_about_oneself_are_known_for_sessions() {
    let world = World::with(
        "otherwise = \"deny\"\n[[rule]]\neffect = \"deny\"\nmethods = [\"nip44_decrypt\"]\nnot_peers = [\"self\"]\n\
         [[rule]]\neffect = \"allow\"\nmethods = [\"nip44_encrypt\", \"nip44_decrypt\"]\npeers = [\"self\"]",
    );
    let agent = world.unnamed();
    let myself = PublicKey::from_hex(&agent.public_key().unwrap().pubkey).unwrap();
    let other = PublicKey::from_byte_array([
        0x79, 0xbe, 0x66, 0x7e, 0xf9, 0xdc, 0xbb, 0xac, 0x55, 0xa0, 0x62, 0x95, 0xce, 0x87, 0x0b, 0x07, 0x02,
        0x9b, 0xfc, 0xdb, 0x2d, 0xce, 0x28, 0xd9, 0x59, 0xf2, 0x81, 0x5b, 0x16, 0xf8, 0x17, 0x98,
    ]);
    let encrypt = |peer| code(agent.encrypt(peer, "draft".to_owned().into(), None));
    // With oneself it comes to the question that every such session has to ask; with others it is denied before.
    assert_eq!(encrypt(myself), ErrorCode::ApprovalUnavailable);
    assert_eq!(encrypt(other), ErrorCode::RefusedByPolicy);
}

#[test]
fn its_lifetime_counts_from_when_it_was_put_there() {
    let text = "otherwise = \"allow\"\nlifetime = \"2h\"";
    let world = World::with(text);
    let agent = world.unnamed();
    let asks = |agent: &Agent| code(agent.sign_event(EventTemplate::new(1, "x", vec![], START), None));
    assert_eq!(world.sign(1), Ok(()));
    assert_eq!(asks(&agent), ErrorCode::ApprovalUnavailable);
    assert_eq!(world.explained(1).limit, None);
    world.clock.set(Timestamp::from_secs(START + 2 * HOUR));
    assert_eq!(world.sign(1), Err(ErrorCode::RefusedByPolicy));
    // A session that begins later does not begin it anew.
    assert_eq!(asks(&agent), ErrorCode::RefusedByPolicy);
    assert_eq!(asks(&world.unnamed()), ErrorCode::RefusedByPolicy);
    assert!(world.explained(1).limit.is_some());
    // The owner does.
    world.put(text, true);
    assert_eq!(world.sign(1), Ok(()));
    assert_eq!(asks(&agent), ErrorCode::ApprovalUnavailable);
}

#[test]
fn what_its_limits_leave_is_explained() {
    let world = World::with(
        "otherwise = \"deny\"\n[[rule]]\neffect = \"allow\"\nkinds = [1]\nlimits = { per_day = 2 }",
    );
    let left = || world.explained(1).left[0].left;
    assert_eq!(left(), Some(2));
    world.sign(1).unwrap();
    assert_eq!((left(), world.explained(1).limit), (Some(1), None));
    world.sign(1).unwrap();
    assert_eq!(left(), Some(0));
    assert!(world.explained(1).limit.unwrap().contains("rule 1"));
    assert_eq!(world.sign(1), Err(ErrorCode::RateLimited));
    // About what it denies, there is no limit to speak of.
    let denied = world.explained(7);
    assert_eq!((denied.limit, denied.left.len()), (None, 0));
}

#[test]
fn most_questions_need_no_key() {
    let world = World::with("otherwise = \"deny\"\n[[rule]]\neffect = \"allow\"\nkinds = [1]");
    world.keep.keys().generate(Name::new("second").unwrap()).unwrap();
    assert_eq!(world.explained(1).explanation.effect.as_str(), "allow");
    let question = |peer: &str| Question {
        policy: Some("cli".to_owned()),
        method: "nip44_encrypt".to_owned(),
        peer: Some(peer.to_owned()),
        ..Question::default()
    };
    let explain = |question| world.keep.policies().explain(question);
    // Whom `self` means depends on it.
    assert_eq!(code(explain(question("self"))), ErrorCode::Usage);
    explain(Question { key: Some("main".to_owned()), ..question("self") }).unwrap();
}
