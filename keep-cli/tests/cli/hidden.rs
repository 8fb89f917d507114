//! A vault with a hidden one beside a vault without: what an onlooker can compare is the same.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::serving::{Net, Serving};
use crate::world::{NSEC, Ran, World};

const HIDDEN: &str = "a second battery staple";
const RESERVE: usize = 16 << 20;

/// A command in the hidden vault.
fn inside(world: &World, arguments: &[&str]) -> Ran {
    world.run_with(arguments, NSEC, |command| {
        command.env("KEEP_PASSWORD", HIDDEN);
    })
}

fn done(ran: Ran) -> Ran {
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran
}

/// A vault with a key, and a hidden one in which much was done.
fn with_hidden() -> World {
    let world = World::new();
    let ran = world.run_with(&["--hidden", "init"], "", |command| {
        command.env("KEEP_HIDDEN_PASSWORD", HIDDEN);
    });
    done(ran);
    done(inside(&world, &["import", "--name", "main"]));
    for n in 0..3 {
        done(inside(&world, &["generate", "--name", &format!("key {n}")]));
    }
    done(inside(&world, &["--key", "main", "sign-event", "--kind", "1", "--content", "hidden words"]));
    done(inside(&world, &["delete", "--name", "key 1", "--yes"]));
    done(world.run(&["generate", "--name", "outer key"]));
    world
}

fn without() -> World {
    let world = World::with_vault();
    done(world.run(&["generate", "--name", "outer key"]));
    world
}

/// Name, length, mode and owner of everything below the world's directory.
fn files(world: &World) -> BTreeMap<String, (u64, u32, u32)> {
    fn walk(root: &Path, directory: &Path, found: &mut BTreeMap<String, (u64, u32, u32)>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let mut name = path.strip_prefix(root).unwrap().display().to_string();
            // The mark of the outer vault's revision is named after the vault.
            if path.parent().is_some_and(|parent| parent.ends_with(".local/state/keep")) {
                name = ".local/state/keep/MARK".to_owned();
            }
            found.insert(name, (if meta.is_dir() { 0 } else { meta.len() }, meta.mode(), meta.uid()));
            if meta.is_dir() {
                walk(root, &path, found);
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(world.path(), world.path(), &mut found);
    found
}

/// The header as stored, and how many rows each collection has.
fn database(world: &World) -> (usize, Vec<(u8, i64)>) {
    let conn = rusqlite::Connection::open(world.vault_file("keep.db")).unwrap();
    let header: Vec<u8> =
        conn.query_row("SELECT value FROM meta WHERE key = 1", [], |row| row.get(0)).unwrap();
    let mut rows = conn.prepare("SELECT coll, count(*) FROM rows GROUP BY coll").unwrap();
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    (header.len(), rows.map(Result::unwrap).collect())
}

#[test]
fn names_sizes_modes_and_headers_are_the_same() {
    let (with, without) = (with_hidden(), without());
    assert_eq!(files(&with), files(&without));
    assert_eq!(database(&with), database(&without));
    let times = |world: &World| {
        let modified = |name: &str| fs::metadata(world.vault_file(name)).unwrap().modified().unwrap();
        let times = ["keep.db", "reserve", "next.lock", "write.lock"].map(modified);
        times.iter().max().unwrap().duration_since(*times.iter().min().unwrap()).unwrap()
    };
    done(inside(&with, &["generate", "--name", "late"]));
    done(without.run(&["list"]));
    for world in [&with, &without] {
        assert!(times(world) < Duration::from_millis(50), "{:?}", times(world));
    }
}

/// How far chi-squared with 255 degrees of freedom is from its mean, in standard deviations (after Wilson and Hilferty).
fn deviation(counts: &[u32; 256]) -> f64 {
    let total: u32 = counts.iter().sum();
    let expected = f64::from(total) / 256.0;
    let chi: f64 = counts.iter().map(|count| (f64::from(*count) - expected).powi(2) / expected).sum();
    let spread = 2.0 / (9.0 * 255.0);
    ((chi / 255.0).cbrt() - (1.0 - spread)) / spread.sqrt()
}

/// Byte frequencies are even: over the whole file (16 Mi bytes; beyond 5 standard deviations, false alarm 6e-7), and at
/// each of the 4,096 places of a 4 KiB block (4,096 bytes each; beyond 6.5, false alarm 4,096 × 8e-11 = 3e-7). No 16 bytes
/// occur twice at multiples of 16 (2^20 of them: false alarm 2^-89). So for both files a false alarm in about 2e-6 of runs.
fn assert_random(bytes: &[u8], whose: &str) {
    assert_eq!(bytes.len(), RESERVE);
    let mut whole = [0_u32; 256];
    let mut places = vec![[0_u32; 256]; 4096];
    for block in bytes.chunks(4096) {
        for (place, byte) in places.iter_mut().zip(block) {
            place[usize::from(*byte)] += 1;
            whole[usize::from(*byte)] += 1;
        }
    }
    let frequencies = deviation(&whole);
    let worst = places.iter().map(|place| deviation(place).abs()).fold(0.0, f64::max);
    println!("{whose}: {frequencies:.2} standard deviations, at the worst place {worst:.2}");
    assert!(frequencies.abs() < 5.0 && worst < 6.5, "{whose}: {frequencies} {worst}");
    let mut pieces: Vec<&[u8]> = bytes.chunks(16).collect();
    pieces.sort_unstable();
    assert!(pieces.windows(2).all(|pair| pair[0] != pair[1]), "{whose}: repeated bytes");
}

#[test]
fn the_bytes_of_the_reserve_are_random_with_and_without() {
    let (with, without) = (with_hidden(), without());
    for (world, whose) in [(&with, "with a hidden vault"), (&without, "without")] {
        assert_random(&fs::read(world.vault_file("reserve")).unwrap(), whose);
    }
    // The test would notice: a single slot header left in clear.
    let mut bytes = fs::read(with.vault_file("reserve")).unwrap();
    for block in bytes.chunks_mut(4096) {
        block[4000] &= 0x7f;
    }
    assert!(std::panic::catch_unwind(|| assert_random(&bytes, "with a bit that says something")).is_err());
}

#[test]
fn a_wrong_passphrase_says_the_same_with_and_without() {
    let (with, without) = (with_hidden(), without());
    let attempt = |world: &World, arguments: &[&str]| {
        let ran = world.run_with(arguments, "", |command| {
            command.env("KEEP_PASSWORD", "neither of them").env("RUST_LOG", "trace");
        });
        let place = world.path().display().to_string();
        // The time at the beginning of a log line says nothing about the vault.
        let plain = |text: &str| -> Vec<String> {
            text.replace(&place, "DIR")
                .lines()
                .map(|line| line.split_once("Z ").map_or(line, |(_, rest)| rest).to_owned())
                .collect()
        };
        assert_eq!(ran.code, Some(4), "{ran:?}");
        (plain(&ran.stdout), plain(&ran.stderr))
    };
    for arguments in [
        &["list"][..],
        &["--hidden", "list"],
        &["--json", "--hidden", "list"],
        &["-vvv", "generate", "--name", "x"],
        &["-vvv", "--hidden", "audit", "verify"],
    ] {
        assert_eq!(attempt(&with, arguments), attempt(&without, arguments), "{arguments:?}");
    }
    assert_eq!(attempt(&with, &["list"]).1[..1], ["error: the passphrase does not open this vault"]);
}

#[test]
fn the_outer_vault_and_the_surroundings_know_nothing() {
    let (with, without) = (with_hidden(), without());
    let log = |world: &World| {
        let log = done(world.run(&["--json", "audit", "list"])).json();
        let entries = log["entries"].as_array().unwrap().clone();
        let told = |entry: &serde_json::Value| {
            (entry["action"].clone(), entry["outcome"].clone(), entry["reason"].clone())
        };
        entries.iter().map(told).collect::<Vec<_>>()
    };
    assert_eq!(log(&with), log(&without));
    // Nothing but the vault's own files was left anywhere (HOME and TMPDIR are in the world's directory).
    let left: Vec<String> = files(&with).into_keys().filter(|name| !name.starts_with("vault")).collect();
    assert_eq!(left, [".local", ".local/state", ".local/state/keep", ".local/state/keep/MARK", "run", "tmp"]);
    // Nor do words of the hidden vault stand in clear in any file.
    for name in ["keep.db", "reserve", "next.lock", "write.lock"] {
        let bytes = fs::read(with.vault_file(name)).unwrap();
        for word in ["hidden words", "key 1", HIDDEN, "hidden"] {
            let found = bytes.windows(word.len()).any(|window| window == word.as_bytes());
            assert!(!found, "{word} in {name}");
        }
    }
}

#[test]
fn one_process_at_a_time_and_the_outer_vault_beside_it() {
    let (world, net) = (with_hidden(), Net::new());
    let mut command =
        world.command(&["--json", "--key", "main", "serve", "--headless", "--relay", &net.url()]);
    command.env("KEEP_PASSWORD", HIDDEN);
    let serving = Serving::of(command);
    let first = serving.next();
    let client = net.connect(first["bunker_url"].as_str().unwrap()).unwrap();
    let event = net.sign(&client, 1, "from the hidden vault").unwrap();
    assert!(event.verify().is_ok());
    // The other vault is not kept waiting, and does not notice.
    done(world.run(&["generate", "--name", "meanwhile"]));
    let outer = done(world.run(&["list"])).stdout;
    assert!(outer.contains("meanwhile"), "{outer}");
    // Commands for the hidden one reach it through the bunker.
    let hidden = done(inside(&world, &["list"])).stdout;
    assert!(!hidden.contains("meanwhile"), "{hidden}");
    // Another process cannot open it, and nothing is overwritten meanwhile.
    let other = world.run_with(&["--hidden", "init", "--yes"], "", |command| {
        command.env("KEEP_HIDDEN_PASSWORD", "a third one");
    });
    assert_eq!(other.code, Some(7), "{other:?}");
    assert!(other.stderr.contains("open in one process at a time"), "{other:?}");
    // A kill loses nothing that was answered.
    drop(serving);
    let log = done(inside(&world, &["audit", "list"])).stdout;
    assert_eq!(log.matches("sign_event").count(), 2, "one by the owner, one for the client: {log}");
    done(inside(&world, &["audit", "verify"]));
}

/// A process that holds the hidden vault unlocked keeps it for as long as it lives: whoever cannot go through it is told at
/// once, and does not wait the ten seconds that a command is given.
#[test]
fn nobody_waits_for_a_process_that_does_not_let_go() {
    let (world, without) = (with_hidden(), without());
    done(inside(&world, &["unlock"]));
    let commands = 5;
    let began = Instant::now();
    for _ in 0..commands {
        assert!(done(inside(&world, &["list"])).stdout.contains("main"));
    }
    assert!(began.elapsed() < commands * Duration::from_secs(10), "{:?}", began.elapsed());
    let status = done(world.run(&["--json", "status"])).stdout;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    // This one opens the vault itself.
    let refused = inside(&world, &["rotate-data-key", "--yes"]);
    assert_eq!(refused.code, Some(7), "{refused:?}");
    for said in [format!("process {} holds this vault unlocked", status["pid"]), "keep lock".to_owned()] {
        assert!(refused.stderr.contains(&said), "{refused:?}");
    }
    // The other passphrase opens the other vault meanwhile, and a wrong one none, in the same words as ever.
    assert!(done(world.run(&["list"])).stdout.contains("outer key"));
    let wrong = |world: &World| {
        let ran = world.run_with(&["list"], "", |command| {
            command.env("KEEP_PASSWORD", "no such vault");
        });
        (ran.code, ran.stdout, ran.stderr)
    };
    assert_eq!(wrong(&world), wrong(&without));
    assert_eq!(wrong(&world).0, Some(4));
    done(inside(&world, &["lock"]));
    done(inside(&world, &["rotate-data-key", "--yes"]));
}
