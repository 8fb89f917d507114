//! `keep doctor`: whether everything is in order here, and which protections hold.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use keep_sdk::daemon::{Connection, Place, harden, lacking};
use keep_sdk::{
    DamageView, ErrorCode, Fault, Home, Keep, PoolOptions, RelayPolicy, RelayPool, RelayState, Transport,
    counted,
};
use serde::Serialize;

use crate::args::Doctor;
use crate::ending::Ending;
use crate::output::View;
use crate::session::Session;
use crate::style::Style;
use crate::system::{self, MemoryLimit};
use crate::terminal::Terminal;

/// What the keys of one open vault take in locked memory, in bytes, generously.
const LOCKED_MEMORY: u64 = 1 << 20;
/// The length of the reserve, in bytes.
const RESERVE: u64 = 16 << 20;
/// How long a relay may take to answer.
const RELAY: Duration = Duration::from_secs(10);

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Health {
    Ok,
    /// It works, and could be better.
    Warning,
    Bad,
    /// It was not looked at.
    Skipped,
}

#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    health: Health,
    found: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    hint: Cow<'static, str>,
}

/// Whether limits hold against an attacker of this kind, on this machine as it is.
#[derive(Debug, Serialize)]
struct Protection {
    against: &'static str,
    holds: bool,
    because: &'static str,
}

#[derive(Debug, Serialize)]
struct Report {
    healthy: bool,
    findings: Vec<Finding>,
    protections: Vec<Protection>,
}

impl View for Report {
    fn human(&self, style: Style) -> String {
        let mut lines: Vec<String> = Vec::new();
        for finding in &self.findings {
            let mark = match finding.health {
                Health::Ok => style.tick(),
                Health::Warning => style.yellow("!"),
                Health::Bad => style.red("x"),
                Health::Skipped => style.dim("-"),
            };
            lines.push(format!("{mark} {:<12} {}", finding.what, finding.found));
            if !finding.hint.is_empty() {
                lines.push(style.dim(&format!("  {:<12} {}", "", finding.hint)));
            }
        }
        lines.push(String::new());
        lines.push("What limits of clients and agents hold against here:".to_owned());
        for protection in &self.protections {
            let mark = if protection.holds { style.tick() } else { style.yellow("no") };
            lines.push(format!("{mark} {}: {}", protection.against, protection.because));
        }
        lines.join("\n")
    }
}

pub fn run(session: &Session, arguments: &Doctor) -> Result<(), Ending> {
    let home = Home::from_environment()?;
    if arguments.accept {
        return accept(session, arguments.yes);
    }
    let mut findings = vec![process()];
    findings.extend(locked_memory());
    findings.extend(lacking().iter().map(|what| does_not_hold(what)));
    findings.extend([environment(), settings(session)]);
    findings.extend(files(&home));
    findings.push(socket(&home));
    if Keep::exists(&home) {
        findings.extend(vault(session, &home));
    }
    if arguments.network {
        findings.extend(relays(session, arguments)?);
    }
    let healthy = findings.iter().all(|finding| finding.health != Health::Bad);
    session.output.show(&Report { healthy, findings, protections: protections() })?;
    if healthy {
        return Ok(());
    }
    Err(Fault::new(ErrorCode::Integrity, "not everything is in order").with_hint("see above").into())
}

fn finding(what: &'static str, health: Health, found: String, hint: impl Into<Cow<'static, str>>) -> Finding {
    Finding { what, health, found, hint: hint.into() }
}

fn process() -> Finding {
    let what = "process";
    if harden() {
        return finding(what, Health::Ok, "no core dumps, no debuggers of the same user".to_owned(), "");
    }
    let hint = "other programs of yours could read its memory; use a user of its own for keep";
    finding(
        what,
        Health::Warning,
        "the system lets other programs of this user look into it".to_owned(),
        hint,
    )
}

/// What this system cannot give, whatever is set.
fn does_not_hold(what: &str) -> Finding {
    let hint =
        "this system has no such protection that Keep could use; docs/threat-model.md says what follows";
    finding("system", Health::Warning, format!("does not hold here: {what}"), hint)
}

fn locked_memory() -> Option<Finding> {
    let what = "memory";
    match system::memory_limit() {
        MemoryLimit::Bytes(limit) if limit < LOCKED_MEMORY => {
            let found = format!("only {limit} bytes may be kept out of swap");
            let hint = "raise the limit of locked memory: ulimit -l, or LimitMEMLOCK=";
            Some(finding(what, Health::Warning, found, hint))
        }
        MemoryLimit::Bytes(limit) => {
            Some(finding(what, Health::Ok, format!("{} KiB may be kept out of swap", limit >> 10), ""))
        }
        MemoryLimit::Any => {
            Some(finding(what, Health::Ok, "any amount may be kept out of swap".to_owned(), ""))
        }
        // That is among what this system lacks.
        MemoryLimit::NotAsked => None,
    }
}

fn environment() -> Finding {
    let what = "environment";
    let secrets = ["KEEP_PASSWORD", "KEEP_HIDDEN_PASSWORD", "KEEP_NEW_PASSWORD", "KEEP_PASSPHRASE"];
    let set: Vec<&str> = secrets.into_iter().filter(|name| std::env::var_os(name).is_some()).collect();
    if set.is_empty() {
        return finding(what, Health::Ok, "holds no passphrase".to_owned(), "");
    }
    let hint = "every program that you start can read it; prefer `keep unlock`, or --password-file";
    finding(what, Health::Warning, format!("{} is set", set.join(", ")), hint)
}

fn settings(session: &Session) -> Finding {
    let what = "settings";
    match session.config() {
        Ok(_) => finding(what, Health::Ok, "can be read".to_owned(), ""),
        Err(fault) => finding(what, Health::Bad, fault.message().to_owned(), "see `keep config path`"),
    }
}

/// Who may read what of the vault's directory.
fn files(home: &Home) -> Vec<Finding> {
    if !Keep::exists(home) {
        return vec![no_vault(home)];
    }
    let mut findings = vec![permissions("directory", home.path())];
    findings.push(permissions("database", &home.path().join("keep.db")));
    findings.extend(reserve(&home.path().join("reserve")));
    findings
}

fn no_vault(home: &Home) -> Finding {
    match Keep::expect_none(home) {
        Ok(()) => {
            let found = format!("there is no vault in {}", home.path().display());
            finding("vault", Health::Warning, found, "make one with `keep init`")
        }
        // Its database is lost, and its reserve is there.
        Err(fault) => finding("vault", Health::Bad, fault.message().to_owned(), fault.hint().to_owned()),
    }
}

fn reserve(path: &Path) -> Vec<Finding> {
    let what = "reserve";
    let hint = "the vault opens without it, and what lay in it is lost unless you have a copy of the file; \
                `keep reserve reset` makes a new one";
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            vec![finding(what, Health::Bad, format!("{} is lost", path.display()), hint)]
        }
        Ok(found) if found.len() != RESERVE => {
            let found = format!("has {} bytes instead of {RESERVE}", found.len());
            vec![permissions(what, path), finding(what, Health::Bad, found, hint)]
        }
        Ok(_) | Err(_) => vec![permissions(what, path)],
    }
}

fn permissions(what: &'static str, path: &Path) -> Finding {
    let shown = path.display();
    let found = match std::fs::metadata(path) {
        Ok(found) => found,
        Err(error) => {
            return finding(what, Health::Bad, format!("{shown}: {error}"), "restore it from a backup");
        }
    };
    if !system::is_ours(&found) {
        return finding(
            what,
            Health::Bad,
            format!("{shown} belongs to another user"),
            "make it yours: chown",
        );
    }
    match readable_by_others(path) {
        Some(found) => finding(what, Health::Warning, found, "take that away: chmod go-rwx"),
        None => finding(what, Health::Ok, format!("{shown}{}", system::READERS), ""),
    }
}

/// Says so if others than its owner may do anything with a file or directory.
pub fn readable_by_others(path: &Path) -> Option<String> {
    let found = std::fs::metadata(path).ok()?;
    let mode = system::open_to_others(&found)?;
    Some(format!("{} can be read by others (mode {mode:o})", path.display()))
}

fn socket(home: &Home) -> Finding {
    let what = "socket";
    let place = Place::of(home);
    let looked = place.look().and_then(|_| Connection::find(home, None));
    let status = looked.and_then(|connection| connection.map(|connection| connection.status()).transpose());
    match status {
        Ok(Some(status)) => {
            let pid = status.pid.unwrap_or_default();
            finding(what, Health::Ok, format!("process {pid} holds the vault unlocked"), "")
        }
        Ok(None) => finding(what, Health::Ok, "nobody holds the vault unlocked".to_owned(), ""),
        Err(fault) => {
            let hint = "only you may be able to enter the directory of the sockets";
            finding(what, Health::Bad, fault.message().to_owned(), hint)
        }
    }
}

/// The vault itself, if it is unlocked or somebody gave its passphrase. Nobody is asked.
fn vault(session: &Session, home: &Home) -> Vec<Finding> {
    let what = "vault";
    match Keep::format(home) {
        Ok(format) if !format.needs_migration => {}
        Ok(_) => {
            return vec![finding(
                what,
                Health::Warning,
                "has an older format".to_owned(),
                "see `keep migrate status`",
            )];
        }
        Err(fault) => {
            return vec![finding(what, Health::Bad, fault.message().to_owned(), "see `keep list --rescue`")];
        }
    }
    let is_held = matches!(Connection::find(home, None), Ok(Some(_)));
    if !is_held && !session.has_password() {
        let hint = "give its passphrase, or `keep unlock`, to have every record checked";
        return vec![finding(what, Health::Skipped, "locked, and not looked at".to_owned(), hint)];
    }
    let opened = session.open().map_err(|ending| match ending {
        Ending::Fault(fault) => fault,
        Ending::Interrupted | Ending::Closed => Fault::new(ErrorCode::Locked, "it was not opened"),
    });
    let keep = match opened {
        Ok(keep) => keep,
        Err(fault) => {
            return vec![finding(what, Health::Bad, fault.message().to_owned(), fault.hint().to_owned())];
        }
    };
    let mut findings = Vec::new();
    let problems = keep.info().map(|info| info.problems).unwrap_or_default();
    for problem in &problems {
        findings.push(finding(
            what,
            Health::Bad,
            problem.clone(),
            "restore a backup, or go on with what is left: `keep doctor --accept`",
        ));
    }
    match keep.audit().verify() {
        Ok(_) if !problems.is_empty() => {}
        Ok(report) => {
            let found = format!(
                "{} and {} are as they were written",
                counted(report.records, "record"),
                counted(report.entries, "log entry")
            );
            findings.push(finding(what, Health::Ok, found, ""));
        }
        Err(fault) => {
            let hint = "restore a backup, or go on with what is left: `keep doctor --accept`";
            findings.push(finding(what, Health::Bad, fault.message().to_owned(), hint));
        }
    }
    match keep.info() {
        Ok(info) if info.memory_locked => {
            findings.push(finding(
                "keys",
                Health::Ok,
                "are kept out of swap while it is open".to_owned(),
                "",
            ));
        }
        Ok(_) => {
            let hint = "raise the limit of locked memory, or encrypt the swap space";
            findings.push(finding(
                "keys",
                Health::Warning,
                "may be swapped to disk while it is open".to_owned(),
                hint,
            ));
        }
        Err(fault) => {
            findings.push(finding("keys", Health::Bad, fault.message().to_owned(), "restore a backup"))
        }
    }
    findings
}

/// What the owner has to look at when a vault may be older than it was.
pub fn to_check(policies: &[String], persons: &[String]) -> impl Iterator<Item = String> {
    let named = |names: &[String]| names.join(", ");
    let policies = (!policies.is_empty()).then(|| {
        format!(
            "look at your policies, which may be older than they were (`keep policy show`): {}",
            named(policies)
        )
    });
    let persons = (!persons.is_empty()).then(|| {
        format!(
            "these persons approve again when you remove and add them (`keep policy person`): {}",
            named(persons)
        )
    });
    let rest = "programs unlock the vault again after your next `keep unlock`; say `keep frost confirm` for groups, and grant \
                co-signers anew";
    policies.into_iter().chain(persons).chain([rest.to_owned()])
}

impl View for DamageView {
    fn human(&self, style: Style) -> String {
        let mut lines = vec![format!("{} going on with what is left", style.tick())];
        lines.extend(self.problems.iter().map(|problem| format!("  {problem}")));
        let went = format!(
            "gone are {} that did not open, and {} of the log; clients, bunker addresses and agents' sessions are suspended until \
             you let them go on ({} in all)",
            counted(self.removed, "record"),
            counted(self.log_removed, "entry"),
            self.suspended
        );
        lines.push(format!("  {}", style.dim(&went)));
        if let Some(signer) = &self.signer {
            let other = format!(
                "the log has another signer from now on, its key was lost: keep the fingerprint {signer}"
            );
            lines.push(format!("  {}", style.dim(&other)));
        }
        lines.extend(to_check(&self.policies, &self.persons).map(|line| format!("  {}", style.dim(&line))));
        lines.join("\n")
    }
}

/// Goes on with what is left of a vault that something else than Keep changed.
fn accept(session: &Session, yes: bool) -> Result<(), Ending> {
    let terminal = || {
        Terminal::open().ok_or_else(|| {
            let message = "going on with a damaged vault needs a yes, and there is no terminal to ask on";
            Fault::new(ErrorCode::ApprovalUnavailable, message).with_hint("pass --yes if you mean it")
        })
    };
    if !yes {
        terminal()?;
    }
    // Not where another process goes on with what it knew before.
    let keep = session.open_here()?;
    let question = "What does not open is removed, and nobody can bring it back; keep a copy of the directory. Go on with the rest?";
    if !yes && !terminal()?.ask_yes(question)? {
        return Err(Fault::new(ErrorCode::RefusedByPerson, "the vault stays as it is")
            .with_hint("keys can still be listed and exported, and a backup restored")
            .into());
    }
    session.output.show(&keep.accept_damage()?)
}

fn relays(session: &Session, arguments: &Doctor) -> Result<Vec<Finding>, Ending> {
    let relays = session.relays(&arguments.relay)?;
    let runtime = super::serve::runtime()?;
    runtime.block_on(async {
        let pool = Arc::new(RelayPool::new(PoolOptions::default()).map_err(Fault::from)?);
        for relay in &relays {
            pool.add(relay.clone(), RelayPolicy::OWNER);
        }
        let began = std::time::Instant::now();
        while began.elapsed() < RELAY && pool.status().iter().any(|one| one.state == RelayState::Connecting) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let findings = pool.status().into_iter().map(|one| match one.state {
            RelayState::Connected => finding("relay", Health::Ok, format!("{} answers", one.relay), ""),
            RelayState::AuthRequired => {
                finding("relay", Health::Ok, format!("{} answers, and wants authentication", one.relay), "")
            }
            RelayState::Connecting => {
                finding("relay", Health::Bad, format!("{} does not answer", one.relay), "check its address")
            }
            RelayState::Failed { reason } => finding(
                "relay",
                Health::Bad,
                format!("{}: {reason}", one.relay),
                "check its address and the network",
            ),
        });
        Ok(findings.collect())
    })
}

/// What this machine, with one user for keep and for everything else, can promise.
fn protections() -> Vec<Protection> {
    vec![
        Protection {
            against: "an agent that only makes tool calls",
            holds: true,
            because: "limits are judged outside of its process",
        },
        Protection {
            against: "programs of another user, or on another machine",
            holds: true,
            because: "they reach the vault through the bunker only",
        },
        Protection {
            against: "programs of this user",
            holds: false,
            because: "they can use the socket as you do, and wait for the passphrase to be typed",
        },
        Protection { against: "root", holds: false, because: "root can read every process" },
    ]
}
