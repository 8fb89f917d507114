//! The test programs of the workspace, built once and then run one by one, each with its own time and name.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::context::Job;
use crate::process::run_with_stdout;
use crate::tally::Tally;
use crate::workspace::{Package, Workspace, cargo};

/// An integration test whose file name starts with one of these is long-running by nature: it kills processes, tears
/// writes, or plays whole histories.
pub const LONG_PREFIXES: &[&str] = &["crash", "fault", "simulation", "soak"];

/// Which suite runs a test program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Unit and behaviour tests of the libraries and tools.
    Unit,
    /// Whole histories with crashes and faults.
    Durability,
    /// The command line from the outside.
    Cli,
    /// The parsers under mutated input.
    Fuzz,
}

/// What one build made.
#[derive(Debug, Default)]
pub struct Artifacts {
    programs: Vec<Program>,
    /// Files of libraries.
    libraries: Vec<PathBuf>,
}

/// An executable.
#[derive(Debug, Clone)]
pub struct Program {
    package: String,
    target: String,
    /// `lib`, `bin`, `test`, `example`, …
    kind: String,
    test: bool,
    path: PathBuf,
}

#[derive(Deserialize)]
struct Message {
    reason: String,
    package_id: Option<String>,
    target: Option<Target>,
    profile: Option<Profile>,
    executable: Option<PathBuf>,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

impl Artifacts {
    /// Builds every test of the workspace.
    pub fn build(job: &Job<'_>) -> Result<Self> {
        let messages = job.log.path().with_extension("json");
        let stdout =
            File::create(&messages).with_context(|| format!("cannot create {}", messages.display()))?;
        let mut command = cargo();
        command.args(["test", "--workspace", "--no-run", "--message-format=json-render-diagnostics"]);
        let finished = run_with_stdout(command.current_dir(job.root()), stdout, &job.log, job.deadline)?;
        if !finished.end.success() {
            bail!("the tests do not build: {}", finished.end);
        }
        Ok(Self::read(&job.context.workspace, &fs::read_to_string(&messages)?))
    }

    fn read(workspace: &Workspace, messages: &str) -> Self {
        let of = |id: &str| workspace.packages().iter().find(|package| package.id == id);
        let program = |line: &str| {
            let message: Message = serde_json::from_str(line).ok()?;
            let (target, profile) = (message.target?, message.profile?);
            (message.reason == "compiler-artifact").then_some(())?;
            Some(Program {
                package: of(&message.package_id?)?.name.clone(),
                target: target.name,
                kind: target.kind.into_iter().next().unwrap_or_default(),
                test: profile.test,
                path: message.executable?,
            })
        };
        let files = |line: &str| serde_json::from_str::<Message>(line).ok().map(|message| message.filenames);
        Self {
            programs: messages.lines().filter_map(program).collect(),
            libraries: messages.lines().filter_map(files).flatten().collect(),
        }
    }

    /// The test programs of a group.
    pub fn tests(&self, group: Group) -> impl Iterator<Item = &Program> {
        self.programs.iter().filter(move |program| program.test && program.group() == group)
    }

    /// The test program of this name.
    pub fn test(&self, name: &str) -> Option<&Path> {
        let found = self.programs.iter().find(|program| program.test && program.name() == name);
        found.map(|program| program.path.as_path())
    }

    /// The program that people run, as its package's integration tests see it.
    pub fn binary(&self, name: &str) -> Option<&Path> {
        let found = self
            .programs
            .iter()
            .find(|program| program.kind == "bin" && !program.test && program.target == name);
        found.map(|program| program.path.as_path())
    }

    /// A library that programs of other languages load, by its crate's name.
    pub fn library(&self, name: &str) -> Option<&Path> {
        use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
        let file = format!("{DLL_PREFIX}{name}{DLL_SUFFIX}");
        self.libraries.iter().map(PathBuf::as_path).find(|path| path.ends_with(&file))
    }

    fn binaries_of<'a>(&'a self, package: &'a str) -> impl Iterator<Item = &'a Program> {
        self.programs
            .iter()
            .filter(move |program| program.kind == "bin" && !program.test && program.package == package)
    }
}

impl Program {
    /// `keep-store` for the tests inside a crate, `keep-store/crash` for `tests/crash.rs`.
    pub fn name(&self) -> String {
        match self.kind.as_str() {
            "lib" | "proc-macro" => self.package.clone(),
            _ => format!("{}/{}", self.package, self.target),
        }
    }

    fn group(&self) -> Group {
        let integration = self.kind == "test";
        if self.package == "keep-fuzz" {
            Group::Fuzz
        } else if integration && LONG_PREFIXES.iter().any(|prefix| self.target.starts_with(prefix)) {
            Group::Durability
        } else if integration && self.package == "keep-cli" {
            Group::Cli
        } else {
            Group::Unit
        }
    }

    /// Runs all its tests, in the directory and environment that cargo would give it.
    pub fn run(&self, job: &Job<'_>, artifacts: &Artifacts, environment: &[(&str, &str)]) -> Result<Tally> {
        let package =
            job.context.workspace.package(&self.package).context("a package of the build is gone")?;
        let mut command = Command::new(&self.path);
        command.current_dir(package.dir()).envs(environment.iter().copied());
        as_cargo_would(&mut command, package, artifacts);
        let finished = job.run(&mut command)?;
        let mut tally = Tally::from_libtest(&self.name(), &finished.output);
        let counted = tally != Tally::default() || finished.output.contains("test result: ");
        match (finished.end.success(), counted) {
            (true, true) => {}
            // A test program without the harness: its exit code is its verdict.
            (true, false) => tally.passed = 1,
            (false, _) if tally.failed.is_empty() => {
                tally.failed.push(format!("{}: {}", self.name(), finished.end));
            }
            (false, _) => {}
        }
        Ok(tally)
    }
}

fn as_cargo_would(command: &mut Command, package: &Package, artifacts: &Artifacts) {
    command
        .env("CARGO", cargo().get_program())
        .env("CARGO_MANIFEST_DIR", package.dir())
        .env("CARGO_MANIFEST_PATH", &package.manifest_path)
        .env("CARGO_PKG_NAME", &package.name)
        .env("CARGO_PKG_VERSION", &package.version);
    for binary in artifacts.binaries_of(&package.name) {
        command.env(format!("CARGO_BIN_EXE_{}", binary.target), &binary.path);
    }
}

#[cfg(test)]
mod tests {
    use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};

    use super::*;

    fn program(package: &str, target: &str, kind: &str) -> Program {
        let (package, target, kind) = (package.to_owned(), target.to_owned(), kind.to_owned());
        Program { package, target, kind, test: true, path: PathBuf::new() }
    }

    #[test]
    fn programs_find_their_suite() {
        for (package, target, kind, group) in [
            ("keep-store", "keep_store", "lib", Group::Unit),
            ("keep-store", "conformance", "test", Group::Unit),
            ("keep-store", "crash_points", "test", Group::Durability),
            ("keep-sdk", "fault_layer", "test", Group::Durability),
            ("keep-cli", "keep", "bin", Group::Unit),
            ("keep-cli", "cases", "test", Group::Cli),
            ("keep-fuzz", "keep_fuzz", "lib", Group::Fuzz),
        ] {
            assert_eq!(program(package, target, kind).group(), group, "{package} {target}");
        }
    }

    #[test]
    fn build_messages_become_programs() {
        let workspace = Workspace::load().unwrap();
        let id = &workspace.package("xtask").unwrap().id;
        let messages = format!(
            r#"{{"reason":"build-script-executed","package_id":"x"}}
{{"reason":"compiler-artifact","package_id":"{id}","target":{{"kind":["bin"],"name":"xtask"}},"profile":{{"test":true}},"executable":"/t/xtask-1"}}
{{"reason":"compiler-artifact","package_id":"{id}","target":{{"kind":["bin"],"name":"xtask"}},"profile":{{"test":false}},"executable":"/t/xtask"}}
{{"reason":"compiler-artifact","package_id":"registry+x#y","target":{{"kind":["lib"],"name":"y"}},"profile":{{"test":false}},"executable":null,"filenames":["/t/deps/liby.rlib","/t/deps/{DLL_PREFIX}y{DLL_SUFFIX}"]}}
{{"reason":"build-finished","success":true}}"#
        );
        let artifacts = Artifacts::read(&workspace, &messages);
        assert_eq!(artifacts.tests(Group::Unit).map(Program::name).collect::<Vec<_>>(), ["xtask/xtask"]);
        assert_eq!(artifacts.binary("xtask"), Some(Path::new("/t/xtask")));
        assert_eq!(artifacts.binary("keep"), None);
        let library = format!("/t/deps/{DLL_PREFIX}y{DLL_SUFFIX}");
        assert_eq!(artifacts.library("y"), Some(Path::new(&library)));
        assert_eq!(artifacts.library("liby"), None);
    }
}
