//! Backups at the command line, beside a process that holds the vault unlocked.

use crate::hidden_use::IDENTITY;
use crate::world::{Ran, World};

const RECIPIENT: &str = "age1n72txnccwnne8udnfl9mepwucxnm6zren6nwe45f8tqra6cmyqvsrwtdxk";
const HIDDEN: &str = "a second battery staple";

fn backup(world: &World, file: &str, password: Option<&str>) -> Ran {
    world.run_with(&["--json", "backup", "--output", file, "--recipient", RECIPIENT], "", |command| {
        match password {
            Some(password) => command.env("KEEP_PASSWORD", password),
            None => command.env_remove("KEEP_PASSWORD"),
        };
    })
}

#[test]
fn a_backup_beside_the_daemon_wants_the_passphrase_of_the_vault_that_it_holds() {
    let world = World::new();
    let made = world.run_with(&["--hidden", "init"], "", |command| {
        command.env("KEEP_HIDDEN_PASSWORD", HIDDEN);
    });
    assert_eq!(made.code, Some(0), "{made:?}");
    std::fs::write(world.path().join("identity"), IDENTITY).unwrap();
    world.done(&["generate", "--name", "main"]);
    let right = crate::world::PASSPHRASE;
    let verified = |file: &str| {
        world.done(&["--json", "backup", "verify", file, "--identity-file", "identity"]).json()["keys"]
            .clone()
    };
    world.done(&["unlock"]);
    let whole = backup(&world, "whole.age", Some(right)).json();
    assert_eq!((&whole["keys"], verified("whole.age")), (&1.into(), 1.into()));
    assert_eq!(whole["bytes"], std::fs::metadata(world.path().join("whole.age")).unwrap().len());
    // The other vault's passphrase is as wrong as any.
    let [other, wrong, none] =
        [Some(HIDDEN), Some("no such vault"), None].map(|p| backup(&world, "none.age", p));
    assert_eq!((other.code, &other.stdout, &other.stderr), (wrong.code, &wrong.stdout, &wrong.stderr));
    assert_eq!((wrong.code, none.code), (Some(4), Some(4)), "{none:?}");
    let left: Vec<_> =
        std::fs::read_dir(world.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("none.age")), "{left:?}");
    assert_eq!(backup(&world, "whole.age", Some(right)).code, Some(5));
    assert!(world.done(&["list"]).stdout.contains("main"));
    // An unlocked hidden vault is backed up where it is.
    let hidden = |arguments: &[&str]| {
        let ran = world.run_with(arguments, "", |command| {
            command.env("KEEP_PASSWORD", HIDDEN);
        });
        assert_eq!(ran.code, Some(0), "{ran:?}");
    };
    hidden(&["unlock"]);
    hidden(&["generate", "--name", "one"]);
    hidden(&["generate", "--name", "two"]);
    assert_eq!(backup(&world, "hidden.age", Some(HIDDEN)).json()["keys"], 2);
    assert_eq!(verified("hidden.age"), 2);
    hidden(&["lock"]);
}

#[test]
fn a_backup_comes_through_a_pipe_too() {
    let world = World::new();
    world.done(&["init"]);
    world.done(&["generate", "--name", "main"]);
    std::fs::write(world.path().join("identity"), IDENTITY).unwrap();
    world.done(&["backup", "--output", "all.age", "--recipient", RECIPIENT]);
    let piped = |arguments: &[&str]| {
        let mut command = world.command(arguments);
        command.args(["--identity-file", "identity"]);
        if arguments[0] == "restore" {
            command.args(crate::world::CHEAP).env("KEEP_NEW_PASSWORD", "another one");
        }
        let (reader, mut writer) = std::io::pipe().unwrap();
        command.stdin(reader);
        let child = command.spawn().unwrap();
        drop(command);
        std::io::Write::write_all(&mut writer, &std::fs::read(world.path().join("all.age")).unwrap())
            .unwrap();
        drop(writer);
        child.wait_with_output().unwrap()
    };
    let verified = piped(&["backup", "verify", "/dev/stdin"]);
    assert!(verified.status.success(), "{verified:?}");
    let restored = piped(&["restore", "/dev/stdin", "--target", "new"]);
    assert!(restored.status.success(), "{restored:?}");
    let directory = world.run(&["backup", "verify", ".", "--identity-file", "identity"]);
    assert_eq!(directory.code, Some(5), "{directory:?}");
    let endless = world.run(&["backup", "verify", "/dev/zero", "--identity-file", "identity"]);
    assert_eq!(endless.code, Some(5), "{endless:?}");
}
