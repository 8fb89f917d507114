//! A real file system that is full: each command says so, leaves the vault and the directory as they were, and works when there is
//! room again. Skipped, by name, where no small file system can be mounted.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    dead_code,
    reason = "a test that fails says so by panicking"
)]

#[path = "cli/world.rs"]
mod world;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use world::{CHEAP, Ran, World};

const SECRET: &str = "a secret of some length ";

/// A file system of this size, in a directory of the world, which ends with it.
struct Small {
    path: PathBuf,
}

impl Small {
    fn mount(path: PathBuf, mebibytes: u32) -> Option<Self> {
        std::fs::create_dir_all(&path).unwrap();
        let options = format!("size={mebibytes}m,mode=700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(&path)
            .stderr(Stdio::null())
            .status();
        mounted.is_ok_and(|status| status.success()).then_some(Self { path })
    }

    fn filler(&self) -> PathBuf {
        self.path.join("filler")
    }

    /// Leaves so many bytes free.
    fn fill(&self, free: usize) {
        let mut file = File::create(self.filler()).unwrap();
        let block = vec![1; 4096];
        while file.write_all(&block).is_ok() {}
        let full = file.metadata().unwrap().len();
        file.set_len(full.saturating_sub(free as u64)).unwrap();
    }

    fn empty(&self) {
        let _ = std::fs::remove_file(self.filler());
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

fn files(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| !name.ends_with("-wal") && !name.ends_with("-shm"));
    names.sort();
    names
}

/// The keys, the secrets and the ways to unlock.
fn state(world: &World, home: &Path) -> String {
    let ask = |arguments: &[&str]| {
        let ran = at(world, home, arguments, "");
        assert_eq!(ran.code, Some(0), "{arguments:?}: {ran:?}");
        ran.stdout
    };
    ask(&["audit", "verify"]);
    let keys: serde_json::Value = serde_json::from_str(&ask(&["--json", "list"])).unwrap();
    let names: Vec<_> = keys["keys"].as_array().unwrap().iter().map(|key| key["name"].clone()).collect();
    format!("{names:?} {} {}", ask(&["secret", "list"]), ask(&["vault", "stanza", "list"]))
}

fn at(world: &World, home: &Path, arguments: &[&str], stdin: &str) -> Ran {
    world.run_with(arguments, stdin, |command| {
        command
            .env("KEEP_HOME", home)
            .env("KEEP_NEW_PASSWORD", "another one")
            .env("KEEP_HIDDEN_PASSWORD", "hidden one");
        if arguments.contains(&"restore") {
            command.args(CHEAP);
        }
    })
}

#[test]
fn a_full_disk_is_said_and_changes_nothing() {
    let world = World::new();
    let Some(small) = Small::mount(world.path().join("small"), 40) else {
        eprintln!(
            "skipped a_full_disk_is_said_and_changes_nothing: no small file system can be mounted here"
        );
        return;
    };
    let home = small.path.join("vault");
    let run = |arguments: &[&str], stdin: &str| at(&world, &home, arguments, stdin);
    // No room for the reserve.
    small.fill(10 << 20);
    let none = run(&["init"], "");
    assert_eq!(none.code, Some(7), "{none:?}");
    small.empty();
    assert_eq!(run(&["init"], "").code, Some(0));
    for n in 0..4 {
        assert_eq!(run(&["generate", "--name", &format!("key {n}")], "").code, Some(0));
    }
    let secret = SECRET.repeat(2_000);
    assert_eq!(run(&["secret", "add", "--name", "first"], &secret).code, Some(0));
    let recipient =
        include_str!("cli/hidden_use.rs").lines().find(|line| line.starts_with("const RECIPIENT")).unwrap();
    let recipient = recipient.split('"').nth(1).unwrap();
    let identity = include_str!("cli/hidden_use.rs")
        .lines()
        .find(|line| line.starts_with("pub const IDENTITY"))
        .unwrap();
    std::fs::write(small.path.join("identity"), identity.split('"').nth(1).unwrap()).unwrap();
    assert_eq!(run(&["backup", "--output", "small/all.age", "--recipient", recipient], "").code, Some(0));
    let restore =
        ["restore", "small/all.age", "--identity-file", "small/identity", "--target", "small/other"];
    let commands: [(&[&str], &str); 8] = [
        (&["generate", "--name", "another"], ""),
        (&["secret", "add", "--name", "second"], &secret),
        (&["delete", "--name", "key 3", "--yes"], ""),
        (&["vault", "stanza", "add", "--recovery-code"], ""),
        (&["rotate-data-key", "--yes"], ""),
        (&["backup", "--output", "small/again.age", "--recipient", recipient], ""),
        (&restore, ""),
        // The last, since another passphrase opens the vault afterwards.
        (&["rotate-password"], ""),
    ];
    let mut refused = 0;
    for (arguments, stdin) in commands {
        for free in [0, 8 << 10, 40 << 10] {
            let (before, there) = (state(&world, &home), files(&small.path));
            small.fill(free);
            let ran = run(arguments, stdin);
            small.empty();
            if ran.code == Some(0) {
                // There was room for this.
                break;
            }
            refused += 1;
            assert_eq!(ran.code, Some(7), "{arguments:?} with {free} bytes: {ran:?}");
            assert!(ran.stderr.contains("full") || ran.stderr.contains("space"), "{arguments:?}: {ran:?}");
            assert_eq!(state(&world, &home), before, "{arguments:?} with {free} bytes");
            assert_eq!(files(&small.path), there, "{arguments:?} with {free} bytes left something");
        }
    }
    println!("{refused} were refused");
    assert!(refused >= 8, "{refused}");
}
