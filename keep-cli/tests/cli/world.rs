//! A directory with a vault in it, and `keep` run there.

use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The passphrase of the test vaults.
pub const PASSPHRASE: &str = "correct horse battery staple";
/// A secret key, and the public key that belongs to it (the examples of NIP-19).
pub const NSEC: &str = "nsec1vl029mgpspedva04g90vltkh6fvh240zqtv9k0t9af8935ke9laqsnlfe5";
pub const PUBKEY: &str = "7e7e9c42a91bfef19fa929e5fda1b72e0ebc1a4c1141673e2794234d86addf4e";

/// A key derivation that tests can afford. A release build takes it because of `KEEP_ALLOW_WEAK_KDF`.
pub const CHEAP: [&str; 6] = ["--kdf-memory-kib", "64", "--kdf-iterations", "1", "--kdf-lanes", "1"];

/// What a command printed, and how it ended.
#[derive(Debug)]
pub struct Ran {
    pub stdout: String,
    pub stderr: String,
    pub code: Option<i32>,
}

impl Ran {
    /// The JSON value on stdout; the command must have succeeded.
    pub fn json(&self) -> serde_json::Value {
        assert_eq!(self.code, Some(0), "{self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The error on stderr as JSON.
    pub fn error(&self) -> serde_json::Value {
        serde_json::from_str(&self.stderr).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

pub struct World {
    directory: tempfile::TempDir,
}

impl World {
    /// An empty directory.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("tmp")).unwrap();
        std::fs::DirBuilder::new().mode(0o700).create(directory.path().join("run")).unwrap();
        Self { directory }
    }

    /// A vault without keys.
    pub fn with_vault() -> Self {
        let world = Self::new();
        assert_eq!(world.run(&["init"]).code, Some(0));
        world
    }

    /// A vault with the key [`NSEC`] as `main`.
    pub fn with_key() -> Self {
        let world = Self::with_vault();
        let ran = world.run_with(&["import", "--name", "main"], NSEC, |_| {});
        assert_eq!(ran.code, Some(0), "{ran:?}");
        world
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A file of the vault.
    pub fn vault_file(&self, name: &str) -> PathBuf {
        self.path().join("vault").join(name)
    }

    /// `keep` with nothing from this process's environment but the path.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keep"));
        command.args(arguments).current_dir(self.path()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.path()).env("TMPDIR", self.path().join("tmp"));
        command.env("KEEP_HOME", self.path().join("vault")).env("KEEP_PASSWORD", PASSPHRASE);
        command.env("KEEP_ALLOW_WEAK_KDF", "1").env("XDG_RUNTIME_DIR", self.path().join("run"));
        if let Some(coverage) = std::env::var_os("LLVM_PROFILE_FILE") {
            command.env("LLVM_PROFILE_FILE", coverage);
        }
        if arguments.iter().any(|word| ["init", "quickstart"].contains(word))
            && !arguments.iter().any(|word| ["help", "config"].contains(word))
        {
            command.args(CHEAP);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, "", |_| {})
    }

    /// Runs a command with this on stdin, after `change` had its way with it.
    pub fn run_with(&self, arguments: &[&str], stdin: &str, change: impl FnOnce(&mut Command)) -> Ran {
        let mut command = self.command(arguments);
        change(&mut command);
        finish(command.spawn().unwrap(), stdin)
    }

    /// Runs a command that must succeed.
    pub fn done(&self, arguments: &[&str]) -> Ran {
        let ran = self.run(arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?}: {ran:?}");
        ran
    }
}

/// Gives a child its stdin and waits for its end.
pub fn finish(mut child: Child, stdin: &str) -> Ran {
    // A command that does not read its stdin may be gone before it is written.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    Ran {
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
        code: output.status.code(),
    }
}
