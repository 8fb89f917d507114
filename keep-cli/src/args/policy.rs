//! `keep policy`: what clients may do.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum Policy {
    /// List the policies that there are
    List,
    /// Show a policy as it is written (TOML)
    Show {
        /// Its name
        name: String,
    },
    /// Add a policy from a file, or from stdin (-)
    Add {
        /// The file
        file: PathBuf,
    },
    /// Change a policy: in $EDITOR, or from a file; its clients are judged by the new one at once
    Edit {
        /// Its name
        name: String,
        /// The file, or - for stdin
        #[arg(long)]
        file: Option<PathBuf>,
    },
    /// Remove a policy that no client has
    Remove {
        /// Its name
        name: String,
    },
    /// Read a policy from a file, or from stdin (-), and say what is wrong or odd about it
    Check {
        /// The file
        file: PathBuf,
    },
    /// Say which rule decides about a request, and why the others do not
    Explain(Explain),
    /// Say what a policy would have decided otherwise about what clients asked in the past
    Simulate(Simulate),
    /// Persons who may approve beside you, for what takes two persons
    #[command(subcommand)]
    Person(Person),
}

#[derive(Debug, Args)]
pub struct Explain {
    /// The policy
    #[arg(long, value_name = "NAME")]
    pub policy: Option<String>,
    /// The client, with what was decided for it: its name, npub or public key in hex
    #[arg(long)]
    pub client: Option<String>,
    /// What is asked for
    #[arg(long, default_value = "sign_event")]
    pub method: String,
    /// The event's kind
    #[arg(long)]
    pub kind: Option<u16>,
    /// The event's content, or the text to encrypt
    #[arg(long, allow_hyphen_values = true)]
    pub content: Option<String>,
    /// A tag of the event: name and values with commas between; may be given several times
    #[arg(long = "tag", value_name = "NAME,VALUE,…")]
    pub tags: Vec<String>,
    /// The other side of an encryption or decryption: npub, public key in hex, or self
    #[arg(long)]
    pub peer: Option<String>,
    /// At this time, in Unix seconds; without it, now
    #[arg(long, value_name = "SECONDS")]
    pub at: Option<u64>,
}

#[derive(Debug, Args)]
pub struct Simulate {
    /// The policy, by name
    #[arg(long, value_name = "NAME", required_unless_present = "file")]
    pub policy: Option<String>,
    /// A policy that is not added yet, from a file
    #[arg(long, value_name = "FILE", conflicts_with = "policy")]
    pub file: Option<PathBuf>,
    /// How far back: 24h, 30d
    #[arg(long, default_value = "30d", value_name = "TIME")]
    pub since: String,
    /// Only what this client asked
    #[arg(long)]
    pub client: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum Person {
    /// Let somebody approve; prints the code that only this person should have
    Add {
        /// The person's name
        name: String,
    },
    /// List who may approve
    List,
    /// Somebody may no longer approve
    Remove {
        /// The person's name
        name: String,
    },
}
