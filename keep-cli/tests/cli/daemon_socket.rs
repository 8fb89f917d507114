//! The socket of a daemon, spoken to by hand.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::daemon::Unlocked;
use crate::world::PASSPHRASE;

const HELLO: &str = r#"{"keep":1}"#;
/// Names the socket for the test that is run as another user.
const SOCKET: &str = "KEEP_TEST_SOCKET";

struct Line(UnixStream);

impl Line {
    fn new(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self(stream)
    }

    fn greeted(socket: &Path) -> Self {
        let mut line = Self::new(socket);
        assert_eq!(line.ask(HELLO).unwrap()["keep"], 1);
        line
    }

    fn send(&mut self, text: &[u8]) {
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        self.0.write_all(&[&length, text].concat()).unwrap();
    }

    /// The next frame; `None` when the daemon has hung up.
    fn read(&mut self) -> Option<Value> {
        let mut length = [0; 4];
        self.0.read_exact(&mut length).ok()?;
        let mut bytes = vec![0; u32::from_be_bytes(length) as usize];
        self.0.read_exact(&mut bytes).ok()?;
        Some(serde_json::from_slice(&bytes).unwrap())
    }

    fn ask(&mut self, text: &str) -> Option<Value> {
        self.send(text.as_bytes());
        self.read()
    }

    fn call(&mut self, name: &str, with: &Value) -> Value {
        self.ask(&json!({"call": name, "with": with}).to_string()).unwrap()
    }
}

#[test]
fn classes_are_kept_apart() {
    let vault = Unlocked::new();
    let mut line = Line::greeted(&vault.socket());
    let keys = line.call("keys.list", &json!({}));
    let pubkey = keys["ok"][0]["pubkey"].clone();
    let export = json!({"pubkey": pubkey});
    assert_eq!(line.call("keys.export_nsec", &export)["error"]["code"], "locked");
    assert_eq!(
        line.call("daemon.extend", &json!({"seconds": 9, "confirm": false}))["error"]["code"],
        "locked"
    );
    let wrong = line.call("daemon.manage", &json!({"passphrase": "wrong"}));
    assert_eq!(wrong["error"]["code"], "wrong_passphrase");
    assert_eq!(line.call("keys.export_nsec", &export)["error"]["code"], "locked");
    assert!(line.call("daemon.manage", &json!({"passphrase": PASSPHRASE}))["ok"].is_object());
    assert!(line.call("keys.export_nsec", &export)["ok"]["nsec"].as_str().unwrap().starts_with("nsec1"));
    // What one connection may do, another may not.
    let mut other = Line::greeted(&vault.socket());
    assert_eq!(other.call("keys.export_nsec", &export)["error"]["code"], "locked");
}

#[test]
fn what_is_no_call_is_refused_and_hurts_nobody() {
    let vault = Unlocked::new();
    let socket = vault.socket();
    for hello in ["", "{}", "hello", r#"{"keep":2}"#, r#"{"keep":1,"token":"0000"}"#, r#"{"keep":"1"}"#] {
        let mut line = Line::new(&socket);
        let answer = line.ask(hello).unwrap();
        assert!(answer["error"]["code"].is_string(), "{hello}: {answer}");
        assert!(line.read().is_none(), "{hello}: the connection stays");
    }
    let mut line = Line::greeted(&socket);
    for odd in ["", "[]", "nonsense", r#"{"call":"keys.list"}"#, r#"{"call":7,"with":{}}"#] {
        assert_eq!(line.ask(odd).unwrap()["error"]["code"], "usage", "{odd}");
    }
    line.send(b"\xff\xfe");
    assert_eq!(line.read().unwrap()["error"]["code"], "usage");
    assert_eq!(line.call("keys.nothing", &json!({}))["error"]["code"], "unsupported_method");
    assert_eq!(line.call("keys.find", &json!({"selector": 7}))["error"]["code"], "usage");
    assert!(line.call("keys.list", &json!({}))["ok"].is_array());

    let mut long = Line::greeted(&socket);
    long.0.write_all(&u32::MAX.to_be_bytes()).unwrap();
    assert_eq!(long.read().unwrap()["error"]["code"], "usage");
    assert!(long.read().is_none());
    // One that stops in the middle, and one that says nothing.
    let mut half = Line::greeted(&socket);
    half.0.write_all(&[0, 0, 1, 0, b'{']).unwrap();
    let _silent = Line::new(&socket);
    drop(half);
    assert_eq!(vault.run(&["list"]).code, Some(0));
}

#[test]
fn fifty_connections_at_once() {
    let vault = Unlocked::new();
    let socket = vault.socket();
    let key = Line::greeted(&socket).call("keys.list", &json!({}))["ok"][0].clone();
    let sign = |number: usize| {
        let mut line = Line::greeted(&socket);
        let template = json!({"kind": 1, "content": format!("{number}"), "tags": [], "created_at": 1});
        let call = json!({"id": key["id"], "pubkey": key["pubkey"], "template": template});
        for _ in 0..4 {
            let answer = line.call("sign.event", &call);
            let event: keep_sdk::Event = serde_json::from_value(answer["ok"].clone()).unwrap();
            assert!(event.verify().is_ok() && event.content == number.to_string());
        }
    };
    std::thread::scope(|scope| {
        (0..50).for_each(|number| drop(scope.spawn(move || sign(number))));
    });
    let entries = vault.run(&["--json", "audit", "list", "--limit", "1000"]).json();
    let signed =
        entries["entries"].as_array().unwrap().iter().filter(|e| e["action"] == "sign_event").count();
    assert_eq!(signed, 200);
}

#[test]
fn connections_that_ask_nothing_keep_nobody_out() {
    let vault = Unlocked::new();
    let socket = vault.socket();
    let mut lines: Vec<Line> = (0..256).map(|_| Line::greeted(&socket)).collect();
    assert_eq!(vault.run(&["list"]).code, Some(0));
    // The one that had asked nothing for the longest time made room.
    assert!(lines[0].read().is_none());
    assert!(lines[255].call("keys.list", &json!({}))["ok"].is_array());
}

#[test]
fn another_user_is_turned_away() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let vault = Unlocked::new();
    let socket = vault.socket();
    // As if the directory did not keep others out.
    let mut path = socket.clone();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o777)).unwrap();
    while path.pop() && path != Path::new("/tmp") {
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    let mut other = std::process::Command::new(std::env::current_exe().unwrap());
    other.args(["--exact", "daemon_socket::is_turned_away", "--ignored"]).env(SOCKET, &socket);
    let output = other.uid(65534).gid(65534).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:?}");
    std::fs::set_permissions(socket.parent().unwrap(), PermissionsExt::from_mode(0o700)).unwrap();
    assert_eq!(vault.run(&["list"]).code, Some(0));
}

#[test]
#[ignore = "run by the test above, as another user"]
fn is_turned_away() {
    let Some(socket) = std::env::var_os(SOCKET) else { return };
    let mut stream = UnixStream::connect(socket).unwrap();
    // It may have hung up before this arrives.
    let _ = stream.write_all(&[&[0, 0, 0, 10], HELLO.as_bytes()].concat());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
}
