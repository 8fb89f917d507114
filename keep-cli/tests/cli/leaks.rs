//! Secrets stay secret: every command at trace level, and everything that it printed searched for them.

use std::io::Read;
use std::time::Duration;

use keep_sdk::BunkerUri;

use crate::serving::Net;
use crate::world::{NSEC, PASSPHRASE, Ran, World};

/// The same key as [`NSEC`], in hex.
const SECRET_HEX: &str = "67dea2ed018072d675f5415ecfaed7d2597555e202d85b3d65ea4e58d2d92ffa";
const OTHER_PASSPHRASE: &str = "swordfish of another sea";

fn search(what: &str, text: &str) {
    for secret in [NSEC, SECRET_HEX, PASSPHRASE, OTHER_PASSPHRASE] {
        assert!(!text.contains(secret), "{what} shows a secret");
        assert!(!text.contains(&hex(secret.as_bytes())), "{what} shows a secret in hex");
        let bytes: Vec<String> = secret.bytes().take(12).map(|byte| byte.to_string()).collect();
        assert!(!text.contains(&bytes.join(", ")), "{what} shows a secret as a list of bytes");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn traced(world: &World, arguments: &[&str], stdin: &str) -> Ran {
    let ran = world.run_with(arguments, stdin, |command| {
        command.env("RUST_LOG", "trace").env("KEEP_PASSPHRASE", OTHER_PASSPHRASE).env("RUST_BACKTRACE", "1");
    });
    search(&format!("{arguments:?}"), &format!("{}{}", ran.stdout, ran.stderr));
    ran
}

#[test]
fn no_command_shows_a_secret() {
    let world = World::new();
    let expect = |code: i32, arguments: &[&str], stdin: &str| {
        let ran = traced(&world, arguments, stdin);
        assert_eq!(ran.code, Some(code), "{arguments:?}: {ran:?}");
        ran
    };
    expect(0, &["-vvv", "init"], "");
    expect(0, &["import", "--name", "main"], NSEC);
    expect(5, &["import", "--name", "again"], SECRET_HEX);
    expect(5, &["--json", "import", "--name", "damaged"], &NSEC.replace('5', "6"));
    let exported = expect(0, &["export", "--name", "main", "--ncryptsec"], "");
    expect(5, &["import", "--name", "again"], &exported.stdout);
    expect(1, &["export", "--name", "main"], "");
    expect(0, &["list"], "");
    expect(0, &["sign-event", "--kind", "1", "--content", "hello"], "");
    expect(0, &["audit", "list"], "");
    expect(0, &["audit", "verify"], "");
    expect(0, &["quickstart", "--check"], "");
    expect(0, &["delete", "--name", "main", "--yes"], "");
}

#[test]
fn a_bunker_shows_its_secret_only_in_the_address() {
    let (world, net) = (World::with_key(), Net::new());
    let mut command = world.command(&["-vvv", "--json", "serve", "--headless", "--relay", &net.url()]);
    command.env("RUST_LOG", "trace");
    let mut child = command.spawn().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let logged = std::thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).unwrap();
        text
    });
    let mut stdout = child.stdout.take().unwrap();
    let mut first = Vec::new();
    let mut byte = [0];
    while stdout.read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {
        first.push(byte[0]);
    }
    let first: serde_json::Value = serde_json::from_slice(&first).unwrap();
    let address = first["bunker_url"].as_str().unwrap().to_owned();
    let client = net.connect(&address).unwrap();
    net.sign(&client, 1, "hello").unwrap();
    assert!(net.sign(&client, 0, "{}").is_err());
    assert!(net.connect(&address).is_err());
    std::thread::sleep(Duration::from_millis(300));

    let id = rustix::process::Pid::from_child(&child);
    if let Ok(arguments) = std::fs::read(format!("/proc/{}/cmdline", child.id())) {
        search("argv", &String::from_utf8_lossy(&arguments));
    }
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let all = logged.join().unwrap() + &rest;
    assert!(all.contains("DEBUG") && rest.contains("refused"), "nothing was traced:\n{all}");
    search("serve", &all);
    let secret = BunkerUri::parse(&address).unwrap().secret().unwrap().to_owned();
    assert!(!all.contains(&secret), "the connect secret is in the log");
}
