//! What a person stumbles over in the first hour.

use std::os::unix::fs::{DirBuilderExt, PermissionsExt};

use crate::world::World;

#[test]
fn settings_that_were_meant_and_are_missing_are_an_error() {
    let world = World::with_key();
    let with = |arguments: &[&str], file: &str| {
        world.run_with(arguments, "", |command| {
            command.env("KEEP_CONFIG", file);
        })
    };
    let missing = with(&["--json", "sign-event", "--kind", "1", "--content", "x"], "missing.toml");
    assert_eq!((missing.code, missing.stdout.as_str()), (Some(3), ""), "{missing:?}");
    assert!(missing.error()["error"]["message"].as_str().unwrap().contains("missing.toml"), "{missing:?}");
    assert_eq!(with(&["config", "show"], "missing.toml").code, Some(3));
    // Nobody named one: none is needed.
    assert_eq!(world.run(&["config", "show"]).code, Some(0));
    assert_eq!(with(&["config", "show"], "").code, Some(0));
    // It can be written where it is to be.
    assert_eq!(with(&["config", "init"], "missing.toml").code, Some(0));
    assert_eq!(with(&["sign-event", "--kind", "1", "--content", "x"], "missing.toml").code, Some(0));
}

#[test]
fn help_that_cannot_be_written_is_an_error() {
    let world = World::new();
    for arguments in [&["help"][..], &["help", "serve"], &["--help"], &["serve", "--help"], &["--version"]] {
        let Ok(full) = std::fs::File::options().write(true).open("/dev/full") else {
            eprintln!("skipped: there is no /dev/full here");
            return;
        };
        let mut command = world.command(arguments);
        command.stdout(full);
        let ran = crate::world::finish(command.spawn().unwrap(), "");
        assert_eq!(ran.code, Some(7), "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains("stdout is full"), "{arguments:?}: {ran:?}");
        // A reader that has gone had enough.
        let mut command = world.command(arguments);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        command.stdout(writer);
        let ran = crate::world::finish(command.spawn().unwrap(), "");
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn a_vault_in_a_directory_of_others_is_warned_of() {
    let world = World::new();
    std::fs::DirBuilder::new().mode(0o755).create(world.path().join("vault")).unwrap();
    std::fs::set_permissions(world.path().join("vault"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let made = world.done(&["init"]);
    assert!(made.stderr.contains("can be read by others (mode 755)"), "{made:?}");
    assert!(made.stderr.contains("chmod go-rwx"), "{made:?}");
    // One that Keep makes is nobody else's.
    let world = World::new();
    let made = world.done(&["init"]);
    assert!(!made.stderr.contains("can be read by others"), "{made:?}");
}

#[test]
fn one_thing_is_no_plural() {
    let world = World::with_vault();
    std::fs::write(world.path().join("p.toml"), "name = \"p\"\n[[rule]]\neffect = \"allow\"\nkinds = [1]\n")
        .unwrap();
    assert!(world.done(&["policy", "check", "p.toml"]).stdout.contains("reads well, 1 rule\n"));
    assert!(world.done(&["policy", "add", "p.toml"]).stdout.contains("added, 1 rule\n"));
    let listed = world.done(&["policy", "list"]).stdout;
    assert!(listed.contains("1 rule  ") && !listed.contains("1 rules"), "{listed}");
    let simulated = world.done(&["policy", "simulate", "--policy", "p", "--since", "1d"]).stdout;
    assert!(simulated.starts_with("0 requests of 0 clients"), "{simulated}");
}

/// A question about a policy is none about a key.
#[test]
fn policies_are_explained_without_a_key() {
    let world = World::with_vault();
    let text = "name = \"p\"\notherwise = \"deny\"\n[[rule]]\neffect = \"allow\"\nkinds = [1]\nlimits = { per_day = 40 }\n";
    std::fs::write(world.path().join("p.toml"), text).unwrap();
    world.done(&["policy", "add", "p.toml"]);
    let said = world.done(&["policy", "explain", "--policy", "p", "--kind", "1"]).stdout;
    assert!(said.starts_with("allow: rule 1 of policy p allows it"), "{said}");
    assert!(said.contains("limit of rule 1: 40 a day for each client"), "{said}");
    let arguments = ["policy", "explain", "--policy", "p", "--method", "nip44_encrypt", "--peer", "self"];
    let whose = world.run(&arguments);
    assert_eq!(whose.code, Some(2), "{whose:?}");
    assert!(whose.stderr.contains("--key"), "{whose:?}");
}
