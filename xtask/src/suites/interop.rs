//! Foreign clients talk to `keep` over a foreign relay. The scenarios are in `e2e/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::bitcoind;
use crate::context::Job;
use crate::install::{self, Installed};
use crate::tally::Tally;
use crate::workspace::cargo;

/// What a scenario's need begins with that runs a test program of the workspace.
const TEST: &str = "test ";

/// Everything that a scenario needs from outside.
struct Tools {
    relay: PathBuf,
    modules: PathBuf,
}

pub fn run(job: &Job<'_>) -> Result<Tally> {
    let source = job.root().join("e2e");
    let keep = keep(job)?;
    let scenarios = scenarios(&source.join("scenarios"))?;
    let tools = match install(job, &source) {
        Ok(tools) => tools,
        Err(reason) => {
            let mut tally = Tally::default();
            for name in scenarios {
                tally.add(Tally::skipped(format!("interop/{name}"), &*reason));
            }
            return Ok(tally);
        }
    };
    let mut tally = Tally::default();
    for name in scenarios {
        let whose = format!("interop/{name}");
        let mut command = Command::new("node");
        let provided = match need_of(&source.join("scenarios").join(&name)).as_deref() {
            None => Ok(()),
            Some("bitcoind") => bitcoind::install(job).map(|node| {
                command.env("BITCOIND_BIN", node);
            }),
            Some("age") => install::debian(job, "age-keygen", "age"),
            Some("nostr-sdk") => {
                let clients = source.join("clients");
                install::python(job, "nostr-sdk", &clients.join("requirements.txt")).map(|bin| {
                    command.env("NOSTR_SDK_PYTHON", bin.join("python"));
                    command.env("NOSTR_SDK_CLIENT", clients.join("nostr_sdk_client.py"));
                })
            }
            Some(need) if need.starts_with(TEST) => match test(job, &need[TEST.len()..])? {
                Some(path) => {
                    command.env("TEST_BIN", path);
                    Ok(())
                }
                None => Err(format!("the workspace has no {need}")),
            },
            Some(other) => Err(format!("nobody knows how to install {other}")),
        };
        if let Err(reason) = provided {
            tally.add(Tally::skipped(whose, &*reason));
            continue;
        }
        command
            .arg(tools.modules.join("scenarios").join(&name))
            .current_dir(&tools.modules)
            .env("KEEP_BIN", &keep)
            .env("NOSTR_RELAY_BIN", &tools.relay);
        let finished = job.run(&mut command)?;
        let mut of_one = Tally::from_tap(&whose, &finished.output);
        if !finished.end.success() && of_one.failed.is_empty() {
            of_one.failed.push(format!("{whose}: {}", finished.end));
        }
        tally.add(of_one);
    }
    Ok(tally)
}

/// The program under test. Cargo has built it already where keep-cli has integration tests.
pub fn keep(job: &Job<'_>) -> Result<PathBuf> {
    if let Some(built) = job.artifacts()?.binary("keep") {
        return Ok(built.to_owned());
    }
    let build =
        job.run(cargo().args(["build", "--package", "keep-cli", "--bin", "keep"]).current_dir(job.root()))?;
    ensure!(build.end.success(), "keep does not build: {}", build.end);
    Ok(job.context.workspace.target().join("debug").join("keep"))
}

/// A test program of the workspace, by its [`name`](crate::artifacts::Program::name).
fn test(job: &Job<'_>, name: &str) -> Result<Option<PathBuf>> {
    Ok(job.artifacts()?.test(name).map(Path::to_owned))
}

/// What else a scenario needs, as its first line says.
fn need_of(scenario: &Path) -> Option<String> {
    let text = fs::read_to_string(scenario).ok()?;
    Some(text.lines().next()?.strip_prefix("// needs: ")?.to_owned())
}

/// The file names of the scenarios, in order.
fn scenarios(dir: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<Result<Vec<_>>>()?;
    names.retain(|name| name.ends_with(".mjs"));
    names.sort();
    Ok(names)
}

/// Installs the relay and the clients, and puts the scripts beside their modules, where Node looks for them.
fn install(job: &Job<'_>, source: &Path) -> Installed<Tools> {
    let bin = install::python(job, "nostr-relay", &source.join("requirements.txt"))?;
    let modules = install::node(job, "e2e", &source.join("package.json"), &source.join("package-lock.json"))?;
    for part in ["lib", "scenarios"] {
        let (from, to) = (source.join(part), modules.join(part));
        fs::create_dir_all(&to).map_err(|e| format!("cannot create {}: {e}", to.display()))?;
        let entries = fs::read_dir(&from).map_err(|e| format!("cannot read {}: {e}", from.display()))?;
        for entry in entries.flatten() {
            install::copy(&entry.path(), &to.join(entry.file_name()))?;
        }
    }
    Ok(Tools { relay: bin.join("nostr-relay"), modules })
}
