//! What a session may do, as people and programs write it.

use std::time::Duration;

use keep_policy::{Effect, Limits, Peers, Policy, Rule, SpendLimits, TagRules};
use keep_types::{ErrorCode, Fault, Operation, PublicKey, RelayUrl, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::uses::public_key;

/// A set of operations with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// The public key, and nothing else.
    #[default]
    Public,
    /// The public key, signing events of common kinds, encrypting and decrypting (NIP-44).
    Nostr,
    /// The public key, Bitcoin addresses, signing transactions and messages. Without a limit on amounts, each transaction
    /// is asked about.
    Bitcoin,
    /// Everything but handing out the key, events of every kind.
    Full,
}

impl Preset {
    /// Every preset.
    pub const ALL: [Self; 4] = [Self::Public, Self::Nostr, Self::Bitcoin, Self::Full];

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Nostr => "nostr",
            Self::Bitcoin => "bitcoin",
            Self::Full => "full",
        }
    }

    /// The preset with this word.
    ///
    /// # Errors
    /// [`ErrorCode::Usage`] with the words that there are.
    pub fn from_word(word: &str) -> Result<Self, Fault> {
        Self::ALL.into_iter().find(|preset| preset.as_str() == word).ok_or_else(|| {
            let words: Vec<&str> = Self::ALL.iter().map(|preset| preset.as_str()).collect();
            Fault::new(
                ErrorCode::Usage,
                format!("there is no scope \"{}\"", keep_types::DisplayText::truncated(word, 40)),
            )
            .with_hint(format!("the scopes are {}", words.join(", ")))
        })
    }

    fn operations(self) -> Vec<Operation> {
        match self {
            Self::Public => vec![Operation::GetPublicKey],
            Self::Nostr => vec![
                Operation::GetPublicKey,
                Operation::SignEvent,
                Operation::Nip44Encrypt,
                Operation::Nip44Decrypt,
            ],
            Self::Bitcoin => vec![
                Operation::GetPublicKey,
                Operation::BitcoinAccount,
                Operation::SignPsbt,
                Operation::SignMessage,
            ],
            Self::Full => Operation::ALL.into_iter().filter(|operation| !operation.hands_out()).collect(),
        }
    }
}

/// The kinds of events that `nostr` allows where none are named: notes, reposts, reactions, comments, zap requests,
/// articles. Not the profile, the contacts, the relays, deletions or signing in.
const COMMON_KINDS: [u16; 7] = [1, 6, 7, 16, 1111, 9734, 30023];

/// The longest scope, as JSON in bytes.
const MAX_SCOPE: usize = 16 * 1024;

/// What happens to what a scope does not cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Exceeding {
    /// It is refused.
    #[default]
    Refuse,
    /// A person is asked.
    Ask,
}

/// How often the session may be used. Windows are those of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rates {
    /// In each minute.
    pub per_minute: Option<u32>,
    /// In each hour.
    pub per_hour: Option<u32>,
    /// In each day (universal time).
    pub per_day: Option<u32>,
    /// In all.
    pub uses: Option<u64>,
}

/// What a session may do, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SessionScope {
    /// The operations, by a name.
    pub preset: Preset,
    /// Other operations than the preset's, by the words of NIP-46.
    pub operations: Option<Vec<String>>,
    /// The kinds of events that may be signed.
    pub kinds: Option<Vec<u16>>,
    /// With whom: only these people (npub or hexadecimal) may be written to and read from, and the tags of signed events may
    /// name no others.
    pub recipients: Option<Vec<String>>,
    /// Where notes may be published, among the relays that the agent's server offers; every one of those, if none are named.
    pub relays: Option<Vec<String>>,
    /// What happens to the rest.
    pub exceeding: Exceeding,
    /// How often.
    pub rates: Rates,
    /// How much may be spent, and to whom.
    #[schemars(with = "serde_json::Value")]
    pub spend: SpendLimits,
    /// For how many seconds.
    pub duration_secs: Option<u64>,
}

impl SessionScope {
    /// The operations of a preset, without limits.
    pub fn of(preset: Preset) -> Self {
        Self { preset, ..Self::default() }
    }

    /// What an agent is for whom nobody said anything: `nostr`, with a person asked about the rest.
    pub fn asking() -> Self {
        Self { exceeding: Exceeding::Ask, ..Self::of(Preset::Nostr) }
    }

    /// The operations that it covers.
    ///
    /// # Errors
    /// [`ErrorCode::Usage`] when there is no operation of such a name, or it is one that no agent is ever allowed.
    pub fn operations(&self) -> Result<Vec<Operation>, Fault> {
        let Some(words) = &self.operations else { return Ok(self.preset.operations()) };
        words.iter().map(|word| operation(word)).collect()
    }

    /// Reads the JSON form.
    ///
    /// # Errors
    /// [`ErrorCode::Usage`] with what does not fit.
    pub fn from_json(json: &str) -> Result<Self, Fault> {
        serde_json::from_str(json)
            .map_err(|error| Fault::new(ErrorCode::Usage, format!("this is no scope of a session: {error}")))
    }

    fn recipients(&self) -> Result<Option<Vec<PublicKey>>, Fault> {
        let keys = self.recipients.as_ref().map(|all| all.iter().map(|one| public_key(one)).collect());
        keys.transpose()
    }

    pub(crate) fn policy(&self) -> Result<Policy, Fault> {
        self.check_size()?;
        let operations = self.operations()?;
        let recipients = self.recipients()?;
        let (signing, other): (Vec<_>, Vec<_>) =
            operations.into_iter().partition(|operation| *operation == Operation::SignEvent);
        let (messages, plain): (Vec<_>, Vec<_>) =
            other.into_iter().partition(|operation| recipients.is_some() && operation.has_peer());
        let mut rules = Vec::new();
        if !plain.is_empty() {
            rules.push(Rule::new(Effect::Allow, &plain));
        }
        if !messages.is_empty() {
            let peers = recipients.as_deref().map(|keys| Peers::new(false, keys));
            rules.push(Rule { peers, ..Rule::new(Effect::Allow, &messages) });
        }
        if !signing.is_empty() {
            let rule = match (&self.kinds, self.preset) {
                (Some(kinds), _) => Rule::sign(Effect::Allow, kinds),
                (None, Preset::Full) => Rule::new(Effect::Allow, &signing),
                (None, Preset::Public | Preset::Nostr | Preset::Bitcoin) => {
                    Rule::sign(Effect::Allow, &COMMON_KINDS)
                }
            };
            let named = recipients.as_deref().map(|keys| keys.iter().map(PublicKey::to_hex).collect());
            let tags = named.map(|people| TagRules { people: Some(people), ..TagRules::default() });
            rules.push(Rule { tags, ..rule });
        }
        if self.exceeding == Exceeding::Refuse {
            rules.push(Rule::new(Effect::Deny, Operation::ALL.as_slice()));
        }
        let name = if self.operations.is_some() { "custom" } else { self.preset.as_str() };
        Ok(Policy { name: name.to_owned(), rules, spend: self.spend.clone(), ..Policy::default() })
    }

    /// The relays, in the one form in which they are compared.
    ///
    /// # Errors
    /// When one of them is no address of a relay.
    pub(crate) fn relays(&self) -> Result<Option<Vec<String>>, Fault> {
        let parse = |text: &String| Ok(RelayUrl::parse(text)?.to_string());
        self.relays.as_ref().map(|all| all.iter().map(parse).collect()).transpose()
    }

    /// A scope is kept, and read with every use of its session: it must not be as long as somebody likes.
    fn check_size(&self) -> Result<(), Fault> {
        let size = serde_json::to_vec(self).map(|json| json.len()).unwrap_or(usize::MAX);
        if size <= MAX_SCOPE {
            return Ok(());
        }
        Err(Fault::new(ErrorCode::InvalidInput, format!("the scope has more than {MAX_SCOPE} bytes"))
            .with_hint("name fewer kinds, operations or addresses"))
    }

    /// The same, with amounts asked about that nobody bounded: for what the owner grants.
    pub(crate) fn asking_about_amounts(mut self) -> Self {
        if self.spend.per_transaction_sats.is_none() && self.spend.budgets.is_empty() {
            self.spend.ask_above_sats.get_or_insert(0);
        }
        self
    }

    pub(crate) fn limits(&self, now: Timestamp) -> Limits {
        Limits {
            expires: self.duration_secs.map(|secs| now.plus(Duration::from_secs(secs))),
            uses: self.rates.uses,
            per_minute: self.rates.per_minute,
            per_hour: self.rates.per_hour,
            per_day: self.rates.per_day,
            ..Limits::default()
        }
    }
}

/// An operation by its word: that of NIP-46, or one of the longer words that agent frameworks use.
pub(crate) fn operation(word: &str) -> Result<Operation, Fault> {
    let known = match word {
        "sign_nostr_event" => Ok(Operation::SignEvent),
        "encrypt" => Ok(Operation::Nip44Encrypt),
        "decrypt" => Ok(Operation::Nip44Decrypt),
        word => word.parse(),
    };
    known.ok().filter(|operation| *operation != Operation::Export).ok_or_else(|| {
        let shown = keep_types::DisplayText::truncated(word, 40);
        let mut words: Vec<&str> = Operation::ALL.iter().map(|operation| operation.as_str()).collect();
        words.retain(|word| *word != "export");
        Fault::new(ErrorCode::Usage, format!("agents have no operation \"{shown}\""))
            .with_hint(format!("the operations are {}", words.join(", ")))
    })
}
