//! What a person and a policy should know about a transaction before it is signed.

use std::fmt;

use keep_types::DisplayText;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much a warning matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// A person should look at this.
    Caution,
    /// Signing is refused.
    Danger,
}

macro_rules! warning_codes {
    ($($(#[$doc:meta])* $variant:ident = $severity:ident;)*) => {
        /// The stable name of a warning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum WarningCode {
            $($(#[$doc])* $variant,)*
        }

        impl WarningCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// How much it matters, unless the options of the inspection say otherwise.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)* }
            }
        }
    };
}

warning_codes! {
    /// A taproot signature commits to what every input spends, and for this one the PSBT does not say.
    MissingPrevout = Danger;
    /// The PSBT says two different things about what an input spends.
    ContradictingPrevout = Danger;
    /// Two inputs spend the same output.
    DuplicateInput = Danger;
    /// The transaction has no inputs or no outputs.
    Empty = Danger;
    /// An amount, or a sum of amounts, is more than there can ever be.
    AmountOverflow = Danger;
    /// The outputs are worth more than the inputs.
    OutputsExceedInputs = Danger;
    /// The fee is over the limit.
    FeeOverLimit = Danger;
    /// The fee rate is over the limit.
    FeeRateOverLimit = Danger;
    /// A signature of this type leaves parts of the transaction open to change.
    UnusualSighash = Danger;
    /// A signature type that does not exist, or that binds no output.
    InvalidSighash = Danger;
    /// An input names a key of ours at a path where we have another key.
    LyingOrigin = Danger;
    /// An input names an internal key that does not make its output.
    WrongInternalKey = Danger;
    /// An output names a key of ours and pays to somebody else.
    FalseChange = Danger;
    /// A path of ours belongs to another network.
    WrongNetwork = Danger;
    /// An input or output names more keys than Keep looks at.
    TooManyOrigins = Danger;
    /// An output claims to be ours at a path outside the accounts of this wallet; it counts as spent.
    ClaimedChange = Caution;
    /// An output pays to a script in which a key of ours takes part; it counts as spent.
    SharedOutput = Caution;
    /// An output of ours is so far down its branch that a restored wallet would not look there.
    FarIndex = Caution;
    /// The fee is more than a quarter of what is paid.
    FeeHigh = Caution;
    /// An output is too small to be relayed.
    Dust = Caution;
    /// Coins sent to this output can never be spent.
    Burn = Caution;
    /// An output that today's rules let everybody spend, or that nobody can interpret.
    UnknownScript = Caution;
    /// An output pays to an address that was used before, or twice.
    ReusedAddress = Note;
    /// The transaction cannot be mined before a certain height or time.
    LockTime = Note;
    /// An input must have had confirmations for some time.
    RelativeLock = Note;
    /// This is not a payment, but a signed message (BIP-322).
    SignedMessage = Note;
}

/// What a warning is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// The transaction as a whole.
    Transaction,
    /// The input with this index.
    Input(usize),
    /// The output with this index.
    Output(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transaction => f.write_str("transaction"),
            Self::Input(index) => write!(f, "input {index}"),
            Self::Output(index) => write!(f, "output {index}"),
        }
    }
}

/// A warning: code, severity, place, and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Warning {
    /// Its stable name.
    pub code: WarningCode,
    /// How much it matters here.
    pub severity: Severity,
    /// What it is about.
    pub place: Place,
    /// The sentence.
    pub text: DisplayText,
}

impl Warning {
    /// A warning of the code's own severity.
    pub(crate) fn new(code: WarningCode, place: Place, text: impl Into<String>) -> Self {
        Self { code, severity: code.severity(), place, text: DisplayText::from(text.into()) }
    }

    /// The same as something that the caller has allowed.
    pub(crate) fn allowed_if(mut self, allowed: bool) -> Self {
        if allowed {
            self.severity = Severity::Caution;
        }
        self
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}
