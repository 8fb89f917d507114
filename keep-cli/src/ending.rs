//! How a command ends when it does not simply succeed.

use keep_sdk::{ErrorCode, Fault};

/// Why a command stops before its end.
#[derive(Debug)]
pub enum Ending {
    /// It failed.
    Fault(Fault),
    /// The person at the terminal pressed Ctrl-C.
    Interrupted,
    /// Whoever read our output has gone.
    Closed,
}

/// The shell's exit code for a program that was interrupted.
const INTERRUPTED: u8 = 130;

impl Ending {
    /// The exit code.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Fault(fault) => fault.code().exit_code(),
            Self::Interrupted => INTERRUPTED,
            Self::Closed => 0,
        }
    }

    /// As a failure, for whoever knows no other end.
    pub fn into_fault(self) -> Fault {
        match self {
            Self::Fault(fault) => fault,
            Self::Interrupted | Self::Closed => Fault::new(ErrorCode::RefusedByPerson, "nothing was done")
                .with_hint("give the passphrase when you are asked for it"),
        }
    }
}

impl From<Fault> for Ending {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}
