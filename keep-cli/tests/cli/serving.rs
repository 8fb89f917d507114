//! `keep serve` as applications and other processes meet it.

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use keep_sdk::{
    BunkerUri, EmbeddedRelay, Event, EventTemplate, Fault, PoolOptions, RelayOptions, RelayPolicy, RelayPool,
    RemoteSigner,
};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::world::{PUBKEY, Ran, World};

/// Longer than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A relay on this machine, and a runtime for it and for clients.
pub struct Net {
    pub runtime: Runtime,
    relay: EmbeddedRelay,
}

impl Net {
    pub fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let relay = runtime.block_on(EmbeddedRelay::bind(address, RelayOptions::default())).unwrap();
        Self { runtime, relay }
    }

    pub fn url(&self) -> String {
        self.relay.url().to_string()
    }

    /// An application that connects with this address.
    pub fn connect(&self, bunker_url: &str) -> Result<RemoteSigner, Fault> {
        self.runtime.block_on(async {
            let pool = RelayPool::new(PoolOptions::default())?;
            pool.add(self.relay.url().clone(), RelayPolicy::OWNER);
            RemoteSigner::connect(&BunkerUri::parse(bunker_url)?, Arc::new(pool), "test application").await
        })
    }

    pub fn sign(&self, client: &RemoteSigner, kind: u16, content: &str) -> Result<Event, Fault> {
        self.runtime.block_on(client.sign_event(template(kind, content)))
    }
}

pub fn template(kind: u16, content: &str) -> EventTemplate {
    EventTemplate::new(kind, content, vec![vec!["t".into(), "keep".into()]], 1_700_000_000)
}

/// A running `keep serve` whose stdout is read line by line.
pub struct Serving {
    child: Child,
    lines: Receiver<Value>,
}

impl Serving {
    fn start(world: &World, arguments: &[&str]) -> Self {
        Self::of(world.command(&[&["--json", "serve", "--headless"], arguments].concat()))
    }

    pub fn of(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
                let _ = send.send(value);
            }
        });
        Self { child, lines }
    }

    pub fn next(&self) -> Value {
        self.lines.recv_timeout(PATIENCE).expect("another line")
    }

    /// The next line about this.
    fn next_about(&self, activity: &str) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < until, "no line about {activity}");
            let line = self.next();
            if line["activity"] == activity {
                return line;
            }
        }
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, signal).unwrap();
    }

    fn stop(mut self) -> Ran {
        self.signal(rustix::process::Signal::TERM);
        let mut stderr = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        Ran { stdout: String::new(), stderr, code: self.child.wait().unwrap().code() }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // A test that fails leaves nothing running.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_first_line_is_what_scripts_rely_on() {
    let (world, net) = (World::with_key(), Net::new());
    let serving = Serving::start(&world, &["--relay", &net.url()]);
    let first = serving.next();
    let fields: Vec<&String> = first.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["bunker_url", "npub", "policy", "pubkey", "relays"]);
    assert_eq!((&first["pubkey"], &first["relays"][0]), (&PUBKEY.into(), &net.url().into()));
    assert!(!first["bunker_url"].as_str().unwrap().contains(PUBKEY), "the identity is not the transport key");

    // Nobody has taken the offer: the next run makes the same one.
    assert_eq!(serving.stop().code, Some(0));
    let again = Serving::start(&world, &["--relay", &net.url()]);
    assert_eq!(again.next(), first);
    assert_eq!(again.stop().code, Some(0));
}

#[test]
fn applications_sign_while_other_processes_use_the_vault() {
    let (world, net) = (World::with_key(), Net::new());
    let serving = Serving::start(&world, &["--relay", &net.url()]);
    let first = serving.next();
    let client = net.connect(first["bunker_url"].as_str().unwrap()).unwrap();
    assert_eq!(serving.next_about("connected")["claims"], "test application");

    std::thread::scope(|scope| {
        let generating = scope.spawn(|| {
            for number in 0..5 {
                world.done(&["generate", "--name", &format!("key {number}")]);
                world.done(&["--key", "main", "sign-event", "--kind", "1"]);
            }
        });
        let looking = scope.spawn(|| {
            for _ in 0..5 {
                world.done(&["list"]);
                world.done(&["audit", "verify"]);
            }
        });
        for number in 0..50 {
            net.sign(&client, 1, &format!("note {number}")).unwrap().verify().unwrap();
        }
        generating.join().unwrap();
        looking.join().unwrap();
    });
    let answered = serving.next_about("answered");
    assert!(answered["time"].is_string() && answered["client"].is_string());

    // Kind 0 is to be asked about, and nobody is there.
    let refused = net.sign(&client, 0, "{}").unwrap_err();
    assert_eq!(refused.code().exit_code(), 6, "{refused}");
    assert_eq!(serving.next_about("refused")["method"], "sign_event");
    // The secret is spent.
    assert!(net.connect(first["bunker_url"].as_str().unwrap()).is_err());

    assert_eq!(serving.stop().code, Some(0));
    world.done(&["audit", "verify"]);
    assert_eq!(world.done(&["--json", "list"]).json()["keys"].as_array().unwrap().len(), 6);
}

#[test]
fn clients_go_on_after_a_crash() {
    let (world, net) = (World::with_key(), Net::new());
    let mut serving = Serving::start(&world, &["--relay", &net.url(), "--policy", "full"]);
    let first = serving.next();
    let client = net.connect(first["bunker_url"].as_str().unwrap()).unwrap();
    net.sign(&client, 0, "{}").unwrap();
    serving.signal(rustix::process::Signal::KILL);
    serving.child.wait().unwrap();

    let serving = Serving::start(&world, &["--relay", &net.url()]);
    assert_ne!(serving.next()["bunker_url"], first["bunker_url"]);
    net.sign(&client, 0, "{}").unwrap();
    assert_eq!(serving.stop().code, Some(0));
}

#[test]
fn a_relay_that_is_down_is_named_and_tried_again() {
    let world = World::with_key();
    // A port that was free a moment ago.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("ws://{address}");
    let serving = Serving::start(&world, &["--relay", &url]);
    assert_eq!(serving.next()["relays"][0], url.as_str());
    let line = serving.next_about("relay");
    assert_eq!((&line["relay"], &line["state"]), (&url.as_str().into(), &"failed".into()));
    assert!(line["reason"].as_str().unwrap().contains("refused"), "{line}");

    let runtime = Runtime::new().unwrap();
    let relay = runtime.block_on(EmbeddedRelay::bind(address, RelayOptions::default())).unwrap();
    assert_eq!(serving.next_about("relay")["state"], "connected");
    assert_eq!(serving.stop().code, Some(0));
    drop(relay);
}

#[test]
fn relays_of_earlier_addresses_are_named_too() {
    let (world, earlier, net) = (World::with_key(), Net::new(), Net::new());
    let client = {
        let serving = Serving::start(&world, &["--relay", &earlier.url()]);
        earlier.connect(serving.next()["bunker_url"].as_str().unwrap()).unwrap()
    };
    let serving = Serving::start(&world, &["--relay", &net.url()]);
    let first = serving.next();
    assert_eq!(first["relays"], serde_json::json!([net.url()]));
    assert_eq!(first["also_relays"], serde_json::json!([earlier.url()]));
    earlier.sign(&client, 1, "still served").unwrap();
}

#[test]
fn people_without_a_terminal_get_the_address_alone_on_stdout() {
    let (world, net) = (World::with_key(), Net::new());
    let serving = Serving::of(world.command(&["serve", "--relay", &net.url()]));
    let Value::String(address) = serving.next() else { panic!("not a line of text") };
    assert!(address.starts_with("bunker://") && address.contains("secret="));
    std::thread::sleep(Duration::from_secs(1));
    let ran = serving.stop();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains(&format!("{}: connected", net.url())), "{ran:?}");
    assert!(!ran.stderr.contains('\u{1b}') && !ran.stderr.contains("secret="), "{ran:?}");
}

#[test]
fn it_ends_when_nobody_reads_it_any_more() {
    let (world, net) = (World::with_key(), Net::new());
    let mut command = world.command(&["--json", "serve", "--relay", &net.url()]);
    let (mut reader, writer) = std::io::pipe().unwrap();
    command.stdout(writer);
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut first = String::new();
    BufReader::new(&mut reader).read_line(&mut first).unwrap();
    let first: Value = serde_json::from_str(&first).unwrap();
    drop(reader);
    // The next thing that happens cannot be told. The application itself may wait for long.
    let address = first["bunker_url"].as_str().unwrap().to_owned();
    std::thread::spawn(move || net.connect(&address));
    let until = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50));
    }
    let _ = child.kill();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn an_event_is_published_where_it_is_wanted() {
    let (world, net) = (World::with_key(), Net::new());
    let down = "ws://127.0.0.1:9";
    let ran = world.done(&["sign-event", "--kind", "1", "--publish", "--relay", &net.url(), "--relay", down]);
    let event: Event = serde_json::from_str(&ran.stdout).unwrap();
    event.verify().unwrap();
    assert!(ran.stderr.contains(&format!("ok {} took it", net.url())), "{ran:?}");
    assert!(ran.stderr.contains(&format!("warning: {down}: ")), "{ran:?}");
}

#[test]
fn a_bunker_holds_the_vault_for_other_commands_until_it_is_locked() {
    let (world, net) = (World::with_key(), Net::new());
    let mut serving = Serving::start(&world, &["--relay", &net.url()]);
    let first = serving.next();
    let bare = |arguments: &[&str]| {
        world.run_with(arguments, "", |command| {
            command.env_remove("KEEP_PASSWORD");
        })
    };
    let status = bare(&["--json", "status"]).json();
    assert_eq!(
        (status["serving"].as_bool(), status["pid"].as_u64()),
        (Some(true), Some(serving.child.id().into()))
    );
    assert!(status["locks_at"].is_null());
    assert_eq!(bare(&["generate", "--name", "second"]).code, Some(0));
    assert_eq!(bare(&["delete", "--name", "second", "--yes"]).code, Some(4));
    assert_eq!(world.run(&["delete", "--name", "second", "--yes"]).code, Some(0));
    let client = net.connect(first["bunker_url"].as_str().unwrap()).unwrap();
    net.sign(&client, 1, "hello").unwrap();
    let entries = bare(&["--json", "audit", "list"]).json();
    let last = entries["entries"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["action"], &last["origin"]), (&"sign_event".into(), &"nip46".into()));
    // A second bunker would hold the same transport keys.
    let second = world.run(&["--json", "serve", "--headless", "--relay", &net.url()]);
    assert_eq!((second.code, &second.error()["error"]["code"]), (Some(7), &"storage_busy".into()));

    assert_eq!(bare(&["lock"]).code, Some(0));
    assert_eq!(bare(&["list"]).code, Some(4));
    assert_eq!(serving.child.wait().unwrap().code(), Some(0));
}
