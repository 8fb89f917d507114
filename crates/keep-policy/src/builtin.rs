//! The policies that come with Keep.

use std::fmt;
use std::str::FromStr;

use keep_types::{ErrorCode, Fault, Operation};

use crate::{Approval, Effect, Kinds, Limits, PlaintextClass, PlaintextClasses, Policy, Rule};

/// The policies that come with Keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Builtin {
    /// Tells the public key; everything else asks.
    ReadOnly,
    /// What a social client does all day; changing the profile or the contact list, and decrypting, asks.
    #[default]
    Social,
    /// What somebody who publishes does: notes, articles, files, lists and calendars; nothing private without asking.
    Writer,
    /// A key that several people share: everyday posts are allowed, what changes the identity takes two persons.
    Team,
    /// A program on its own: little, slowly, and everything else is refused without asking.
    Agent,
    /// Everything but export.
    Full,
}

/// No policy has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no policy is named \"{0}\"; there are read-only, social, writer, team, agent and full")]
pub struct PolicyError(keep_types::DisplayText);

impl From<PolicyError> for Fault {
    fn from(error: PolicyError) -> Self {
        Self::new(ErrorCode::Usage, error.to_string())
            .with_hint("choose read-only, social, writer, team, agent or full, or see `keep policy list`")
    }
}

impl Builtin {
    /// Every built-in policy.
    pub const ALL: [Self; 6] =
        [Self::ReadOnly, Self::Social, Self::Writer, Self::Team, Self::Agent, Self::Full];

    /// The name, as `--policy` takes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::Social => "social",
            Self::Writer => "writer",
            Self::Team => "team",
            Self::Agent => "agent",
            Self::Full => "full",
        }
    }

    const fn description(self) -> &'static str {
        match self {
            Self::ReadOnly => "Tells the public key; everything else asks",
            Self::Social => "What a social application does all day; profile, contacts and decrypting ask",
            Self::Writer => "Notes, articles, files, lists and calendars; nothing private without asking",
            Self::Team => {
                "Everyday posts; what changes the identity takes two persons; deletions are refused"
            }
            Self::Agent => "A few notes an hour, nothing private; everything else is refused without asking",
            Self::Full => "Everything but handing out the key",
        }
    }

    /// The policy.
    pub fn policy(self) -> Policy {
        let named = |rules| Policy {
            name: self.as_str().to_owned(),
            rules,
            description: Some(self.description().to_owned()),
            ..Policy::default()
        };
        match self {
            Self::ReadOnly => named(vec![Rule::new(Effect::Allow, &[Operation::GetPublicKey])]),
            Self::Social => named(social()),
            Self::Writer => named(writer()),
            Self::Team => named(team()),
            Self::Agent => Policy {
                otherwise: Some(Effect::Deny),
                limits: Some(Limits {
                    per_minute: Some(6),
                    per_hour: Some(30),
                    per_day: Some(200),
                    ..Limits::default()
                }),
                ..named(agent())
            },
            Self::Full => named(vec![Rule::new(Effect::Allow, &Operation::for_clients())]),
        }
    }
}

/// Encryption in the schemes of everyday clients. Version 3 of NIP-44 is granted by its own name.
fn encrypting() -> Vec<Operation> {
    vec![Operation::Nip44Encrypt, Operation::Nip04Encrypt]
}

/// Decryption in every scheme.
fn decrypting() -> Vec<Operation> {
    Operation::for_clients().into_iter().filter(|op| op.is_decrypting()).collect()
}

fn social() -> Vec<Rule> {
    use Effect::{Allow, Ask};
    let mut free = vec![Operation::GetPublicKey];
    free.extend(encrypting());
    vec![
        Rule::new(Allow, &free),
        Rule::sign(Allow, &[1, 6, 7, 16, 1111, 9734, 30023]),
        Rule::sign(Allow, &[22242]).own_relays_only(),
        Rule::sign(Ask, &[0, 3, 10002]),
        Rule::new(Ask, &decrypting()),
    ]
}

fn writer() -> Vec<Rule> {
    use Effect::{Allow, Ask};
    let lists = Rule { kinds: Kinds::Ranges(vec![(30000, 30005), (31922, 31925)]), ..Rule::sign(Allow, &[]) };
    let mut private = encrypting();
    private.extend(decrypting());
    vec![
        Rule::new(Allow, &[Operation::GetPublicKey]),
        // Notes, reposts, reactions, pictures, videos, comments, files, highlights; articles and their drafts.
        Rule::sign(Allow, &[1, 6, 7, 16, 20, 21, 22, 1063, 1111, 9802, 30023, 30024, 34235, 34236]),
        lists,
        Rule::sign(Allow, &[22242]).own_relays_only(),
        Rule {
            plaintext: Some(PlaintextClasses::of(&[PlaintextClass::Secret])),
            ..Rule::new(Effect::Deny, &private)
        },
        Rule::new(Ask, &private),
    ]
}

fn team() -> Vec<Rule> {
    use Effect::{Allow, Ask, Deny};
    let two = Some(Approval::TwoPersons);
    vec![
        Rule::new(Allow, &[Operation::GetPublicKey]),
        Rule::sign(Allow, &[1, 6, 7, 16, 1111, 30023, 30024]),
        Rule::sign(Allow, &[22242]).own_relays_only(),
        // Deletion, and the request to vanish.
        Rule::sign(Deny, &[5, 62]),
        Rule { approval: two, ..Rule::sign(Ask, &[0, 3, 10002, 10050]) },
        Rule { approval: two, ..Rule::new(Ask, &decrypting()) },
    ]
}

fn agent() -> Vec<Rule> {
    use Effect::{Allow, Ask};
    vec![
        Rule::new(Allow, &[Operation::GetPublicKey]),
        Rule::sign(Allow, &[1, 7, 1111]),
        Rule::sign(Allow, &[22242]).own_relays_only(),
        Rule::sign(Ask, &[6, 16, 30023]),
    ]
}

impl fmt::Display for Builtin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Builtin {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        Self::ALL.into_iter().find(|b| b.as_str() == text).ok_or_else(|| PolicyError(text.into()))
    }
}
