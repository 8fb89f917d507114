//! Running a program with a log and a deadline.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal};

/// How long a program that is out of time may take to clean up after itself.
const GRACE: Duration = Duration::from_secs(5);
/// How often a running program is looked at.
const GLANCE: Duration = Duration::from_millis(20);

/// The log file of a suite. Everything its programs print goes there.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    /// A new, empty log.
    pub fn create(path: PathBuf) -> Result<Self> {
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        }
        let file = File::options()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(&path)
            .with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self { path, file })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a line of our own.
    pub fn note(&self, line: &str) -> Result<()> {
        let mut file = self.append()?;
        Ok(writeln!(file, "{line}")?)
    }

    /// Everything in it.
    pub fn text(&self) -> String {
        self.since(0).unwrap_or_default()
    }

    fn append(&self) -> Result<File> {
        File::options()
            .append(true)
            .open(&self.path)
            .with_context(|| format!("cannot write {}", self.path.display()))
    }

    fn len(&self) -> u64 {
        self.file.metadata().map_or(0, |meta| meta.len())
    }

    fn since(&self, offset: u64) -> Result<String> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// How a program ended.
#[derive(Debug, Clone, Copy)]
pub enum End {
    Exited(ExitStatus),
    /// It was ended because its time was up.
    OutOfTime,
}

impl End {
    pub fn success(self) -> bool {
        matches!(self, Self::Exited(status) if status.success())
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited(status) => status.fmt(f),
            Self::OutOfTime => f.write_str("out of time"),
        }
    }
}

/// What came of a program.
#[derive(Debug)]
pub struct Finished {
    pub end: End,
    /// What it printed on both streams.
    pub output: String,
}

/// Runs `command` without input; its output goes to `log`, and at `deadline` it is ended with all its children.
pub fn run(command: &mut Command, log: &Log, deadline: Instant) -> Result<Finished> {
    let stdout = log.append()?;
    finish(command.stdout(stdout), log, deadline)
}

/// Like [`run`], but with the standard output in a file of its own.
pub fn run_with_stdout(
    command: &mut Command,
    stdout: File,
    log: &Log,
    deadline: Instant,
) -> Result<Finished> {
    finish(command.stdout(stdout), log, deadline)
}

fn finish(command: &mut Command, log: &Log, deadline: Instant) -> Result<Finished> {
    log.note(&format!("$ {}", shown(command)))?;
    let start = log.len();
    let mut child = command
        .stdin(Stdio::null())
        .stderr(log.append()?)
        .env("CARGO_TERM_COLOR", "never")
        .spawn()
        .with_context(|| format!("{} does not start", command.get_program().to_string_lossy()))?;
    let end = wait(&mut child, deadline)?;
    let output = log.since(start)?;
    if !end.success() {
        log.note(&format!("{}: {end}", command.get_program().to_string_lossy()))?;
    }
    Ok(Finished { end, output })
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

fn wait(child: &mut Child, deadline: Instant) -> Result<End> {
    if let Some(status) = wait_until(child, deadline)? {
        return Ok(End::Exited(status));
    }
    let family = descendants(child.id());
    signal(child.id(), Signal::TERM);
    wait_until(child, Instant::now() + GRACE)?;
    // Whoever is still there, including children that their parent left behind.
    for id in family.into_iter().chain(descendants(child.id())) {
        signal(id, Signal::KILL);
    }
    child.kill().ok();
    child.wait()?;
    Ok(End::OutOfTime)
}

fn wait_until(child: &mut Child, deadline: Instant) -> Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        std::thread::sleep(GLANCE);
    }
}

fn signal(id: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        // It may have ended by itself meanwhile.
        rustix::process::kill_process(pid, signal).ok();
    }
}

/// The children of a process, their children, and so on. Empty where there is no `/proc`.
fn descendants(root: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let id: u32 = entry.file_name().to_str()?.parse().ok()?;
            Some((id, parent(&fs::read_to_string(entry.path().join("stat")).ok()?)?))
        })
        .collect();
    let mut family = vec![root];
    let mut next = 0;
    while let Some(&id) = family.get(next) {
        family.extend(parents.iter().filter(|(_, parent)| *parent == id).map(|(child, _)| *child));
        next += 1;
    }
    family.split_off(1)
}

/// The parent in a line of `/proc/PID/stat`; the command name before it may itself hold spaces and brackets.
fn parent(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(dir: &tempfile::TempDir) -> Log {
        Log::create(dir.path().join("x.log")).unwrap()
    }

    #[test]
    fn output_goes_to_the_log_and_back() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(&dir);
        let far = Instant::now() + Duration::from_secs(60);
        let first =
            run(Command::new("sh").args(["-c", "echo one; echo two >&2; exit 3"]), &log, far).unwrap();
        assert!(!first.end.success());
        assert!(first.output.contains("one") && first.output.contains("two"));
        let second = run(Command::new("sh").args(["-c", "echo three"]), &log, far).unwrap();
        assert!(second.end.success());
        assert_eq!(second.output, "three\n");
        assert!(log.text().ends_with("\nthree\n"));
    }

    #[test]
    fn out_of_time_ends_grandchildren_too() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(&dir);
        let soon = Instant::now() + Duration::from_millis(300);
        // The shell ignores the polite signal; its child must not outlive it either.
        let script = "trap '' TERM; sleep 61 & echo $!; sleep 62";
        let grace = Instant::now();
        let finished = run(Command::new("sh").args(["-c", script]), &log, soon).unwrap();
        assert!(matches!(finished.end, End::OutOfTime));
        assert!(grace.elapsed() < Duration::from_secs(30));
        let id = finished.output.trim();
        let state = || fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        // What was killed takes a moment to be gone where the processors are busy.
        let until = Instant::now() + Duration::from_secs(10);
        while !(state().is_empty() || state().contains(") Z ")) {
            assert!(Instant::now() < until, "still running: {}", state());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn the_parent_survives_odd_names() {
        assert_eq!(parent("12 (a) b) S 7 1 1"), Some(7));
        assert_eq!(parent("12 (a"), None);
    }
}
