//! The rule as data. It is the picture of `docs/architecture.md`: change both together.

/// Where a package stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A library: it may use libraries of lower levels, never of its own or a higher one.
    Library(u8),
    /// A program or binding that people use: it may use exactly these packages of the workspace.
    FrontEnd(&'static [&'static str]),
    /// Test support: it may use any library; others use it as a dev-dependency only.
    Testing,
    /// Tooling of the workspace: it may use everything; nothing uses it.
    Tool,
}

use Place::{FrontEnd, Library, Testing, Tool};

/// Every package of the workspace, present and planned.
pub const TABLE: &[(&str, Place)] = &[
    ("keep-types", Library(0)),
    ("keep-cipher", Library(1)),
    ("keep-policy", Library(2)),
    ("keep-audit", Library(2)),
    ("keep-store", Library(2)),
    ("keep-frost", Library(2)),
    ("keep-bitcoin", Library(2)),
    ("keep-nip46", Library(2)),
    ("keep-nip55", Library(2)),
    ("keep-vault", Library(3)),
    ("keep-net", Library(3)),
    ("keep-signer", Library(4)),
    ("keep-kms", Library(4)),
    ("keep-sdk", Library(5)),
    ("keep-mcp", Library(6)),
    ("keep-server", Library(6)),
    ("keep-cli", FrontEnd(&["keep-sdk", "keep-mcp", "keep-server"])),
    ("keep-mobile", FrontEnd(&["keep-sdk"])),
    ("keep-agent-py", FrontEnd(&["keep-sdk"])),
    ("keep-agent-ts", FrontEnd(&["keep-sdk"])),
    ("keep-examples", FrontEnd(&["keep-sdk"])),
    ("keep-testing", Testing),
    ("keep-fuzz", Tool),
    ("keep-bench", Tool),
    ("xtask", Tool),
];

/// Outside crates that belong into programs, never into a library: `anyhow` hides which error it is, `clap` parses
/// the command line of a program.
pub const PROGRAMS_ONLY: &[&str] = &["anyhow", "clap"];

/// The place of a package, if it has one.
pub fn place(name: &str) -> Option<Place> {
    TABLE.iter().find(|(known, _)| *known == name).map(|(_, place)| *place)
}
