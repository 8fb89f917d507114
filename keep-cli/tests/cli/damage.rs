//! Vaults that something else has changed, cannot be written, or were made too cheap.

use std::process::Command;

use sha2::{Digest, Sha256};

use crate::world::{PUBKEY, World};

fn database(world: &World) -> rusqlite::Connection {
    rusqlite::Connection::open(world.vault_file("keep.db")).unwrap()
}

fn header(world: &World) -> Vec<u8> {
    database(world).query_row("SELECT value FROM meta WHERE key = 1", [], |row| row.get(0)).unwrap()
}

/// Replaces a sequence of bytes of the header, which must occur once, and makes its check bytes fit again.
fn change_header(world: &World, from: &[u8], to: &[u8]) {
    let mut before = header(world);
    before.truncate(before.len() - 8);
    let places: Vec<usize> = (0..before.len()).filter(|at| before[*at..].starts_with(from)).collect();
    assert_eq!(places.len(), 1, "{from:x?} in {before:x?}");
    let mut after = [&before[..places[0]], to, &before[places[0] + from.len()..]].concat();
    let check = Sha256::digest(&after);
    after.extend_from_slice(&check[..8]);
    database(world).execute("UPDATE meta SET value = ?1 WHERE key = 1", [after]).unwrap();
}

/// A vault whose database is lost may have a hidden one in its reserve: nothing makes a new vault over that.
#[test]
fn a_reserve_without_its_database_is_left_alone() {
    let world = World::with_vault();
    let reserve = || std::fs::read(world.vault_file("reserve")).unwrap();
    let before = reserve();
    for name in ["keep.db", "keep.db-wal", "keep.db-shm"] {
        let _ = std::fs::remove_file(world.vault_file(name));
    }
    let init = world.run(&["init"]);
    assert!(init.code == Some(5) && init.stderr.contains("the vault's reserve is there"), "{init:?}");
    let list = world.run(&["list"]);
    assert!(list.code == Some(3) && list.stderr.contains("put keep.db back"), "{list:?}");
    assert!(before == reserve());
    std::fs::rename(world.vault_file("reserve"), world.path().join("reserve")).unwrap();
    world.done(&["init"]);
}

/// The hidden vault outlives the one beside it.
#[test]
fn a_hidden_vault_opens_again_beside_a_new_database() {
    const HIDDEN: &str = "a second battery staple";
    let world = World::new();
    let hidden = |arguments: &[&str]| {
        world.run_with(arguments, "", |command| {
            command.env("KEEP_HIDDEN_PASSWORD", HIDDEN);
        })
    };
    let none = world.run(&["init", "--keep-reserve"]);
    assert_eq!(none.code, Some(3), "{none:?}");
    assert_eq!(hidden(&["--hidden", "init"]).code, Some(0));
    let there = world.run(&["init", "--keep-reserve"]);
    assert_eq!(there.code, Some(5), "{there:?}");
    assert_eq!(hidden(&["--hidden", "generate", "--name", "secret"]).code, Some(0));
    world.done(&["generate", "--name", "plain"]);
    for name in ["keep.db", "keep.db-wal", "keep.db-shm"] {
        let _ = std::fs::remove_file(world.vault_file(name));
    }
    let before = std::fs::read(world.vault_file("reserve")).unwrap();
    let doctor = world.run(&["doctor"]);
    assert!(doctor.code == Some(7) && doctor.stdout.contains("--keep-reserve"), "{doctor:?}");
    // The passphrase decides which one opens, so they cannot have the same.
    let same = world.run_with(&["init", "--keep-reserve"], "", |command| {
        command.env("KEEP_PASSWORD", HIDDEN);
    });
    assert_eq!(same.code, Some(5), "{same:?}");
    assert!(!world.vault_file("keep.db").exists());
    // The log of the lost database would be replayed into the new one.
    for left in ["keep.db-wal", "keep.db-journal"] {
        std::fs::write(world.vault_file(left), "committed, and not in keep.db yet").unwrap();
        let refused = world.run(&["init", "--keep-reserve"]);
        assert!(refused.code == Some(5) && refused.stderr.contains(left), "{refused:?}");
        assert!(!world.vault_file("keep.db").exists() && world.vault_file(left).exists());
        std::fs::remove_file(world.vault_file(left)).unwrap();
    }
    // What an interrupted attempt left is no hindrance, and no vault.
    std::fs::create_dir(world.vault_file("keep.new")).unwrap();
    std::fs::write(world.vault_file("keep.new/keep.db"), "half").unwrap();
    world.done(&["init", "--keep-reserve"]);
    assert!(before == std::fs::read(world.vault_file("reserve")).unwrap());
    assert!(!world.vault_file("keep.new").exists());
    assert_eq!(world.done(&["--json", "list"]).json()["keys"].as_array().unwrap().len(), 0);
    let listed = hidden(&["--hidden", "--json", "list"]).json();
    assert_eq!(listed["keys"][0]["name"], "secret");
    let event = hidden(&["--hidden", "sign-event", "--kind", "1", "--content", "still here"]).json();
    assert_eq!(event["content"], "still here");
    world.done(&["audit", "verify"]);
    world.done(&["doctor"]);
}

#[test]
fn absurd_costs_are_refused_at_once() {
    let world = World::with_key();
    // 64 KiB, 1 pass, 1 lane, then the salt: as written with the cheap derivation of these tests.
    let cheap = [0x00, 0x18, 0x40, 0x01, 0x01, 0x02, 0x01, 0x03, 0x58, 0x20];
    let absurd = [0x00, 0x1a, 0xff, 0xff, 0xff, 0xff, 0x01, 0x01, 0x02, 0x01, 0x03, 0x58, 0x20];
    change_header(&world, &cheap, &absurd);
    let ran = world.run(&["list"]);
    assert_eq!(ran.code, Some(7), "{ran:?}");
    assert!(ran.stderr.contains("impossible key derivation (4294967295 KiB"), "{ran:?}");
}

#[test]
fn a_cut_database_is_named() {
    for length in [0, 100, 4096, 9000] {
        let world = World::with_key();
        std::fs::File::options()
            .write(true)
            .open(world.vault_file("keep.db"))
            .unwrap()
            .set_len(length)
            .unwrap();
        let ran = world.run(&["--json", "list"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(7), ""), "{length}: {ran:?}");
        assert_eq!(ran.error()["error"]["code"], "integrity", "{length}: {ran:?}");
    }
}

#[test]
fn what_is_no_vault_is_left_alone() {
    let world = World::new();
    std::fs::create_dir(world.path().join("vault")).unwrap();
    std::fs::write(world.vault_file("keep.db"), "my diary\n".repeat(1000)).unwrap();
    assert_eq!(world.run(&["list"]).code, Some(7));
    assert_eq!(world.run(&["init"]).code, Some(5));
    assert!(std::fs::read_to_string(world.vault_file("keep.db")).unwrap().starts_with("my diary"));
}

#[test]
fn with_a_removed_row_keys_are_listed_and_nothing_is_signed() {
    let world = World::with_key();
    world.done(&["sign-event", "--kind", "1"]);
    // The collection of the audit log.
    let removed =
        database(&world).execute("DELETE FROM rows WHERE rev = (SELECT max(rev) FROM rows)", []).unwrap();
    assert!(removed > 0);

    let list = world.done(&["list"]);
    assert!(list.stdout.starts_with("main  npub1"), "{list:?}");
    assert!(list.stderr.contains("warning: the vault was changed by something that is not Keep"), "{list:?}");
    let list = world.done(&["--json", "list"]);
    assert_eq!(list.json()["keys"][0]["pubkey"], PUBKEY);
    assert_eq!(list.error()["warning"]["code"], "integrity");

    for arguments in [
        &["audit", "verify"][..],
        &["generate", "--name", "another"],
        &["delete", "--name", "main", "--yes"],
        &["sign-event", "--kind", "1"],
    ] {
        let ran = world.run(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(7), ""), "{arguments:?}: {ran:?}");
    }

    // Until its owner goes on with what is left.
    let doctor = world.run(&["doctor"]);
    assert!(doctor.code == Some(7) && doctor.stdout.contains("keep doctor --accept"), "{doctor:?}");
    assert_eq!(world.run(&["doctor", "--accept"]).code, Some(1));
    let accepted = world.done(&["--json", "doctor", "--accept", "--yes"]);
    let view = accepted.json();
    assert!(view["problems"][0].as_str().unwrap().contains("audit"), "{view}");
    assert_eq!(view["suspended"], 0);
    assert_eq!((&view["kinds"][0]["kind"], &view["signer"]), (&"audit".into(), &serde_json::Value::Null));
    world.done(&["sign-event", "--kind", "1"]);
    world.done(&["generate", "--name", "another"]);
    world.done(&["audit", "verify"]);
    let log = world.done(&["--json", "audit", "list"]).json();
    let entries = log["entries"].as_array().unwrap();
    assert!(entries.iter().any(|entry| entry["action"] == "damage_accepted"), "{log}");
    world.done(&["doctor"]);
    let again = world.run(&["--json", "doctor", "--accept", "--yes"]);
    assert_eq!(
        (again.code, &again.error()["error"]["code"]),
        (Some(5), &"invalid_input".into()),
        "{again:?}"
    );
}

#[test]
fn what_is_left_is_accepted_once_nobody_holds_the_vault() {
    let world = World::with_key();
    world.done(&[
        "--key",
        "main",
        "nip46",
        "token",
        "create",
        "--policy",
        "social",
        "--relay",
        "ws://127.0.0.1:1",
    ]);
    world.done(&["unlock"]);
    // The key's record is gone, and with it what could be signed with it.
    assert_eq!(database(&world).execute("DELETE FROM rows WHERE coll = 1", []).unwrap(), 1);
    let verified = world.run(&["audit", "verify"]);
    assert_eq!(verified.code, Some(7), "{verified:?}");
    let held = world.run(&["--json", "doctor", "--accept", "--yes"]);
    assert!(held.code == Some(7) && held.stderr.contains("keep lock"), "{held:?}");
    world.done(&["lock"]);
    let bare = world.run_with(&["doctor", "--accept", "--yes"], "", |command| {
        command.env_remove("KEEP_PASSWORD");
    });
    assert_eq!(bare.code, Some(4), "{bare:?}");
    let view = world.done(&["--json", "doctor", "--accept", "--yes"]).json();
    assert!(view["problems"].to_string().contains("the key \\\"main\\\" is missing"), "{view}");
    assert_eq!(view["suspended"], 1);
    world.done(&["audit", "verify"]);
    // What was chosen may be among what is gone.
    assert_eq!(world.run(&["unlock", "--again"]).code, Some(4));
    // Its secret was still there, and so is the key.
    let keys = world.done(&["--json", "list"]).json();
    assert_eq!((&keys["keys"][0]["pubkey"], keys["keys"].as_array().unwrap().len()), (&PUBKEY.into(), 1));
    assert!(keys["keys"][0]["name"].as_str().unwrap().starts_with("recovered "), "{keys}");
    world.done(&["sign-event", "--kind", "1"]);
    world.done(&["audit", "verify"]);
}

#[test]
fn a_lost_reserve_is_named_with_what_helps() {
    let world = World::with_key();
    std::fs::remove_file(world.vault_file("reserve")).unwrap();
    world.done(&["list"]);
    let doctor = world.run(&["doctor"]);
    assert_eq!(doctor.code, Some(7), "{doctor:?}");
    assert!(doctor.stdout.contains("is lost") && doctor.stdout.contains("keep reserve reset"), "{doctor:?}");
    world.done(&["reserve", "reset", "--yes"]);
    world.done(&["doctor"]);
}

#[test]
fn keys_of_a_vault_that_does_not_open_can_be_rescued() {
    let world = World::with_key();
    // The sealed head: without it nothing can be opened, recorded or signed.
    assert_eq!(database(&world).execute("UPDATE meta SET value = x'00' WHERE key = 2", []).unwrap(), 1);
    let ran = world.run(&["list"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(7), ""), "{ran:?}");
    assert!(ran.stderr.contains("keep list --rescue"), "{ran:?}");

    let list = world.done(&["--json", "list", "--rescue"]);
    assert_eq!(list.json()["keys"][0]["pubkey"], PUBKEY);
    assert!(list.error()["warning"]["message"].as_str().unwrap().contains("not recorded"), "{list:?}");
    let exported = world.run_with(&["export", "--name", "main", "--ncryptsec", "--rescue"], "", |command| {
        command.env("KEEP_PASSPHRASE", "another one");
    });
    assert!(exported.code == Some(0) && exported.stdout.starts_with("ncryptsec1"), "{exported:?}");
    let none = world.run(&["export", "--name", "other", "--ncryptsec", "--rescue"]);
    assert_ne!(none.code, Some(0), "{none:?}");
    // The right passphrase is still needed.
    let wrong = world.run_with(&["list", "--rescue"], "", |command| {
        command.env("KEEP_PASSWORD", "not this one");
    });
    assert_eq!((wrong.code, wrong.stdout.as_str()), (Some(4), ""), "{wrong:?}");
}

#[test]
fn a_release_build_wants_to_be_told_about_cheap_vaults() {
    let world = World::with_key();
    let ran = world.run_with(&["list"], "", |command| {
        command.env_remove("KEEP_ALLOW_WEAK_KDF");
    });
    if cfg!(debug_assertions) {
        assert_eq!(ran.code, Some(0), "{ran:?}");
        return;
    }
    assert_eq!(ran.code, Some(5), "{ran:?}");
    assert!(ran.stderr.contains("--allow-weak-kdf"), "{ran:?}");
    world.done(&["--allow-weak-kdf", "list"]);
}

/// Runs a script with a directory of this size (in KiB) at `$DIR`, if this machine lets us.
fn on_a_small_disk(world: &World, kib: u32, script: &str) -> Option<std::process::Output> {
    let disk = world.path().join("disk");
    std::fs::create_dir_all(&disk).unwrap();
    let mount = format!("mount -t tmpfs -o size={kib}k tmpfs \"$DIR\" || exit 99\n{script}");
    let keep = world.command(&[]);
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &mount]).env_clear();
    command.envs(keep.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("DIR", &disk).env("KEEP_HOME", disk.join("vault")).env("KEEP", keep.get_program());
    let output = command.output().ok()?;
    (output.status.code() != Some(99) && !output.stderr.starts_with(b"unshare")).then_some(output)
}

#[test]
fn a_full_disk_is_said_and_nothing_is_lost() {
    let world = World::new();
    let cheap = crate::world::CHEAP.join(" ");
    // Too small for the reserve; then just enough for a vault, and filled by something else.
    let script = format!(
        "\"$KEEP\" --json init {cheap}; echo \"init $?\"; ls \"$DIR\"/vault\n\
         mount -o remount,size=17500k \"$DIR\"\n\
         \"$KEEP\" --quiet init {cheap} && \"$KEEP\" --quiet generate --name main || exit 1\n\
         dd if=/dev/zero of=\"$DIR\"/fill bs=1024 count=20000 2>/dev/null\n\
         n=0; while \"$KEEP\" --quiet generate --name k$n >/dev/null 2>&1; do n=$((n+1)); done\n\
         \"$KEEP\" --json generate --name more; echo \"generate $?\"; rm \"$DIR\"/fill\n\
         \"$KEEP\" --quiet generate --name after >/dev/null && \"$KEEP\" --quiet audit verify >/dev/null && \"$KEEP\" list"
    );
    let Some(output) = on_a_small_disk(&world, 4096, &script) else {
        eprintln!("skipped: this machine does not let us mount a small disk");
        return;
    };
    let (stdout, stderr) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(stdout.starts_with("init 7\nok a vault"), "something was left behind:\n{stdout}{stderr}");
    assert!(stdout.contains("generate 7\n"), "{stdout}{stderr}");
    assert_eq!(stderr.matches(r#""code":"storage_full""#).count(), 2, "{stderr}");
    assert!(
        output.status.success() && stdout.contains("\nmain ") && stdout.contains("\nafter "),
        "{stdout}{stderr}"
    );
}

/// A hidden vault of which a part is damaged is read as it was before, and nothing is written to it until its owner goes on.
#[test]
fn a_damaged_hidden_vault_is_kept_as_it_is_until_its_owner_goes_on() {
    const HIDDEN: &str = "a second battery staple";
    let world = World::new();
    let hidden = |arguments: &[&str]| {
        world.run_with(arguments, "", |command| {
            command.env("KEEP_HIDDEN_PASSWORD", HIDDEN);
        })
    };
    assert_eq!(hidden(&["--hidden", "init"]).code, Some(0));
    for name in ["one", "two", "three"] {
        assert_eq!(hidden(&["--hidden", "generate", "--name", name]).code, Some(0));
    }
    let file = world.vault_file("reserve");
    let mut bytes = std::fs::read(&file).unwrap();
    // The second block of the journal.
    bytes[(14 << 20) + 2 * 4096 + 1000] ^= 1;
    std::fs::write(&file, &bytes).unwrap();

    let listed = hidden(&["--json", "--hidden", "list"]);
    assert!(listed.json()["keys"].as_array().unwrap().len() < 3, "{listed:?}");
    assert_eq!(listed.error()["warning"]["code"], "integrity");
    for arguments in [&["--hidden", "generate", "--name", "four"][..], &["--hidden", "unlock"]] {
        let refused = hidden(arguments);
        assert_eq!(refused.code, Some(7), "{arguments:?}: {refused:?}");
    }
    let doctor = hidden(&["--hidden", "doctor"]);
    assert!(doctor.code == Some(7) && doctor.stdout.contains("keep doctor --accept"), "{doctor:?}");
    assert!(doctor.stdout.contains("its latest changes is damaged"), "{doctor:?}");
    assert!(std::fs::read(&file).unwrap() == bytes, "something was written");

    let accepted = hidden(&["--json", "--hidden", "doctor", "--accept", "--yes"]);
    assert!(accepted.json()["problems"].to_string().contains("its latest changes"), "{accepted:?}");
    assert_eq!(hidden(&["--hidden", "generate", "--name", "four"]).code, Some(0));
    let log = hidden(&["--json", "--hidden", "audit", "list"]).stdout;
    assert!(log.contains("damage_accepted"), "{log}");
    let listed = hidden(&["--json", "--hidden", "list"]);
    assert!(listed.stderr.is_empty() && listed.stdout.contains("four"), "{listed:?}");
}
