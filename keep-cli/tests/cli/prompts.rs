//! What a person at a terminal sees and types. The terminal is that of `script` (util-linux).

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::serving::{Net, PATIENCE, template};
use crate::world::{CHEAP, NSEC, PASSPHRASE, World};

/// A command with a terminal of its own.
pub struct Dialogue {
    child: Child,
    keyboard: ChildStdin,
    screen: Arc<Mutex<String>>,
    /// How much of the screen has been read.
    seen: usize,
}

impl Dialogue {
    pub fn start(world: &World, arguments: &str, change: impl FnOnce(&mut Command)) -> Self {
        let line = format!("exec {} {arguments}", env!("CARGO_BIN_EXE_keep"));
        let keep = world.command(&[]);
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--flush", "--command", &line, "/dev/null"]).env_clear();
        command.envs(keep.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
            .env_remove("KEEP_PASSWORD")
            .env("TERM", "xterm")
            .env("NO_COLOR", "1")
            .current_dir(world.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        change(&mut command);
        let mut child = command.spawn().unwrap();
        let (keyboard, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let screen = Arc::new(Mutex::new(String::new()));
        let shown = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = output.read(&mut buffer) {
                bytes.extend_from_slice(&buffer[..read]);
                *shown.lock().unwrap() = String::from_utf8_lossy(&bytes).into_owned();
            }
        });
        Self { child, keyboard, screen, seen: 0 }
    }

    fn screen(&self) -> String {
        self.screen.lock().unwrap().clone()
    }

    /// Waits until this is on the screen, after what was waited for before.
    pub fn sees(&mut self, text: &str) {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            let screen = self.screen();
            if let Some(at) = screen.get(self.seen..).and_then(|new| new.find(text)) {
                self.seen += at + text.len();
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("never saw {text:?} in\n{}", self.screen());
    }

    /// Types until this is seen: a key counts only some time after the question stood there.
    fn insists(&mut self, keys: &str, text: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.screen().get(self.seen..).is_some_and(|new| new.contains(text)) {
            assert!(Instant::now() < until, "never saw {text:?} in\n{}", self.screen());
            self.types(keys);
            // A key that comes again too soon counts as held.
            let next = Instant::now() + Duration::from_secs(2);
            while Instant::now() < next
                && !self.screen().get(self.seen..).is_some_and(|new| new.contains(text))
            {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        self.sees(text);
    }

    pub fn types(&mut self, keys: &str) {
        // A moment, for the question is shown just before its answer is waited for.
        std::thread::sleep(Duration::from_millis(100));
        self.keyboard.write_all(keys.as_bytes()).unwrap();
        self.keyboard.flush().unwrap();
    }

    pub fn ends(mut self, code: i32) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                // The last words may still be on their way.
                std::thread::sleep(Duration::from_millis(100));
                assert_eq!(status.code(), Some(code), "{}", self.screen());
                return self.screen();
            }
            assert!(Instant::now() < until, "still there:\n{}", self.screen());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Dialogue {
    fn drop(&mut self) {
        // A test that fails leaves nothing running: with its terminal gone, the command ends.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether there are terminals to be had.
pub fn can() -> bool {
    let can = Command::new("script").arg("--version").output().is_ok_and(|output| output.status.success());
    if !can {
        eprintln!("skipped: `script` of util-linux is not installed");
    }
    can
}

#[test]
fn a_vault_is_made_and_opened_by_typing() {
    if !can() {
        return;
    }
    let world = World::new();
    let mut init = Dialogue::start(&world, &format!("init {}", CHEAP.join(" ")), |_| {});
    init.sees("A passphrase for the vault: ");
    init.types("short\r");
    init.sees("That has only 5 characters; several random words are better. Take it? [y/N] ");
    init.types("n\r");
    init.sees("A passphrase for the vault: ");
    init.types(&format!("x\x7f{PASSPHRASE}\r"));
    init.sees("Once more: ");
    init.types(&format!("{PASSPHRASE}\r"));
    init.sees("a vault in");
    let screen = init.ends(0);
    assert!(!screen.contains(PASSPHRASE) && !screen.contains("short"), "{screen}");

    let mut list = Dialogue::start(&world, "list", |_| {});
    list.sees("The vault's passphrase: ");
    list.types("wrong\r");
    list.sees("That passphrase does not open the vault. Try again.");
    list.sees("The vault's passphrase: ");
    list.types(&format!("{PASSPHRASE}\r"));
    list.sees("no key yet");
    list.ends(0);
}

#[test]
fn different_passphrases_make_no_vault() {
    if !can() {
        return;
    }
    let world = World::new();
    let mut init = Dialogue::start(&world, &format!("init {}", CHEAP.join(" ")), |_| {});
    init.sees("A passphrase for the vault: ");
    init.types("one long passphrase\r");
    init.sees("Once more: ");
    init.types("another passphrase\r");
    init.sees("error: the two passphrases differ");
    init.ends(5);
    assert_eq!(world.run(&["list"]).code, Some(3));
}

#[test]
fn ctrl_c_at_a_question_ends_it() {
    if !can() {
        return;
    }
    let world = World::with_key();
    let mut list = Dialogue::start(&world, "list", |_| {});
    list.sees("The vault's passphrase: ");
    list.types("abc\x03");
    list.ends(130);
}

#[test]
fn a_key_is_typed_in_and_shown_and_deleted() {
    if !can() {
        return;
    }
    let world = World::with_vault();
    let unlocked = |command: &mut Command| {
        command.env("KEEP_PASSWORD", PASSPHRASE);
    };
    let mut import = Dialogue::start(&world, "import --name main", unlocked);
    import.sees("Key: ");
    import.types(&format!("{NSEC}\r"));
    import.sees("main  npub1");
    assert!(!import.ends(0).contains(NSEC));

    let export = Dialogue::start(&world, "export --name main", |command| {
        unlocked(command);
        command.env("CI", "true");
    });
    assert!(!export.ends(1).contains(NSEC));
    let mut export = Dialogue::start(&world, "export --name main", unlocked);
    export.sees("Print the secret key? [y/N] ");
    export.types("\r");
    export.sees("nothing was exported");
    export.ends(1);
    let mut export = Dialogue::start(&world, "export --name main", unlocked);
    export.sees("Print the secret key? [y/N] ");
    export.types("y\r");
    export.sees(NSEC);
    export.ends(0);

    let mut delete = Dialogue::start(&world, "delete --name main", unlocked);
    delete.sees("Type the key's name to delete it: ");
    delete.types("mian\r");
    delete.sees("nothing was deleted");
    delete.ends(1);
    let mut delete = Dialogue::start(&world, "delete --name main", unlocked);
    delete.sees("Type the key's name to delete it: ");
    delete.types("main\r");
    delete.sees("deleted main");
    delete.ends(0);
}

#[test]
fn a_person_decides_and_nobody_else_waits() {
    if !can() {
        return;
    }
    let (world, net) = (World::with_key(), Net::new());
    let mut serve = Dialogue::start(&world, &format!("serve --relay {}", net.url()), |command| {
        command.env("KEEP_PASSWORD", PASSPHRASE).env("TERM", "dumb");
    });
    serve.sees("bunker://");
    serve.sees("Y approves, N rejects, Q quits.");
    let screen = serve.screen();
    let address = screen.split_whitespace().find(|word| word.starts_with("bunker://")).unwrap();
    let client = net.connect(address).unwrap();
    serve.sees("\"test application\" (");

    let decided = |serve: &mut Dialogue, key: &str, said: &str| {
        net.runtime.block_on(async {
            let profile = client.sign_event(template(0, "{\"name\":\"zoe\u{202e}\"}"));
            let meanwhile = async {
                tokio::task::block_in_place(|| {
                    serve.sees("asks to sign an event of kind 0 (replaces your profile)");
                    serve.sees("content  {\"name\":\"zoe\\u{202e}\"}");
                    serve.sees("[Y] approve  [N] reject  [Q] quit");
                });
                // Somebody thinks; others are served meanwhile.
                client.sign_event(template(1, "meanwhile")).await.unwrap();
                tokio::task::block_in_place(|| serve.insists(key, said));
            };
            tokio::join!(profile, meanwhile).0
        })
    };
    decided(&mut serve, "y", "approved").unwrap().verify().unwrap();
    assert!(decided(&mut serve, "N", "rejected").is_err());
    // Where something is left out, the first yes shows the rest, and only the second one is a yes.
    let long = format!("{}the end", "x".repeat(5_000));
    let signed = net.runtime.block_on(async {
        let person = async {
            tokio::task::block_in_place(|| {
                serve.sees("[Y] show all of it");
                serve.insists("y", "the end");
                serve.sees("[Y] approve");
                serve.insists("y", "approved");
            });
        };
        tokio::join!(client.sign_event(template(0, &long)), person).0
    });
    signed.unwrap().verify().unwrap();
    serve.types("q");
    serve.sees("Stopping.");
    serve.ends(0);

    let log = world.done(&["--json", "audit", "list"]).json();
    let outcomes: Vec<&str> =
        log["entries"].as_array().unwrap().iter().filter_map(|entry| entry["outcome"].as_str()).collect();
    assert!(outcomes.contains(&"approved") && outcomes.contains(&"declined"), "{outcomes:?}");
}

/// The request of a client whose policy wants two persons, at the terminal: a yes of somebody who was removed since does not
/// count, and what is asked waits on for another one.
#[test]
fn at_a_terminal_the_yes_of_somebody_removed_does_not_count() {
    if !can() {
        return;
    }
    let (world, net) = (World::with_key(), Net::new());
    let joint = "name = \"joint\"\n[[rule]]\neffect = \"allow\"\nmethods = [\"get_public_key\"]\n\
                 [[rule]]\neffect = \"ask\"\nkinds = [1]\napproval = \"two_persons\"\n";
    std::fs::write(world.path().join("joint.toml"), joint).unwrap();
    world.done(&["policy", "add", "joint.toml"]);
    let added = |name: &str| {
        let added = world.done(&["--json", "policy", "person", "add", name]).json();
        added["code"].as_str().unwrap().to_owned()
    };
    let carol = added("carol");
    let as_person = |id: &str, name: &str, code: &str| {
        let ran = world.run_with(&["--json", "approve", id, "--as", name], "", |command| {
            command.env_remove("KEEP_PASSWORD").env("KEEP_APPROVAL_CODE", code);
        });
        ran.json()["settled"].as_bool().unwrap()
    };
    for (terminal, surface) in [("dumb", "owner:terminal"), ("xterm", "owner:screen")] {
        let bob = added("bob");
        let line = format!("serve --policy joint --relay {}", net.url());
        let mut serve = Dialogue::start(&world, &line, |command| {
            command.env("KEEP_PASSWORD", PASSPHRASE).env("TERM", terminal);
        });
        serve.sees("bunker://");
        serve.sees(if terminal == "dumb" { "Q quits." } else { "Nothing" });
        let screen = serve.screen();
        let address = screen.split_whitespace().find(|word| word.starts_with("bunker://")).unwrap();
        let client = net.connect(address).unwrap();
        let signed = net.runtime.block_on(async {
            let persons = async {
                tokio::task::block_in_place(|| {
                    serve.sees("approve");
                    let asked = world.done(&["--json", "pending"]).json()["pending"][0].clone();
                    let id = asked["id"].as_str().unwrap();
                    assert!(!as_person(id, "bob", &bob));
                    world.done(&["policy", "person", "remove", "bob"]);
                    // The screen draws words, and no more of a line than changes.
                    serve.insists("y", if terminal == "dumb" { "1 more person" } else { "noted;" });
                    let asked = world.done(&["--json", "pending"]).json()["pending"][0].clone();
                    assert_eq!(
                        (&asked["id"], &asked["approved_by"]),
                        (&id.into(), &serde_json::json!(["owner"]))
                    );
                    assert!(as_person(id, "carol", &carol));
                });
            };
            tokio::join!(client.sign_event(template(1, "of both")), persons).0
        });
        signed.unwrap().verify().unwrap();
        serve.types("q");
        serve.sees("Stopping.");
        serve.ends(0);
        let log = world.done(&["--json", "audit", "list"]).json();
        let entries = log["entries"].as_array().unwrap();
        let said = entries.iter().rfind(|entry| entry["outcome"] == "approved").unwrap();
        assert_eq!(said["by"], serde_json::json!([surface, "person:carol"]));
    }
}

#[test]
fn a_screen_shows_what_waits_and_takes_decisions() {
    if !can() {
        return;
    }
    let (world, net) = (World::with_key(), Net::new());
    let mut serve = Dialogue::start(&world, &format!("serve --auth-url --relay {}", net.url()), |command| {
        command.env("KEEP_PASSWORD", PASSPHRASE);
    });
    serve.sees("bunker://");
    serve.sees("\x1b[?1049h");
    serve.sees("Nothing");
    let screen = serve.screen();
    let address = screen.split_whitespace().find(|word| word.starts_with("bunker://")).unwrap();
    let client = net.connect(address).unwrap();
    let decided = |serve: &mut Dialogue, keys: &[&str]| {
        net.runtime.block_on(async {
            let profile = client.sign_event(template(0, "{\"name\":\"zoe\u{202e}\"}"));
            let person = async {
                tokio::task::block_in_place(|| {
                    serve.sees("profile");
                    // What is drawn is drawn in pieces: once more, and whole.
                    serve.types("\x0c");
                    for part in ["sign_event", "application\"", "{\"name\":\"zoe\\u{202e}\"}", "approve"] {
                        serve.sees(part);
                    }
                    // A key counts only some time after the request stood there, for which a busy machine needs its own.
                    std::thread::sleep(Duration::from_millis(1_500));
                    keys.iter().for_each(|key| serve.types(key));
                });
            };
            tokio::join!(profile, person).0
        })
    };
    decided(&mut serve, &["y"]).unwrap().verify().unwrap();
    assert!(decided(&mut serve, &["n"]).is_err());
    // For five minutes: the next one is not asked about.
    decided(&mut serve, &["5"]).unwrap().verify().unwrap();
    net.sign(&client, 0, "{}").unwrap().verify().unwrap();
    // The kill switch, after a question.
    serve.types("ky");
    serve.sees("STOPPED");
    assert!(net.sign(&client, 1, "x").unwrap_err().message().contains("not_connected"));
    serve.types("ky");
    // It takes the switch, the bunker and the relay a moment.
    let until = Instant::now() + PATIENCE;
    while let Err(fault) = net.sign(&client, 1, "x") {
        assert!(Instant::now() < until, "{fault}");
        std::thread::sleep(Duration::from_millis(100));
    }
    // The parts of the screen.
    for part in ["activity", "clients", "wss", "npub1"] {
        serve.types("\t\x0c");
        serve.sees(if part == "wss" { "relays" } else { part });
    }
    serve.types("q");
    serve.sees("\x1b[?1049l");
    serve.sees("Stopping.");
    let screen = serve.ends(0);
    assert!(!screen.contains('\u{202e}'));
    let log = world.done(&["--json", "audit", "list"]).json();
    let outcomes: Vec<&str> =
        log["entries"].as_array().unwrap().iter().filter_map(|entry| entry["outcome"].as_str()).collect();
    assert!(outcomes.contains(&"approved") && outcomes.contains(&"declined"), "{outcomes:?}");
}

#[test]
fn a_new_reserve_takes_the_passphrase_once() {
    if !can() {
        return;
    }
    let world = World::with_key();
    for held in [false, true] {
        if held {
            world.done(&["unlock"]);
        }
        let mut reset = Dialogue::start(&world, "reserve reset", |_| {});
        reset.sees("Overwrite the reserve? [y/N] ");
        reset.types("y\r");
        reset.sees("assphrase: ");
        reset.types("wrong\r");
        reset.sees("Try again.");
        reset.sees("assphrase: ");
        reset.types(&format!("{PASSPHRASE}\r"));
        reset.sees("the reserve is new");
        let screen = reset.ends(0);
        assert_eq!(screen.matches("assphrase: ").count(), 2, "{screen}");
    }
    world.done(&["lock"]);
    world.done(&["audit", "verify"]);
}

#[test]
fn a_first_minute_on_a_terminal() {
    if !can() {
        return;
    }
    let world = World::new();
    let mut quickstart = Dialogue::start(&world, &format!("quickstart {}", CHEAP.join(" ")), |_| {});
    quickstart.sees("First a vault of your own");
    quickstart.sees("A passphrase for the vault: ");
    quickstart.types(&format!("{PASSPHRASE}\r"));
    quickstart.sees("Once more: ");
    quickstart.types(&format!("{PASSPHRASE}\r"));
    quickstart.sees("✓ recorded");
    quickstart.sees("bunker://");
    quickstart.sees("Ctrl-C ends it");
    quickstart.types("\x03");
    quickstart.sees("Stopping.");
    quickstart.ends(0);
    world.done(&["audit", "verify"]);
}
