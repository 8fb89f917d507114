//! Agents use `keep` through the libraries that they are written with. The scripts are in `e2e/agents`,
//! the tests of the package for Python with it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::context::Job;
use crate::install::{self, Installed};
use crate::process::Finished;
use crate::tally::Tally;

/// The official Python SDK of MCP, on both transports.
const SCRIPTS: [&str; 2] = ["mcp_stdio.py", "mcp_http.py"];

/// The package for Python.
const PACKAGE: &str = "keep-agent-py";

pub fn run(job: &Job<'_>) -> Result<Tally> {
    let keep = super::interop::keep(job)?;
    let mut tally = scripts(job, &keep)?;
    tally.add(package(job, &keep)?);
    Ok(tally)
}

fn scripts(job: &Job<'_>, keep: &Path) -> Result<Tally> {
    let source = job.root().join("e2e").join("agents");
    let bin = match install::python(job, "agents", &source.join("requirements.txt")) {
        Ok(bin) => bin,
        Err(reason) => {
            let mut tally = Tally::default();
            for script in SCRIPTS {
                tally.add(Tally::skipped(format!("agents/{script}"), &*reason));
            }
            return Ok(tally);
        }
    };
    let mut tally = Tally::default();
    for script in SCRIPTS {
        let whose = format!("agents/{script}");
        let mut command = Command::new(bin.join("python"));
        command.arg(source.join(script)).env("KEEP_BIN", keep).env("PYTHONDONTWRITEBYTECODE", "1");
        let finished = job.run(&mut command)?;
        let mut of_one = Tally::from_tap(&whose, &finished.output);
        if !finished.end.success() && of_one.failed.is_empty() {
            of_one.failed.push(format!("{whose}: {}", finished.end));
        }
        tally.add(of_one);
    }
    Ok(tally)
}

/// Runs the package's own tests, installed as its users do, but unoptimised.
fn package(job: &Job<'_>, keep: &Path) -> Result<Tally> {
    let source = job.root().join(PACKAGE);
    let bin = match environment(job) {
        Ok(bin) => bin,
        Err(reason) => return Ok(Tally::skipped(PACKAGE, &*reason)),
    };
    let installed = install_package(job, &bin, "dev")?;
    if !installed.end.success() {
        return Ok(Tally::failed(format!("{PACKAGE}: pip install: {}", installed.end)));
    }
    let mut tally = Tally::default();
    let types =
        job.run(Command::new(bin.join("mypy")).args(["--cache-dir", "/dev/null"]).current_dir(&source))?;
    tally.add(if types.end.success() {
        Tally::passed()
    } else {
        Tally::failed(format!("{PACKAGE}: mypy: {}", types.end))
    });
    let mut others = Command::new(bin.join("python"));
    others.args(PYTEST).arg(format!("--ignore={CREWAI}"));
    tally.add(pytest(job, PACKAGE, others.current_dir(&source), keep)?);
    tally.add(crewai(job, &bin, keep)?);
    Ok(tally)
}

const PYTEST: [&str; 7] = ["-m", "pytest", "-q", "-rA", "--color=no", "-p", "no:cacheprovider"];

/// The tests that want an environment of their own: CrewAI takes older packages than the other frameworks.
const CREWAI: &str = "tests/test_crewai.py";

/// Who has the minutes for it says so.
const WANTS_CREWAI: &str = "KEEP_TEST_CREWAI";

fn pytest(job: &Job<'_>, whose: &str, command: &mut Command, keep: &Path) -> Result<Tally> {
    let finished = job.run(command.env("KEEP_BIN", keep).env("PYTHONDONTWRITEBYTECODE", "1"))?;
    let mut tests = Tally::from_pytest(whose, &finished.output);
    if !finished.end.success() && tests.failed.is_empty() {
        tests.failed.push(format!("{whose}: pytest: {}", finished.end));
    }
    Ok(tests)
}

fn crewai(job: &Job<'_>, installed: &Path, keep: &Path) -> Result<Tally> {
    if std::env::var_os(WANTS_CREWAI).is_none() {
        let reason = format!("it installs 160 MB more; {WANTS_CREWAI}=1 has it run");
        return Ok(Tally::skipped(format!("{PACKAGE}/{CREWAI}"), &*reason));
    }
    let source = job.root().join(PACKAGE);
    let bin = match install::python_alone(job, "crewai", &source.join("requirements-crewai.txt")) {
        Ok(bin) => bin,
        Err(reason) => return Ok(Tally::skipped(format!("{PACKAGE}/{CREWAI}"), &*reason)),
    };
    // The package as it was installed for the others; it requires nothing.
    let place = job.context.workspace.state().join("crewai-package");
    let told = "import keep_agent, os; print(os.path.dirname(keep_agent.__file__))";
    let said = job.run(Command::new(installed.join("python")).args(["-c", told]))?;
    std::fs::create_dir_all(&place)?;
    let link = place.join("keep_agent");
    let _ = std::fs::remove_file(&link);
    std::os::unix::fs::symlink(said.output.trim(), &link)?;
    let mut command = Command::new(bin.join("python"));
    command.args(PYTEST).arg(CREWAI).env("PYTHONPATH", &place);
    pytest(job, PACKAGE, command.current_dir(&source), keep)
}

/// The Python environment for the package.
fn environment(job: &Job<'_>) -> Installed<PathBuf> {
    install::python(job, PACKAGE, &job.root().join(PACKAGE).join("requirements.txt"))
}

/// `pip install` of the package, built with a profile of cargo's.
fn install_package(job: &Job<'_>, bin: &Path, profile: &str) -> Result<Finished> {
    let mut pip = Command::new(bin.join("python"));
    pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]);
    pip.args(["--no-index", "--no-deps", "--no-build-isolation", "--force-reinstall", "."]);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(bin.to_owned()).chain(std::env::split_paths(&path)))?;
    pip.env("PATH", path).env("MATURIN_PEP517_ARGS", format!("--profile {profile} --strip --locked"));
    job.run(pip.current_dir(job.root().join(PACKAGE)))
}

/// A Python with the package as people get it, for measurements.
pub fn python(job: &Job<'_>) -> Installed<PathBuf> {
    let bin = environment(job)?;
    match install_package(job, &bin, "release") {
        Ok(installed) if installed.end.success() => Ok(bin.join("python")),
        Ok(installed) => Err(format!("{PACKAGE}: pip install: {}", installed.end)),
        Err(error) => Err(format!("{error:#}")),
    }
}
