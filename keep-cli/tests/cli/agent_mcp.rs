//! `keep agent mcp`, spoken to by hand.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::serving::Net;
use crate::world::{PUBKEY, World};

/// Much longer than anything here takes, and shorter than the owner is waited for.
const FOREVER: Duration = Duration::from_secs(100);
/// Texts that are nobody's business but the client's.
const MARK: &str = "the-cat-is-under-the-third-roof";

/// A server, and what it writes to stderr.
struct Server {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    stderr: Option<JoinHandle<String>>,
    next: u64,
}

impl Server {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let stderr = Some(std::thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            text
        }));
        let (stdin, stdout) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        let mut server = Self { child, stdin, stdout, stderr, next: 0 };
        let client = json!({"name": MARK, "version": "1"});
        server.ask(
            "initialize",
            json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client}),
        );
        server.say(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string());
        server
    }

    fn say(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(line.as_bytes()).unwrap();
        stdin.write_all(b"\n").unwrap();
        stdin.flush().unwrap();
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let id = self.next;
        self.say(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string());
        loop {
            let answer = self.read();
            if answer["id"] == json!(id) {
                return answer;
            }
        }
    }

    fn read(&mut self) -> Value {
        let mut line = String::new();
        assert!(self.stdout.read_line(&mut line).unwrap() > 0, "the server has gone");
        serde_json::from_str(&line).unwrap()
    }

    /// The structured result of a tool, or the code of its error.
    fn tool(&mut self, name: &str, arguments: Value) -> Result<Value, String> {
        let answer = self.ask("tools/call", json!({"name": name, "arguments": arguments}));
        let result = &answer["result"];
        if result["isError"] == json!(true) {
            let told: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
            return Err(told["error"]["code"].as_str().unwrap().to_owned());
        }
        Ok(result["structuredContent"].clone())
    }

    /// Ends it; what it wrote to stderr.
    fn end(mut self) -> String {
        drop(self.stdin.take());
        self.child.wait().unwrap();
        self.stderr.take().unwrap().join().unwrap()
    }
}

fn session(world: &World, flags: &[&str]) -> String {
    let made = world.done(&[&["--json", "agent", "create", "--name", "bot"], flags].concat()).json();
    made["token_file"].as_str().unwrap().to_owned()
}

#[test]
fn no_log_level_shows_what_a_tool_is_given_or_gives() {
    let world = World::with_key();
    let token = session(&world, &["--scope", "full"]);
    let mut command = world.command(&["-vvv", "agent", "mcp", "--session-file", &token]);
    command.env("RUST_LOG", "trace,rmcp=trace,tokio=trace,hyper=trace");
    let mut server = Server::start(command);
    let sealed = server.tool("encrypt", json!({"peer": PUBKEY, "plaintext": MARK})).unwrap();
    let opened = server.tool("decrypt", json!({"peer": PUBKEY, "ciphertext": sealed["ciphertext"]})).unwrap();
    assert_eq!(opened["untrusted_plaintext"], MARK);
    server.tool("sign_event", json!({"kind": 1, "content": MARK, "tags": [["t", MARK]]})).unwrap();
    server.tool("sign_message", json!({"message": MARK, "network": "regtest"})).unwrap();
    // What is not understood, and what breaks off.
    assert_eq!(
        server.tool("encrypt", json!({"peer": PUBKEY, "plaintext": {"a": MARK}})).unwrap_err(),
        "invalid_input"
    );
    assert_eq!(server.tool("sign_event", json!({"kind": MARK})).unwrap_err(), "invalid_input");
    server.say(&format!("{{\"jsonrpc\":\"2.0\",\"id\":\"{MARK}\",\"method\":[\"{MARK}\"]}}"));
    server.say(&format!("{{\"{MARK}"));
    server.ask(MARK, json!({}));
    server.ask("resources/read", json!({"uri": format!("keep://{MARK}")}));
    let reason = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 77, "reason": MARK}});
    server.say(&reason.to_string());
    server.tool("get_public_key", json!({})).unwrap();
    let logged = server.end();
    assert!(!logged.contains(MARK), "the log shows a text:\n{logged}");
    world.run(&["lock"]);
}

#[test]
fn notes_go_where_the_owner_says_and_nowhere_else() {
    let (world, net) = (World::with_key(), Net::new());
    let token = session(&world, &["--scope", "nostr", "--relay", &net.url()]);
    // Nobody connects here, although a model would like it.
    let trap = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    let inside = format!("ws://{}", trap.local_addr().unwrap());
    let mut server = Server::start(world.command(&["agent", "mcp", "--session-file", &token]));
    let published = server.tool("publish_note", json!({"content": "hello"})).unwrap();
    assert_eq!(published["relays"][0]["accepted"], true, "{published}");
    let named = json!({"content": "again", "relays": [net.url()]});
    assert_eq!(server.tool("publish_note", named).unwrap()["relays"][0]["accepted"], true);
    let before = server.tool("session_info", json!({})).unwrap()["requests"].clone();
    let others =
        [&*inside, "ws://169.254.169.254/", "ws://[::1]:1/", "wss://relay.example", "ws://localhost:1"];
    for other in others {
        for relays in [vec![other.to_owned()], vec![net.url(), other.to_owned()]] {
            let code = server.tool("publish_note", json!({"content": "x", "relays": relays})).unwrap_err();
            assert_eq!(code, "refused_by_policy", "{other}");
        }
    }
    // Nothing was signed for them, and the log has them.
    assert_eq!(server.tool("session_info", json!({})).unwrap()["requests"], before);
    assert_eq!(
        server.tool("publish_note", json!({"content": "x", "relays": ["file:///x"]})).unwrap_err(),
        "invalid_uri"
    );
    server.end();
    let log = world.done(&["--json", "audit", "list", "--limit", "50"]).json();
    let refused = |entry: &&Value| entry["origin"] == "agent:bot" && entry["outcome"] == "refused";
    assert!(log["entries"].as_array().unwrap().iter().filter(refused).count() >= 1, "{log}");

    // The server's own flags narrow it, and widen nothing.
    let narrowed = world.command(&["agent", "mcp", "--session-file", &token, "--relay", &inside]);
    let mut server = Server::start(narrowed);
    assert_eq!(server.tool("publish_note", json!({"content": "x"})).unwrap_err(), "usage");
    assert_eq!(
        server.tool("publish_note", json!({"content": "x", "relays": [&inside]})).unwrap_err(),
        "refused_by_policy"
    );
    server.end();
    assert!(trap.accept().is_err(), "somebody connected");
    world.run(&["lock"]);
}

#[test]
fn who_waits_for_a_person_is_told_so_and_can_stop_waiting() {
    let world = World::with_key();
    let token = session(&world, &["--scope", "public", "--ask"]);
    let mut server = Server::start(world.command(&["agent", "mcp", "--session-file", &token]));
    let arguments = json!({"kind": 1, "content": "never mind"});
    let params = json!({"name": "sign_event", "arguments": arguments, "_meta": {"progressToken": "p"}});
    server.say(&json!({"jsonrpc": "2.0", "id": 900, "method": "tools/call", "params": params}).to_string());
    let told = server.read();
    assert_eq!(told["method"], "notifications/progress", "{told}");
    assert_eq!(told["params"]["progressToken"], "p");
    let cancelled = json!({"requestId": 900, "reason": "the user stopped it"});
    server.say(
        &json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": cancelled}).to_string(),
    );
    // Others are answered, and nobody is asked any more for what nobody waits for.
    server.tool("get_public_key", json!({})).unwrap();
    let begin = Instant::now();
    while server.tool("list_pending", json!({})).unwrap()["pending"] != json!([]) {
        assert!(begin.elapsed() < FOREVER, "the question stays");
        std::thread::sleep(Duration::from_millis(50));
    }
    let info = server.tool("session_info", json!({})).unwrap();
    // The public key; what was not approved is no use.
    assert_eq!(info["requests"], 1, "{info}");
    server.end();
    world.run(&["lock"]);
}
