//! Why an input was not signed.

use std::fmt;

/// The reason why an input cannot be signed, or need not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SkipReason {
    /// The PSBT does not prove what the input spends.
    MissingPrevout,
    /// Keep signs taproot inputs only.
    NotTaproot,
    /// No key of ours was found: the PSBT names none, and the script is not a known one.
    NoKeyOfOurs,
    /// The key tree is ours, but the account is not open in this wallet.
    OtherAccount,
    /// A key of ours takes part in a script that the PSBT does not contain, or that the output does not commit to.
    NoScript,
    /// The script does not contain the key that is said to take part in it.
    KeyNotInScript,
    /// The script has an `OP_CODESEPARATOR`.
    CodeSeparator,
    /// It has our signature already.
    Signed,
    /// It is final already.
    Final,
    /// Signatures are missing, or a lock is not over yet.
    Incomplete,
    /// A signature in it does not verify.
    BadSignature,
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MissingPrevout => "the PSBT does not prove what it spends",
            Self::NotTaproot => "not a taproot input",
            Self::NoKeyOfOurs => "no key of ours: the PSBT names none, and its address is not a known one",
            Self::OtherAccount => "its key is in an account that is not open here",
            Self::NoScript => "the script that our key takes part in is missing or not part of the output",
            Self::KeyNotInScript => "the script does not contain our key",
            Self::CodeSeparator => "the script has an OP_CODESEPARATOR",
            Self::Signed => "it has our signature already",
            Self::Final => "it is final already",
            Self::Incomplete => "signatures are missing, or a lock is not over yet",
            Self::BadSignature => "a signature in it does not verify",
        })
    }
}

/// An input with the reason why nothing was done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skipped {
    /// The index of the input.
    pub input: usize,
    /// Why.
    pub reason: SkipReason,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "input {}: {}", self.input, self.reason)
    }
}
