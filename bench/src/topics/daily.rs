//! The commands of every day, from the start of the program to its end, while the daemon holds a large vault unlocked; beside
//! the same program that only prints its version.

use std::cell::Cell;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use keep_audit::{Action, Draft, Outcome};
use keep_sdk::{EventTemplate, Home, Keep, Name, SecretText};
use keep_store::SqliteStore;
use keep_types::{KeyId, Origin, SystemClock};
use keep_vault::{Environment, Vault};

use super::fixture::{Place, options, passphrase};
use super::list::generate;
use super::size::program;
use crate::measure::Measure;
use crate::table::{Quantity, Row};

/// Keys of the vault; each has signed once.
const KEYS: usize = 1_000;
/// Entries of its log, at least.
const ENTRIES: usize = 100_000;
/// Entries of one commit.
const PER_COMMIT: usize = 250;
/// Stored secrets.
const SECRETS: usize = 100;

/// What is measured: words of the command line, where `{}` stands for another number each time.
const COMMANDS: &[&str] = &[
    "status",
    "list",
    "--json list",
    "vault info",
    "--key key-500 sign-event --kind 1 --content hello",
    "generate --name made-{}",
    "import --name brought-{}",
    "note --name key-7 noted-{}",
    "secret add --name stored-{}",
    "secret list",
    "audit list --limit 50",
    "audit stats",
    "nip46 apps",
    "agent list",
    "policy list",
    "--key key-500 bitcoin address",
];

pub fn rows() -> Result<Vec<Row>> {
    let keep = match std::env::var_os("KEEP_BIN") {
        Some(path) => PathBuf::from(path),
        None => program()?,
    };
    let place = Place::new()?;
    let daily =
        Daily { keep, home: place.home("daily")?, runtime: tempfile::tempdir()?, count: Cell::new(0) };
    fill(&daily.home)?;
    daily.run("unlock --for 1h")?;
    let rows: Result<Vec<Row>> = COMMANDS.iter().map(|command| daily.row(command)).collect();
    daily.run("lock")?;
    let mut rows = rows?;
    rows.extend(daily.backup()?);
    Ok(rows)
}

/// Whom the backup is for. Nobody has the secret key.
const RECIPIENT: &str = "age1n72txnccwnne8udnfl9mepwucxnm6zren6nwe45f8tqra6cmyqvsrwtdxk";

struct Daily {
    keep: PathBuf,
    home: Home,
    /// The daemon's socket lies here: its path must be short.
    runtime: tempfile::TempDir,
    count: Cell<u32>,
}

impl Daily {
    fn row(&self, command: &str) -> Result<Row> {
        self.run(command)?;
        let (ours, version) = Measure::DISK.both(|| drop(self.run(command)), || drop(self.run("--version")));
        Ok(Row::new(format!("keep {command}"), ours, "keep --version", version))
    }

    /// Everything, read, checked, encrypted and written.
    fn backup(&self) -> Result<Vec<Row>> {
        let file = self.runtime.path().join("backup.age");
        let command = format!("backup --force --output {} --recipient {RECIPIENT}", file.display());
        self.run(&command)?;
        let (ours, bare) = Measure::SLOW.both(|| drop(self.run(&command)), || drop(self.run("--version")));
        let length = std::fs::metadata(&file)?.len();
        let database = std::fs::metadata(self.home.path().join("keep.db"))?.len();
        Ok(vec![
            Row::new("keep backup, for a recipient", ours, "keep --version", bare),
            Row::new("  its file", Quantity::Bytes(length), "keep.db", Quantity::Bytes(database)),
        ])
    }

    fn run(&self, command: &str) -> Result<()> {
        let number = self.count.get() + 1;
        self.count.set(number);
        let words = command.split(' ').map(|word| word.replace("{}", &number.to_string()));
        let mut program = Command::new(&self.keep);
        program.args(words).env_clear().envs(self.environment());
        // A password only where there is no daemon: while there is one, no command may need it.
        if command.starts_with("unlock") || command.starts_with("backup") {
            program.env("KEEP_PASSWORD", passphrase().expose());
        }
        program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = program.spawn().context("the program does not start")?;
        if let Some(mut stdin) = child.stdin.take() {
            // A secret key for those who read one: any number below the order of the curve is one.
            let _ = writeln!(stdin, "{number:064x}");
        }
        let output = child.wait_with_output()?;
        ensure!(output.status.success(), "keep {command}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    fn environment(&self) -> Vec<(&'static str, OsString)> {
        let path = |path: &Path| path.as_os_str().to_owned();
        vec![
            ("KEEP_HOME", path(self.home.path())),
            ("HOME", path(self.runtime.path())),
            ("XDG_RUNTIME_DIR", path(self.runtime.path())),
            ("KEEP_ALLOW_WEAK_KDF", "1".into()),
        ]
    }
}

fn fill(home: &Home) -> Result<()> {
    let keep = Keep::create(home.clone(), &passphrase(), &options().state_directory(None))?;
    generate(&keep.keys(), "key-", KEYS)?;
    for key in keep.keys().list()? {
        keep.sign().event(&key, EventTemplate::new(1, "hello", vec![], 1_700_000_000))?;
    }
    for number in 1..=SECRETS {
        let secret = SecretText::from(format!("secret {number}"));
        keep.secrets().add(Name::new(&format!("stored-{number}"))?, secret, None, false)?;
    }
    drop(keep);
    let environment = Environment::new(SystemClock).allow_weak_kdf();
    let store = Arc::new(SqliteStore::open(home.path().join("keep.db"))?);
    let vault = Vault::open(store, &passphrase(), &environment)?;
    let key = vault.keys()?.first().map_or(KeyId::from_bytes([7; 16]), |key| key.id);
    for _ in 0..ENTRIES / PER_COMMIT {
        let entry = Draft::new(Action::SignEvent, Outcome::Allowed, &Origin::Cli).key(key).event_kind(1);
        let all = move |tx: &mut keep_vault::Tx<'_, '_>| {
            for _ in 0..PER_COMMIT {
                tx.audit(entry.clone().subject([9; 32]));
            }
            Ok(())
        };
        vault.submit(all).wait()?;
    }
    Ok(())
}
