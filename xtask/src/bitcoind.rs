//! A Bitcoin node for tests: Debian's package of Bitcoin Knots, unpacked under `target/xtask` with its libraries.
//!
//! The package is in Debian's unstable distribution only. It is fetched with an apt configuration of its own, which does
//! not touch that of the machine, and started through its own dynamic loader.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::context::Job;
use crate::install::{Installed, need};

/// Where Debian's keys are, with which apt checks what it fetches.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// What is fetched.
const PACKAGE: &str = "bitcoin-knots";

/// Installs the node once; answers with the program that starts it.
pub fn install(job: &Job<'_>) -> Installed<PathBuf> {
    let dir = job.context.workspace.state().join("bitcoind");
    let program = dir.join("bitcoind");
    if program.is_file() {
        return Ok(program);
    }
    for tool in ["apt-get", "dpkg"] {
        need(tool)?;
    }
    if !Path::new(KEYRING).is_file() || !cfg!(target_arch = "x86_64") {
        return Err("bitcoind can be fetched on Debian for amd64 only".to_owned());
    }
    fetch(job, &dir)?;
    unpack(job, &dir)?;
    write_starter(&dir, &program)?;
    Ok(program)
}

fn fetch(job: &Job<'_>, dir: &Path) -> Installed<()> {
    for part in ["lists/partial", "cache/archives/partial", "preferences"] {
        fs::create_dir_all(dir.join(part)).map_err(|e| format!("cannot create {part}: {e}"))?;
    }
    let at = |name: &str| dir.join(name).display().to_string();
    let source = format!("deb [arch=amd64 signed-by={KEYRING}] http://deb.debian.org/debian sid main\n");
    let configuration = [
        ("Dir::State", at("")),
        ("Dir::State::status", at("status")),
        ("Dir::State::lists", at("lists")),
        ("Dir::Cache", at("cache")),
        ("Dir::Etc::sourcelist", at("sources.list")),
        ("Dir::Etc::sourceparts", "/dev/null".to_owned()),
        ("Dir::Etc::preferencesparts", at("preferences")),
        ("APT::Architecture", "amd64".to_owned()),
        ("APT::Install-Recommends", "false".to_owned()),
        ("APT::Sandbox::User", "root".to_owned()),
        ("Acquire::Check-Valid-Until", "false".to_owned()),
        ("Acquire::Languages", "none".to_owned()),
        ("Debug::NoLocking", "true".to_owned()),
    ];
    let configuration: String = configuration.map(|(name, value)| format!("{name} \"{value}\";\n")).concat();
    for (name, text) in [("sources.list", source), ("apt.conf", configuration), ("status", String::new())] {
        fs::write(dir.join(name), text).map_err(|e| format!("cannot write {name}: {e}"))?;
    }
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.arg("--quiet").args(arguments).env("APT_CONFIG", dir.join("apt.conf"));
        step(job, &mut command)
    };
    apt(&["update"])?;
    // Nothing counts as installed, so that every library down to the C library comes along.
    apt(&["install", "--yes", "--download-only", PACKAGE])
}

fn unpack(job: &Job<'_>, dir: &Path) -> Installed<()> {
    let archives = dir.join("cache/archives");
    let entries = fs::read_dir(&archives).map_err(|e| format!("cannot read {}: {e}", archives.display()))?;
    let root = dir.join("root");
    for package in entries.flatten().map(|entry| entry.path()) {
        if package.extension().is_some_and(|extension| extension == "deb") {
            step(job, Command::new("dpkg").arg("--extract").arg(&package).arg(&root))?;
        }
    }
    Ok(())
}

fn write_starter(dir: &Path, program: &Path) -> Installed<()> {
    let libraries = dir.join("root/usr/lib/x86_64-linux-gnu");
    let loader = libraries.join("ld-linux-x86-64.so.2");
    let node = dir.join("root/usr/bin/bitcoind");
    for file in [&loader, &node] {
        if !file.is_file() {
            return Err(format!("the package {PACKAGE} has no {}", file.display()));
        }
    }
    let script = format!(
        "#!/bin/sh\nexec '{}' --library-path '{}' '{}' \"$@\"\n",
        loader.display(),
        libraries.display(),
        node.display()
    );
    let failed = |e: std::io::Error| format!("cannot write {}: {e}", program.display());
    fs::write(program, script).map_err(failed)?;
    fs::set_permissions(program, fs::Permissions::from_mode(0o755)).map_err(failed)
}

fn step(job: &Job<'_>, command: &mut Command) -> Installed<()> {
    let what = command.get_program().to_string_lossy().into_owned();
    match job.run(command) {
        Ok(finished) if finished.end.success() => Ok(()),
        Ok(finished) => Err(format!("bitcoind cannot be fetched: {what}: {}", finished.end)),
        Err(error) => Err(format!("bitcoind cannot be fetched: {error:#}")),
    }
}
