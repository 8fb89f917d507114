//! Installing what tests need from other ecosystems, once, under `target/xtask`.
//!
//! Each function answers with the reason when it cannot: the caller then skips its tests by name.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::context::Job;

/// What was installed, or why it could not be.
pub type Installed<T> = Result<T, String>;

/// A Python environment with exactly the packages of `requirements`; answers with its `bin` directory.
pub fn python(job: &Job<'_>, name: &str, requirements: &Path) -> Installed<PathBuf> {
    python_with(job, name, requirements, &[])
}

/// The same, with exactly those packages even where they say that they want others.
pub fn python_alone(job: &Job<'_>, name: &str, requirements: &Path) -> Installed<PathBuf> {
    python_with(job, name, requirements, &["--no-deps"])
}

fn python_with(job: &Job<'_>, name: &str, requirements: &Path, flags: &[&str]) -> Installed<PathBuf> {
    let dir = job.context.workspace.state().join("python").join(name);
    once(&dir, requirements, || {
        need("python3")?;
        step(job, Command::new("python3").args(["-m", "venv", "--clear"]).arg(&dir), "python3 -m venv")?;
        let pip = ["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"];
        let mut command = Command::new(dir.join("bin/python"));
        step(job, command.args(pip).args(flags).arg("-r").arg(requirements), "pip install")
    })?;
    Ok(dir.join("bin"))
}

/// The npm packages that `lock` names, beside `manifest`, in a directory of `target/xtask`; answers with that directory.
pub fn node(job: &Job<'_>, name: &str, manifest: &Path, lock: &Path) -> Installed<PathBuf> {
    let dir = job.context.workspace.state().join("npm").join(name);
    once(&dir, lock, || {
        need("node")?;
        need("npm")?;
        copy(manifest, &dir.join("package.json"))?;
        copy(lock, &dir.join("package-lock.json"))?;
        let npm = ["ci", "--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts"];
        step(job, Command::new("npm").args(npm).current_dir(&dir), "npm ci")
    })?;
    Ok(dir)
}

/// The npm packages that a package of the workspace locks, in its own `node_modules`.
pub fn node_in(job: &Job<'_>, name: &str, package: &Path) -> Installed<()> {
    let dir = job.context.workspace.state().join("npm").join(name);
    if !package.join("node_modules").is_dir() {
        fs::remove_file(dir.join("installed-from")).ok();
    }
    once(&dir, &package.join("package-lock.json"), || {
        need("node")?;
        need("npm")?;
        let npm = ["ci", "--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts"];
        step(job, Command::new("npm").args(npm).current_dir(package), "npm ci")
    })
}

/// A program of a Debian package; installs it when it is missing and this is root.
pub fn debian(job: &Job<'_>, program: &str, package: &str) -> Installed<()> {
    if need(program).is_ok() {
        return Ok(());
    }
    if !rustix::process::geteuid().is_root() || need("apt-get").is_err() {
        return Err(format!("{program} is not installed (Debian package {package})"));
    }
    let install = || {
        let mut command = Command::new("apt-get");
        command.args(["install", "--yes", "--quiet", "--no-install-recommends", package]);
        step(job, command.env("DEBIAN_FRONTEND", "noninteractive"), "apt-get install")
    };
    install().or_else(|_| {
        step(job, Command::new("apt-get").args(["update", "--quiet"]), "apt-get update")?;
        install()
    })
}

/// Whether a program can be found.
pub fn need(program: &str) -> Installed<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(|dir| dir.join(program).is_file()) {
        Ok(())
    } else {
        Err(format!("{program} is not installed"))
    }
}

/// Copies a file.
pub fn copy(from: &Path, to: &Path) -> Installed<()> {
    fs::copy(from, to).map(drop).map_err(|e| format!("cannot copy {}: {e}", from.display()))
}

/// Does `work` unless it was done for the same content of `recipe` before.
fn once(dir: &Path, recipe: &Path, work: impl FnOnce() -> Installed<()>) -> Installed<()> {
    let wanted = fs::read_to_string(recipe).map_err(|e| format!("cannot read {}: {e}", recipe.display()))?;
    let stamp = dir.join("installed-from");
    if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    fs::create_dir_all(dir).map_err(|e| format!("cannot create {}: {e}", dir.display()))?;
    work()?;
    fs::write(&stamp, wanted).map_err(|e| format!("cannot write {}: {e}", stamp.display()))
}

fn step(job: &Job<'_>, command: &mut Command, what: &str) -> Installed<()> {
    match job.run(command) {
        Ok(finished) if finished.end.success() => Ok(()),
        Ok(finished) => {
            let last = finished.output.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
            Err(format!("{what} failed ({}): {}", finished.end, last.trim()))
        }
        Err(error) => Err(format!("{error:#}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_done_once_per_recipe() {
        let dir = tempfile::tempdir().unwrap();
        let (recipe, place) = (dir.path().join("recipe"), dir.path().join("place"));
        let mut count = 0;
        for (text, expected) in [("a", 1), ("a", 1), ("b", 2)] {
            fs::write(&recipe, text).unwrap();
            once(&place, &recipe, || {
                count += 1;
                Ok(())
            })
            .unwrap();
            assert_eq!(count, expected);
        }
        // What failed is tried again.
        fs::write(&recipe, "c").unwrap();
        assert!(once(&place, &recipe, || Err("no network".to_owned())).is_err());
        assert!(once(&place, &recipe, || Err("no network".to_owned())).is_err());
    }

    #[test]
    fn a_missing_program_is_named() {
        assert!(need("sh").is_ok());
        assert_eq!(need("no-such-program-at-all").unwrap_err(), "no-such-program-at-all is not installed");
    }
}
