//! The grammar of backups.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Kdf;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Backup {
    /// The file to write; without it, keep-backup-DATE.age here
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace the file if there is one
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub with: BackupPassphrase,
    /// For whom instead: age1…; may be given several times
    #[arg(long, value_name = "AGE1…", conflicts_with = "passphrase_file")]
    pub recipient: Vec<String>,
    /// Make a passphrase of twelve random words and print it
    #[arg(long, conflicts_with_all = ["recipient", "passphrase_file"])]
    pub generate_passphrase: bool,
    #[command(subcommand)]
    pub command: Option<BackupCommand>,
}

/// Where the passphrase of a backup comes from.
#[derive(Debug, Args)]
pub struct BackupPassphrase {
    /// A file with the backup's passphrase; without it, KEEP_PASSPHRASE, or you are asked
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
}

/// What opens a backup.
#[derive(Debug, Args)]
pub struct BackupOpened {
    /// The backup
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub with: BackupPassphrase,
    /// A file with the secret key of a recipient, as age-keygen writes it
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_file")]
    pub identity_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum BackupCommand {
    /// Open a backup and check everything in it
    Verify(BackupOpened),
}

#[derive(Debug, Args)]
pub struct Restore {
    #[command(flatten)]
    pub opened: BackupOpened,
    /// The directory of the new vault
    #[arg(long, value_name = "DIR")]
    pub target: PathBuf,
    /// The old device is gone: clients and sessions go on working
    #[arg(long)]
    pub take_over: bool,
    /// A file with the new vault's passphrase
    #[arg(long, value_name = "FILE")]
    pub new_password_file: Option<PathBuf>,
    #[command(flatten)]
    pub kdf: Kdf,
}
