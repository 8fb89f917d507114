//! Every condition of a rule, on every way to the key, before and after a restart: what a client gets over the relay, what one
//! inside the process gets, and what `explain` says here and through the daemon's socket are the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use keep_sdk::daemon::{Connection, Daemon, DaemonOptions};
use keep_sdk::{
    BunkerOptions, BunkerUri, EmbeddedRelay, EventTemplate, Fault, Headless, Home, KdfCost, Keep, Limits,
    Name, Options, PoolOptions, PublicKey, Question, RelayOptions, RelayPolicy, RelayPool, RemoteSigner,
    Scheme, SecretKey32, SecretText, Serving, TokenTerms, TokenView, Transport,
};

const FRIEND: &str = "3bf0c63fcb93463407af97a5e5ee64fa883d107ef9e558472c4eb9aaaefa459d";
const OTHER: &str = "7e7e9c42a91bfef19fa929e5fda1b72e0ebc1a4c1141673e2794234d86addf4e";

/// What a client asks for.
#[derive(Debug, Clone, Copy)]
enum Wish {
    Sign(u16, &'static str, &'static [&'static [&'static str]]),
    Encrypt(&'static str, &'static str),
    /// What the user encrypted to itself.
    Decrypt(&'static str),
}

/// A rule, what it allows, and what it does not.
struct Case {
    name: &'static str,
    rule: String,
    yes: &'static [Wish],
    no: &'static [Wish],
}

fn cases() -> Vec<Case> {
    use Wish::{Decrypt, Encrypt, Sign};
    let case = |name, rule: &str, yes, no| Case { name, rule: rule.to_owned(), yes, no };
    let mut cases = vec![
        case(
            "kinds",
            "kinds = [1, \"30000-30005\"]",
            &[Sign(1, "", &[]), Sign(30005, "", &[])],
            &[Sign(7, "", &[]), Sign(30006, "", &[]), Encrypt(FRIEND, "x")],
        ),
        case(
            "tags",
            "kinds = [1]\ntags = { require = { t = [\"news\"] }, forbid = { p = [] }, most = 2 }",
            &[Sign(1, "", &[&["t", "news"]])],
            &[
                Sign(1, "", &[]),
                Sign(1, "", &[&["t", "other"]]),
                Sign(1, "", &[&["t", "news"], &["p", FRIEND]]),
                Sign(1, "", &[&["t", "news"], &["x", "1"], &["x", "2"]]),
            ],
        ),
        case(
            "content",
            "kinds = [1]\ncontent = { begins = [\"Keep\"], excludes = [\"secret\"], longest = 20 }",
            &[Sign(1, "keep 1.0", &[])],
            &[Sign(1, "other", &[]), Sign(1, "keep SECRET", &[]), Sign(1, "keep and too many words", &[])],
        ),
        case(
            "content-to-encrypt",
            "methods = [\"nip44_encrypt\"]\ncontent = { contains = [\"hello\"] }",
            &[Encrypt(FRIEND, "say hello")],
            &[Encrypt(FRIEND, "bye"), Sign(1, "hello", &[])],
        ),
        Case {
            name: "recipient",
            rule: format!("methods = [\"nip44_encrypt\"]\npeers = [\"{FRIEND}\"]"),
            yes: &[Encrypt(FRIEND, "x")],
            no: &[Encrypt(OTHER, "x"), Encrypt("self", "x")],
        },
        Case {
            name: "all-but-one",
            rule: format!("methods = [\"nip44_encrypt\"]\nnot_peers = [\"{FRIEND}\"]"),
            yes: &[Encrypt(OTHER, "x")],
            no: &[Encrypt(FRIEND, "x")],
        },
        case(
            "self",
            "methods = [\"nip44_encrypt\"]\npeers = [\"self\"]",
            &[Encrypt("self", "x")],
            &[Encrypt(FRIEND, "x")],
        ),
        case(
            "relay",
            "kinds = [22242]\nrelays = [\"wss://one.example\"]",
            &[Sign(22242, "", &[&["relay", "wss://one.example/"], &["challenge", "c"]])],
            &[
                Sign(22242, "", &[&["relay", "wss://two.example"], &["challenge", "c"]]),
                Sign(22242, "", &[&["challenge", "c"]]),
                Sign(22242, "", &[&["relay", "wss://one.example"], &["relay", "wss://two.example"]]),
            ],
        ),
        case(
            "host",
            "kinds = [27235]\nhosts = [\"*.example.com\"]",
            &[Sign(27235, "", &[&["u", "https://api.example.com/x"], &["method", "GET"]])],
            &[
                Sign(27235, "", &[&["u", "https://example.com.evil.net/"], &["method", "GET"]]),
                Sign(27235, "", &[&["method", "GET"]]),
                Sign(27235, "", &[&["u", "https://a.example.com/"], &["u", "https://evil.net/"]]),
            ],
        ),
        case(
            "plaintext",
            "methods = [\"nip44_encrypt\", \"nip44_decrypt\"]\nplaintext = [\"tags\"]",
            &[Encrypt("self", "[[\"p\",\"ab\"]]"), Decrypt("[[\"p\",\"ab\"]]")],
            &[Encrypt("self", "a letter"), Decrypt("a letter"), Decrypt("{\"a\":1}")],
        ),
    ];
    cases.extend(cases_of_time());
    cases
}

/// Rules that hold at some times only.
fn cases_of_time() -> Vec<Case> {
    use Wish::Sign;
    let (today, other) = days();
    let now = now();
    vec![
        Case {
            name: "schedule-now",
            rule: format!("kinds = [1]\nschedule = {{ days = {today} }}"),
            yes: &[Sign(1, "", &[])],
            no: &[Sign(7, "", &[])],
        },
        Case {
            name: "schedule-then",
            rule: format!("kinds = [1]\nschedule = {{ days = {other} }}"),
            yes: &[],
            no: &[Sign(1, "", &[])],
        },
        Case {
            name: "until-later",
            rule: format!("kinds = [1]\nuntil = {}", now + 3_600),
            yes: &[Sign(1, "", &[])],
            no: &[],
        },
        Case {
            name: "until-before",
            rule: format!("kinds = [1]\nuntil = {}", now - 1),
            yes: &[],
            no: &[Sign(1, "", &[])],
        },
    ]
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Days around today, and days that are not.
fn days() -> (String, String) {
    const NAMES: [&str; 7] = ["thu", "fri", "sat", "sun", "mon", "tue", "wed"];
    let today = usize::try_from(now() / 86_400 % 7).unwrap();
    let day = |ahead: usize| NAMES[(today + ahead) % 7];
    (format!("[\"{}\", \"{}\"]", day(0), day(1)), format!("[\"{}\", \"{}\"]", day(3), day(4)))
}

struct World {
    directory: tempfile::TempDir,
    keep: Keep,
    relay: EmbeddedRelay,
}

fn options() -> Options {
    let cheap = KdfCost::Custom { memory_kib: 64, iterations: 1, lanes: 1 };
    Options::default().allow_weak_kdf().kdf_cost(cheap)
}

fn passphrase() -> SecretText {
    SecretText::from("correct horse".to_owned())
}

impl World {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path().join("vault")).unwrap();
        let keep = Keep::create(home, &passphrase(), &options()).unwrap();
        keep.keys().generate(Name::new("main").unwrap()).unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let relay = EmbeddedRelay::bind(address, RelayOptions::default()).await.unwrap();
        Self { directory, keep, relay }
    }

    fn reopened(self) -> Self {
        drop(self.keep);
        let home = Home::new(self.directory.path().join("vault")).unwrap();
        Self { keep: Keep::open(home, &passphrase(), &options()).unwrap(), ..self }
    }

    /// Serves over websockets, or over the relay's own queue inside the process.
    async fn serve(&self, way: Way) -> Serving {
        let key = self.keep.keys().find(Some("main")).unwrap();
        let bunker = self.keep.bunker(Arc::new(Headless));
        match way {
            Way::Relay => bunker.serve(&key, BunkerOptions::default()).await.unwrap(),
            Way::Library => {
                let local = Arc::new(self.relay.local(keep_sdk::Bunker::inbox_limits()));
                bunker.serve_over(&key, local, BunkerOptions::default()).await.unwrap()
            }
        }
    }

    fn token(&self, policy: &str, limits: Limits) -> TokenView {
        let terms = TokenTerms {
            key: None,
            policy: policy.to_owned(),
            name: Some(policy.to_owned()),
            uses: 1,
            seconds: None,
            relays: vec![self.relay.url().clone()],
            limits,
        };
        self.keep.nip46().create_token(terms).unwrap()
    }

    async fn client(&self, way: Way, token: &TokenView, key: &SecretKey32) -> RemoteSigner {
        let transport: Arc<dyn Transport> = match way {
            Way::Relay => {
                let pool = RelayPool::new(PoolOptions::default()).unwrap();
                pool.add(self.relay.url().clone(), RelayPolicy { allow_private: true });
                Arc::new(pool)
            }
            Way::Library => Arc::new(self.relay.local(keep_sdk::Bunker::inbox_limits())),
        };
        let uri = BunkerUri::parse(&token.bunker_url).unwrap();
        RemoteSigner::connect_as(&uri, transport, "test app", Some(key)).await.unwrap()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Relay,
    Library,
}

fn peer(text: &str, client: &RemoteSigner) -> PublicKey {
    if text == "self" { *client.public_key() } else { PublicKey::from_hex(text).unwrap() }
}

fn tags(tags: &[&[&str]]) -> Vec<Vec<String>> {
    tags.iter().map(|tag| tag.iter().map(|part| (*part).to_owned()).collect()).collect()
}

async fn ask(client: &RemoteSigner, secret: &[u8; 32], wish: Wish) -> Result<(), Fault> {
    match wish {
        Wish::Sign(kind, content, with) => {
            client.sign_event(EventTemplate::new(kind, content, tags(with), now())).await.map(drop)
        }
        Wish::Encrypt(to, text) => {
            let to = peer(to, client);
            client.encrypt(Scheme::Nip44, to, SecretText::from(text.to_owned())).await.map(drop)
        }
        Wish::Decrypt(text) => {
            let own = secp256k1::SecretKey::from_slice(secret).unwrap();
            let me = *client.public_key();
            let shared = keep_cipher::SharedX::derive(&own, &me).unwrap();
            let key = keep_cipher::ConversationKey::from_shared(&shared);
            let sealed = keep_cipher::nip44::encrypt(&key, text, &[7; 32]).unwrap();
            // Between the identity and the other key, which is the same conversation from both sides.
            let other = PublicKey::from_byte_array(own.x_only_public_key(secp256k1::SECP256K1).0.serialize());
            let opened = client.decrypt(Scheme::Nip44, other, sealed).await?;
            assert_eq!(opened.expose(), text);
            Ok(())
        }
    }
}

/// What `explain` says to the same; a decryption is decided only by what it gives, so it is left out.
fn explained(keep: &Keep, policy: &str, wish: Wish) -> Option<bool> {
    let mut question = Question {
        policy: Some(policy.to_owned()),
        client: None,
        key: Some("main".to_owned()),
        method: String::new(),
        kind: None,
        tags: Vec::new(),
        content: None,
        peer: None,
        at: None,
    };
    match wish {
        Wish::Sign(kind, content, with) => {
            question.method = "sign_event".to_owned();
            (question.kind, question.tags) = (Some(kind), tags(with));
            question.content = Some(content.to_owned());
        }
        Wish::Encrypt(to, text) => {
            question.method = "nip44_encrypt".to_owned();
            question.content = Some(text.to_owned());
            let me = keep.keys().find(Some("main")).unwrap().pubkey;
            question.peer = Some(if to == "self" { me } else { to.to_owned() });
        }
        Wish::Decrypt(_) => return None,
    }
    let explained = keep.policies().explain(question).unwrap();
    let said = serde_json::to_value(&explained).unwrap();
    Some(said["explanation"]["effect"] == "allow")
}

/// Every case on one way, with clients of its own.
async fn every_case(world: World, way: Way) -> World {
    let mut world = world;
    let friend = [9; 32];
    let keys: Vec<SecretKey32> = cases().iter().map(|_| RemoteSigner::fresh_key().unwrap()).collect();
    let tokens: Vec<TokenView> =
        cases().iter().map(|case| world.token(case.name, Limits::default())).collect();
    for life in 0..2 {
        let serving = world.serve(way).await;
        for ((case, key), token) in cases().iter().zip(&keys).zip(&tokens) {
            let client = world.client(way, token, key).await;
            for (wishes, expected) in [(case.yes, true), (case.no, false)] {
                for wish in wishes {
                    let got = ask(&client, &friend, *wish).await;
                    let what = format!("{} over {way:?}, life {life}: {wish:?}", case.name);
                    match got {
                        Ok(()) => assert!(expected, "{what} was allowed"),
                        Err(fault) => {
                            assert!(!expected, "{what}: {fault}");
                            let is_refusal = ["refused_by_policy", "does not release", "withheld"];
                            let said = fault.message();
                            assert!(is_refusal.iter().any(|part| said.contains(part)), "{what}: {said}");
                        }
                    }
                    if let Some(explained) = explained(&world.keep, case.name, *wish) {
                        assert_eq!(explained, expected, "{what}: explain says otherwise");
                    }
                }
            }
        }
        serving.stop().await.unwrap();
        if life == 0 {
            world = world.reopened();
        }
    }
    world.keep.audit().verify().unwrap();
    world
}

fn add_policies(keep: &Keep) {
    for case in cases() {
        let text = format!(
            "name = \"{}\"\notherwise = \"deny\"\n[[rule]]\neffect = \"allow\"\nmethods = [\"get_public_key\"]\n[[rule]]\neffect = \"allow\"\n{}",
            case.name, case.rule
        );
        keep.policies().put(&text, false).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_condition_holds_over_the_relay_and_after_a_restart() {
    let world = World::new().await;
    add_policies(&world.keep);
    every_case(world, Way::Relay).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_condition_holds_inside_the_process_and_through_the_daemon() {
    let world = World::new().await;
    add_policies(&world.keep);
    let world = every_case(world, Way::Library).await;
    // The same questions over the daemon's socket.
    let daemon = Daemon::start(&world.keep, DaemonOptions::default()).unwrap();
    let home = Home::new(world.directory.path().join("vault")).unwrap();
    tokio::task::spawn_blocking(move || {
        let keep = Keep::connected(Connection::find(&home, None).unwrap().expect("the daemon is there"));
        for case in cases() {
            for (wishes, expected) in [(case.yes, true), (case.no, false)] {
                for wish in wishes {
                    if let Some(said) = explained(&keep, case.name, *wish) {
                        assert_eq!(said, expected, "{} through the daemon: {wish:?}", case.name);
                    }
                }
            }
        }
    })
    .await
    .unwrap();
    drop(daemon.stop());
}

/// The clock's windows begin anew while a test runs: it waits for a window that is long enough.
async fn a_quiet_window(seconds: u64, room: u64) {
    let left = seconds - now() % seconds;
    if left < room {
        tokio::time::sleep(Duration::from_secs(left + 1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_bound_can_be_raced() {
    let world = World::new().await;
    let serving = world.serve(Way::Relay).await;
    let many = 20;
    for (what, limits) in [
        ("uses", Limits { uses: Some(6), ..Limits::default() }),
        ("minute", Limits { per_minute: Some(6), ..Limits::default() }),
        ("hour", Limits { per_hour: Some(6), ..Limits::default() }),
        ("day", Limits { per_day: Some(6), ..Limits::default() }),
    ] {
        a_quiet_window(60, if what == "minute" { 25 } else { 0 }).await;
        let key = RemoteSigner::fresh_key().unwrap();
        let client = world.client(Way::Relay, &world.token("full", limits), &key).await;
        let all = (0..many).map(|_| ask(&client, &[9; 32], Wish::Sign(1, "x", &[])));
        let answers = futures_util::future::join_all(all).await;
        let signed = answers.iter().filter(|answer| answer.is_ok()).count();
        // Asking for the public key was the first use.
        assert_eq!(signed, 5, "{what}");
        for refused in answers.iter().filter_map(|answer| answer.as_ref().err()) {
            let said = refused.message();
            assert!(
                said.contains("limit") || said.contains("budget") || said.contains("uses"),
                "{what}: {said}"
            );
        }
    }
    // An expiry in the middle of a burst: what is decided afterwards is refused, and nothing hangs.
    let limits = Limits { expires: Some(keep_sdk::Timestamp::from_secs(now() + 3)), ..Limits::default() };
    let key = RemoteSigner::fresh_key().unwrap();
    let client = world.client(Way::Relay, &world.token("full", limits), &key).await;
    let until = now() + 6;
    let mut last = Ok(());
    while now() < until {
        last = ask(&client, &[9; 32], Wish::Sign(1, "x", &[])).await;
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    assert!(last.unwrap_err().message().contains("expired"));
    serving.stop().await.unwrap();
    let entries = world.keep.audit().list(100_000).unwrap();
    let late = entries.iter().filter(|e| e.action == "sign_event" && e.outcome == "allowed");
    assert!(late.count() >= 20);
}
