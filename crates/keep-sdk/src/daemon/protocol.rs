//! What the daemon and its clients say to each other. The page `docs/formats/daemon.md` describes it for others.

use std::borrow::Cow;

use keep_types::Fault;
use keep_vault::IntegrityReport;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::call::FaultView;

/// The number of this protocol. A daemon of another one is not spoken to.
pub const PROTOCOL: u32 = 1;

/// Gives the passphrase again, so that the connection may manage.
pub const MANAGE: &str = "daemon.manage";
/// Locks the vault and ends the daemon.
pub const LOCK: &str = "daemon.lock";
/// Says how the daemon is.
pub const STATUS: &str = "daemon.status";
/// Sets the time at which the daemon locks, and whether it asks.
pub const EXTEND: &str = "daemon.extend";

/// The first frame of a client.
#[derive(Serialize, Deserialize)]
pub struct Hello {
    /// The protocol's number.
    pub keep: u32,
    /// The token of a session that was granted to an agent. Without one, the client is the owner's command line.
    #[serde(default, with = "crate::call::secret::optional_text", skip_serializing_if = "Option::is_none")]
    pub token: Option<keep_types::SecretText>,
}

/// The first frame of a daemon.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Welcome {
    /// The protocol's number.
    pub keep: u32,
    /// The version of the program.
    pub version: String,
    /// The process.
    pub pid: u32,
    /// The vault's revision at the latest check.
    pub revision: u64,
    /// How many records it had then.
    pub records: u64,
    /// What is wrong with the vault.
    pub problems: Vec<String>,
    /// Whether the vault is the one in the reserve.
    #[serde(default)]
    pub reserve: bool,
}

impl Welcome {
    pub fn new(report: &IntegrityReport, reserve: bool) -> Self {
        Self {
            keep: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            revision: report.revision.get(),
            records: report.rows,
            problems: report.problems.clone(),
            reserve,
        }
    }

    pub fn report(&self) -> IntegrityReport {
        IntegrityReport {
            revision: keep_types::Revision::new(self.revision),
            rows: self.records,
            problems: self.problems.clone(),
        }
    }
}

/// A request of a client: a call by its name.
#[derive(Debug, Deserialize)]
pub struct Asked<'a> {
    #[serde(borrow)]
    pub call: Cow<'a, str>,
    #[serde(borrow)]
    pub with: &'a RawValue,
}

/// The answer to it: one of the two.
#[derive(Debug, Deserialize)]
pub struct Answered<'a> {
    #[serde(borrow, default)]
    pub ok: Option<&'a RawValue>,
    #[serde(default)]
    pub error: Option<FaultView>,
}

/// The parts of a request's frame around its parameters. Names of calls need no escaping.
pub fn request<'a>(name: &'a str, parameters: &'a [u8]) -> [&'a [u8]; 5] {
    [b"{\"call\":\"", name.as_bytes(), b"\",\"with\":", parameters, b"}"]
}

/// The parts of the frame of a reply.
pub fn reply(json: &[u8]) -> [&[u8]; 3] {
    [b"{\"ok\":", json, b"}"]
}

/// The frame of a failure.
pub fn failure(fault: &Fault) -> Vec<u8> {
    #[derive(Serialize)]
    struct Failed {
        error: FaultView,
    }
    serde_json::to_vec(&Failed { error: fault.into() }).unwrap_or_default()
}

/// The parameters of [`EXTEND`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Extend {
    /// Seconds from now; the present end stays without it.
    pub seconds: Option<u64>,
    /// Whether there is to be no end any more.
    #[serde(default)]
    pub forever: bool,
    /// Whether uses are asked about from now on; as it was without it.
    pub confirm: Option<bool>,
}

/// The parameters of [`MANAGE`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Manage {
    #[serde(with = "crate::call::secret::text")]
    pub passphrase: keep_types::SecretText,
    /// Whether it may be meant for the other vault of the directory, which is to be unlocked instead. Then it is no wrong passphrase.
    #[serde(default)]
    pub either: bool,
}

/// The answer to [`MANAGE`].
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Managed {
    /// Whether the passphrase opens the other vault of the directory. Then the connection may not manage, and nothing was recorded.
    #[serde(default, skip_serializing_if = "is_false")]
    pub other: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}
