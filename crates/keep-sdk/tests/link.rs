//! Sessions over the socket of a daemon, as programs in other languages use them.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use keep_sdk::agent::{Asks, Interrupt, Link, LinkOptions, Preset, SessionScope, error_codes, failure_json};
use keep_sdk::daemon::{Daemon, DaemonOptions};
use keep_sdk::{
    BunkerOptions, EmbeddedRelay, ErrorCode, Fault, Home, KdfCost, Keep, Name, Options, RelayOptions,
    SecretText,
};

struct World {
    keep: Keep,
    daemon: Option<Daemon>,
    directory: tempfile::TempDir,
}

fn passphrase() -> SecretText {
    SecretText::from("correct horse".to_owned())
}

fn options() -> Options {
    Options::default().allow_weak_kdf().kdf_cost(KdfCost::Custom { memory_kib: 64, iterations: 1, lanes: 1 })
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path().join("vault")).unwrap();
        let keep = Keep::create(home, &passphrase(), &options()).unwrap();
        keep.keys().generate(Name::new("main").unwrap()).unwrap();
        let daemon = Daemon::start(&keep, DaemonOptions::default()).unwrap();
        Self { keep, daemon: Some(daemon), directory }
    }

    fn token(&self, name: &str, scope: SessionScope) -> SecretText {
        self.keep.agents().create(name, None, scope, Asks::Vault).unwrap().token
    }

    fn options(&self, token: Option<&SecretText>, scope: Option<SessionScope>) -> LinkOptions {
        LinkOptions {
            scope,
            token: token.map(|token| SecretText::new(token.expose().to_owned())),
            home: Some(self.directory.path().join("vault")),
            program: Some("/nonexistent/keep".into()),
            ..LinkOptions::default()
        }
    }

    /// Ends the process that holds the vault, and starts another one.
    fn restart(mut self) -> Self {
        let farewell = self.daemon.take().unwrap().stop();
        let Self { keep, directory, .. } = self;
        drop((keep, farewell));
        let home = Home::new(directory.path().join("vault")).unwrap();
        let keep = Keep::open(home, &passphrase(), &options()).unwrap();
        let daemon = Daemon::start(&keep, DaemonOptions::default()).unwrap();
        Self { keep, daemon: Some(daemon), directory }
    }
}

fn nostr() -> SessionScope {
    SessionScope::of(Preset::Nostr)
}

fn note(kind: u16) -> String {
    format!(r#"{{"template":{{"kind":{kind},"content":"hi","tags":[],"created_at":1}}}}"#)
}

fn sign(link: &Link, kind: u16) -> Result<(), Fault> {
    link.call("agent.sign_event", &note(kind)).map(drop)
}

#[test]
fn a_token_signs_and_a_scope_narrows_it() {
    let world = World::new();
    let token = world.token("bot", SessionScope { kinds: Some(vec![1, 7]), ..nostr() });
    let link = Link::open(&world.options(Some(&token), None)).unwrap();
    let signed = link.call("agent.sign_event", &note(7)).unwrap();
    assert!(String::from_utf8_lossy(&signed).contains("\"sig\""));
    assert_eq!(sign(&link, 0).unwrap_err().code(), ErrorCode::RefusedByPolicy);
    let narrow = SessionScope { kinds: Some(vec![0, 1]), ..nostr() };
    let narrow = Link::open(&world.options(Some(&token), Some(narrow))).unwrap();
    sign(&narrow, 1).unwrap();
    for kind in [0, 7] {
        assert_eq!(sign(&narrow, kind).unwrap_err().code(), ErrorCode::RefusedByPolicy, "{kind}");
    }
    assert_eq!(world.keep.agents().list().unwrap().len(), 2);
    // What was made for the program ends with it; what the owner made stays.
    drop(narrow);
    link.close().unwrap();
    let left = world.keep.agents().list().unwrap();
    assert_eq!(left.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["bot"]);
}

#[test]
fn without_a_token_the_key_is_known_and_nothing_is_signed_unasked() {
    let world = World::new();
    let link = Link::open(&world.options(None, Some(SessionScope::of(Preset::Full)))).unwrap();
    link.call("agent.get_public_key", "{}").unwrap();
    let check = link.call("agent.check_operation", r#"{"operation":"sign_nostr_event"}"#).unwrap();
    assert!(String::from_utf8_lossy(&check).contains(r#""effect":"ask""#));
}

#[test]
fn only_calls_for_sessions_can_be_made() {
    let world = World::new();
    let token = world.token("bot", SessionScope::of(Preset::Full));
    let link = Link::open(&world.options(Some(&token), None)).unwrap();
    for name in ["keys.export_nsec", "agent.create", "agent.list", "daemon.lock", "no.such", ""] {
        assert_eq!(link.call(name, "{}").unwrap_err().code(), ErrorCode::RefusedByPolicy, "{name}");
    }
    assert_eq!(link.call("agent.sign_event", "{").unwrap_err().code(), ErrorCode::Usage);
    assert_eq!(
        link.call("agent.sign_event", r#"{},"call":"keys.list""#).unwrap_err().code(),
        ErrorCode::Usage
    );
    link.call("agent.session_info", "{}").unwrap();
}

#[test]
fn what_is_wrong_is_said() {
    let world = World::new();
    let wrong = SecretText::from(format!("keep-session-{}", "0".repeat(64)));
    assert_eq!(Link::open(&world.options(Some(&wrong), None)).unwrap_err().code(), ErrorCode::NotConnected);
    let nowhere = LinkOptions { home: Some("/nonexistent/vault".into()), ..world.options(None, None) };
    assert_eq!(Link::open(&nowhere).unwrap_err().code(), ErrorCode::NoVault);
    for json in ["", "5", r#"{"scoop":{}}"#, r#"{"scope":{"kinds":[65536]}}"#, r#"{"token":5}"#] {
        assert_eq!(Link::open_json(json).unwrap_err().code(), ErrorCode::Usage, "{json}");
    }
    let fault = Link::open(&nowhere).unwrap_err();
    assert!(failure_json(&fault).starts_with(r#"{"code":"no_vault","blame":"caller","message":"#));
    assert_eq!(error_codes().len(), ErrorCode::ALL.len());
}

#[test]
fn a_link_outlives_the_daemon() {
    let mut scope = nostr();
    scope.rates.uses = Some(3);
    let world = World::new();
    let token = world.token("bot", scope);
    let link = Link::open(&world.options(Some(&token), None)).unwrap();
    sign(&link, 1).unwrap();
    let world = world.restart();
    sign(&link, 1).unwrap();
    sign(&link, 1).unwrap();
    assert_eq!(sign(&link, 1).unwrap_err().code(), ErrorCode::RefusedByPolicy);
    let World { keep, daemon, directory } = world;
    let farewell = daemon.unwrap().stop();
    drop((keep, farewell));
    assert_eq!(sign(&link, 1).unwrap_err().code(), ErrorCode::Locked);
    assert_eq!(sign(&link, 1).unwrap_err().code(), ErrorCode::Locked);
    drop(directory);
}

#[test]
fn many_threads_and_links_get_what_the_limit_says() {
    let mut scope = nostr();
    scope.rates.uses = Some(20);
    let world = World::new();
    let token = world.token("bot", scope);
    let links: Vec<Link> = (0..3).map(|_| Link::open(&world.options(Some(&token), None)).unwrap()).collect();
    let signed = AtomicUsize::new(0);
    std::thread::scope(|threads| {
        for worker in 0..9 {
            let (link, signed) = (&links[worker % 3], &signed);
            threads.spawn(move || {
                let done = (0..5).filter(|_| sign(link, 1).is_ok()).count();
                signed.fetch_add(done, Ordering::Relaxed);
            });
        }
    });
    assert_eq!(signed.into_inner(), 20);
}

/// Much longer than anything here takes on a busy machine, and less than a bunker is waited for.
const SOON: Duration = Duration::from_secs(25);

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Does this with an interrupt; its outcome comes from another thread.
fn with(
    interrupt: &Interrupt,
    work: impl FnOnce() -> Result<(), Fault> + Send + 'static,
) -> Receiver<Result<(), Fault>> {
    let (interrupt, (tell, heard)) = (interrupt.clone(), channel());
    std::thread::spawn(move || tell.send(interrupt.during(work)));
    heard
}

/// A bunker answers when its owner likes; whoever asked need not wait for that, nor for one that is not there.
#[test]
fn what_waits_for_a_bunker_is_given_up_at_once() {
    let world = World::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let relay = runtime.block_on(EmbeddedRelay::bind(address, RelayOptions::default())).unwrap();
    let key = world.keep.keys().find(Some("main")).unwrap();
    let queue = world.keep.approvals().unwrap();
    let _attendance = queue.attend();
    let bunker = world.keep.bunker(queue);
    let url = bunker.offer_named(&key, &[relay.url().clone()], "social").unwrap().bunker_url;

    // Nobody is there yet.
    let interrupt = Interrupt::default();
    let silent = SecretText::from(url.clone());
    let outcome = with(&interrupt, move || Link::at_bunker(&silent).map(drop));
    assert!(outcome.recv_timeout(Duration::from_millis(300)).is_err(), "it waits");
    interrupt.give_up();
    let fault = outcome.recv_timeout(SOON).expect("it waits on").unwrap_err();
    assert_eq!(fault.code(), ErrorCode::RefusedByPerson, "{fault}");
    // What was given up before it began is not begun.
    let again = SecretText::from(url.clone());
    let outcome = with(&interrupt, move || Link::at_bunker(&again).map(drop)).recv_timeout(SOON).unwrap();
    assert_eq!(outcome.unwrap_err().code(), ErrorCode::RefusedByPerson);

    let serving = runtime.block_on(bunker.serve(&key, BunkerOptions::default())).unwrap();
    let link = std::sync::Arc::new(Link::at_bunker(&SecretText::from(url)).unwrap());
    sign(&link, 1).unwrap();
    let interrupt = Interrupt::default();
    let asking = std::sync::Arc::clone(&link);
    // The owner is asked about a profile.
    let outcome = with(&interrupt, move || sign(&asking, 0));
    eventually("nobody is asked", || world.keep.inbox().pending().unwrap().len() == 1);
    interrupt.give_up();
    let fault = outcome.recv_timeout(SOON).expect("it waits on").unwrap_err();
    assert_eq!(fault.code(), ErrorCode::RefusedByPerson, "{fault}");
    // The connection is as good as before, also when the answer comes that nobody waits for.
    let id = world.keep.inbox().pending().unwrap()[0].id.clone();
    assert!(world.keep.inbox().decide(&id, true, None).unwrap().settled);
    sign(&link, 1).unwrap();
    drop(link);
    runtime.block_on(serving.stop()).unwrap();
}
