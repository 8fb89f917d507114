//! The grammar of the audit log.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum Audit {
    /// What was asked, decided and done; with --key, of that key
    List(AuditList),
    /// Check the log and every record of the vault; or, with --file, an exported log without its vault
    Verify(AuditVerify),
    /// How large the log is, and what it is made of
    Stats,
    /// Write the log as JSON Lines that end in a signed head
    ///
    /// Anyone can check the file without the vault: `keep audit verify --file FILE --signer FINGERPRINT`.
    Export(AuditExport),
    /// Remove old entries; a signed checkpoint stands for them, and the rest still verifies
    ///
    /// Without --apply it says what would be removed.
    Retention(AuditRetention),
    /// Make a signed checkpoint of the log, to be kept away from this machine
    ///
    /// It is a Nostr event by a key that serves nothing else; with --relay it is published, too. `keep audit verify --anchor FILE`
    /// shows whether the vault was put back to an older state since.
    Anchor(AuditAnchor),
    /// Go on with a vault that is older than the one that was last used on this machine
    AcceptRollback(AuditAcceptRollback),
}

#[derive(Debug, Args)]
pub struct AuditList {
    /// The last so many entries
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub limit: usize,
    /// Only of this origin: cli, nip46 or agent; may be given several times
    #[arg(long, value_name = "WORD")]
    pub origin: Vec<String>,
    /// Only of this client: its npub or public key in hex; may be given several times
    #[arg(long, value_name = "NPUB")]
    pub client: Vec<String>,
    /// Only so decided: allowed, approved, refused, declined, …; may be given several times
    #[arg(long, value_name = "WORD")]
    pub decision: Vec<String>,
    /// Only this action: sign_event, export, unlocked, …; may be given several times
    #[arg(long, value_name = "WORD")]
    pub action: Vec<String>,
    /// Only from this time on: 2026-11-20, 2026-11-20T09:30:00Z, Unix seconds, or how long ago (24h, 30d)
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only up to this time
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
}

#[derive(Debug, Args)]
pub struct AuditVerify {
    /// Check this exported log instead; needs no vault and no passphrase (- for stdin)
    #[arg(long, value_name = "FILE", conflicts_with = "anchor")]
    pub file: Option<PathBuf>,
    /// The fingerprint of the vault that must have signed it
    #[arg(long, value_name = "FINGERPRINT", requires = "file")]
    pub signer: Option<String>,
    /// Check also that the vault goes on from this anchor
    #[arg(long, value_name = "FILE")]
    pub anchor: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct AuditExport {
    /// The file; without it, stdout
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace the file if it exists
    #[arg(long, requires = "output")]
    pub force: bool,
}

#[derive(Debug, Args)]
pub struct AuditRetention {
    /// Remove entries older than this
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_days: u32,
    /// Do it
    #[arg(long)]
    pub apply: bool,
    /// Do not ask
    #[arg(long, requires = "apply")]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub struct AuditAnchor {
    /// A relay to publish it on; may be given several times
    #[arg(long, value_name = "URL")]
    pub relay: Vec<String>,
}

#[derive(Debug, Args)]
pub struct AuditAcceptRollback {
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}
