//! Who decided about what was asked.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where the owner decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Surface {
    /// With a command: `keep approve`, `keep deny`.
    #[default]
    Command,
    /// On the screen of `keep serve`.
    Screen,
    /// At a question in the terminal.
    Terminal,
    /// On the web page for approvals.
    Page,
}

impl Surface {
    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Screen => "screen",
            Self::Terminal => "terminal",
            Self::Page => "page",
        }
    }
}

/// Who said yes or no. Its text stands in the log, and never changes meaning.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Decider {
    /// The owner: `owner:screen`, `owner:command`, ….
    Owner(Surface),
    /// A person who may approve beside the owner, known by a code: `person:NAME`.
    Person(String),
    /// The program that asked, which says that its own user decided: `client`. Nobody here saw that person.
    Client,
}

impl Decider {
    /// Whether these are one and the same, wherever they decided.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Owner(_), Self::Owner(_)) | (Self::Client, Self::Client) => true,
            (Self::Person(one), Self::Person(other)) => one == other,
            (Self::Owner(_) | Self::Person(_) | Self::Client, _) => false,
        }
    }

    /// The name under which others are shown that this one decided: `owner`, or the person's.
    pub fn name(&self) -> &str {
        match self {
            Self::Owner(_) => "owner",
            Self::Person(name) => name,
            Self::Client => "client",
        }
    }
}

impl fmt::Display for Decider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner(surface) => write!(f, "owner:{}", surface.as_str()),
            Self::Person(name) => write!(f, "person:{name}"),
            Self::Client => f.write_str("client"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_stable_and_one_owner_is_one_person() {
        let all = [
            Decider::Owner(Surface::Command),
            Decider::Owner(Surface::Screen),
            Decider::Owner(Surface::Terminal),
            Decider::Owner(Surface::Page),
            Decider::Person("bob".to_owned()),
            Decider::Client,
        ];
        let words: Vec<String> = all.iter().map(ToString::to_string).collect();
        let expected =
            ["owner:command", "owner:screen", "owner:terminal", "owner:page", "person:bob", "client"];
        assert_eq!(words, expected);
        assert!(all[0].is_same(&all[3]) && !all[0].is_same(&all[4]) && !all[4].is_same(&all[5]));
        assert!(!Decider::Person("owner".to_owned()).is_same(&all[0]));
    }
}
