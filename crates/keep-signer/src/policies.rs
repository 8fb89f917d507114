//! Named policies of a vault, and the persons who may approve beside the owner.

use std::sync::Arc;

use keep_audit::{Action, Draft, Outcome};
use keep_policy::{Builtin, Grant, Policy, Usage};
use keep_types::{Collection, DisplayText, ErrorCode, Fault, KeyId, Origin, Record, Timestamp, counted};
use keep_vault::{Tx, Vault, VaultError};
use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{Endpoint, counters};

/// What lies in the collection of policies.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[allow(clippy::large_enum_variant, reason = "there are few of them, and each is read for one decision")]
pub enum PolicyRow {
    /// A named policy, and when it was put there or last changed; `None` from before that was noted.
    #[n(0)]
    Policy(#[n(0)] Policy, #[n(1)] Option<Timestamp>),
    /// A person who may approve.
    #[n(1)]
    Person(#[n(0)] Person),
}

/// A person who may approve beside the owner, known by a code that only this person has.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Person {
    /// The name.
    #[n(0)]
    pub name: String,
    /// SHA-256 of the code, which is 32 random bytes in hexadecimal.
    #[cbor(n(1), with = "minicbor::bytes")]
    code: [u8; 32],
    /// Since when.
    #[n(2)]
    pub added_at: Timestamp,
}

impl Record for PolicyRow {
    const COLLECTION: Collection = Collection::Policies;
}

impl PolicyRow {
    /// The policy, if it is one.
    pub const fn policy(&self) -> Option<&Policy> {
        match self {
            Self::Policy(policy, _) => Some(policy),
            Self::Person(_) => None,
        }
    }

    /// Since when the policy stands as it is. One of which that is not known has stood for ever.
    pub(crate) fn since(&self) -> Timestamp {
        match self {
            Self::Policy(_, since) => since.unwrap_or(Timestamp::ZERO),
            Self::Person(person) => person.added_at,
        }
    }
}

/// A person as it was when it decided. Another one of the same name, with another code, is somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    name: String,
    code: [u8; 32],
}

impl Seat {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether this very person may still decide what was asked at `asked`.
    pub(crate) fn stands(&self, tx: &mut Tx<'_, '_>, asked: Timestamp) -> Result<bool, VaultError> {
        let place = tx.locate::<PolicyRow>(&person_key(&self.name));
        let row = tx.get_shared::<PolicyRow>(&place)?;
        Ok(matches!(row.as_deref(), Some(PolicyRow::Person(person)) if person.may_decide(self, asked)))
    }
}

impl Person {
    /// This person, told apart from others of its name.
    pub fn seat(&self) -> Seat {
        Seat { name: self.name.clone(), code: self.code }
    }

    /// Whether this is the person in `seat`, and was one already when something was asked at `asked`.
    pub fn may_decide(&self, seat: &Seat, asked: Timestamp) -> bool {
        !self.is_retired() && self.added_at <= asked && self.seat() == *seat
    }

    #[cfg(test)]
    pub(crate) fn of(name: &str, code: &str) -> Self {
        let code = Sha256::digest(code.as_bytes()).into();
        Self { name: name.to_owned(), code, added_at: Timestamp::from_secs(1) }
    }

    /// Makes the code worthless: no code has this digest. The name stays, so that the owner sees who it was.
    pub(crate) const fn retire(&mut self) {
        self.code = [0; 32];
    }

    /// Whether no code is this person's any more.
    pub fn is_retired(&self) -> bool {
        self.code == [0; 32]
    }

    /// Whether `code` is this person's. Compared in constant time.
    pub fn has_code(&self, code: &str) -> bool {
        let digest: [u8; 32] = Sha256::digest(code.trim().as_bytes()).into();
        self.code.ct_eq(&digest).into()
    }
}

/// The policy of this name, as it stands now.
pub(crate) fn followed(tx: &mut Tx<'_, '_>, name: &str) -> Result<Option<Arc<PolicyRow>>, VaultError> {
    let place = tx.locate::<PolicyRow>(&Policy::natural_key(name));
    tx.get_shared::<PolicyRow>(&place)
}

pub(crate) fn no_policy(name: &str) -> VaultError {
    let shown = DisplayText::truncated(name, 80);
    let fault = Fault::new(ErrorCode::NotFound, format!("there is no policy \"{shown}\""));
    VaultError::Rejected(fault.with_hint("`keep policy list` shows those that there are"))
}

fn rejected(code: ErrorCode, message: String, hint: &str) -> VaultError {
    VaultError::Rejected(Fault::new(code, message).with_hint(hint))
}

/// The named policies of a vault. The built-in ones are there beside them and cannot be changed.
#[derive(Debug, Clone)]
pub struct Policies {
    vault: Arc<Vault>,
}

impl Policies {
    /// The policies of `vault`.
    pub const fn new(vault: Arc<Vault>) -> Self {
        Self { vault }
    }

    fn rows(&self) -> Result<Vec<PolicyRow>, VaultError> {
        Ok(self.vault.all()?.into_iter().map(|(_, row)| row).collect())
    }

    /// The policies that the owner made, by name.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn list(&self) -> Result<Vec<Policy>, VaultError> {
        let mut policies: Vec<Policy> = self.rows()?.iter().filter_map(|row| row.policy().cloned()).collect();
        policies.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(policies)
    }

    /// The policy of this name, and whether it is one that the owner made.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`]; when the store cannot be read.
    pub fn find(&self, name: &str) -> Result<(Policy, bool), VaultError> {
        if let Ok(builtin) = name.parse::<Builtin>() {
            return Ok((builtin.policy(), false));
        }
        let found = self.list()?.into_iter().find(|policy| policy.name == name);
        found.map(|policy| (policy, true)).ok_or_else(|| no_policy(name))
    }

    /// Since when a policy of the owner's stands as it is: its lifetime counts from then where it is that of the command line.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn since(&self, name: &str) -> Result<Timestamp, VaultError> {
        let is_it = |row: &PolicyRow| row.policy().is_some_and(|policy| policy.name == name);
        Ok(self.rows()?.iter().find(|row| is_it(row)).map_or(Timestamp::ZERO, PolicyRow::since))
    }

    /// What is counted of the owner's own uses of a key.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn owners_usage(&self, key: KeyId) -> Result<Usage, VaultError> {
        let read = self
            .vault
            .submit(move |tx| counters::of_key(tx, &Usage::owner_key(key), key).map(|(_, usage)| usage));
        Ok(read.wait()?.0)
    }

    /// Adds a policy, or replaces the one of its name; then every client that follows it is judged by the new one at once.
    ///
    /// # Errors
    /// [`ErrorCode::AlreadyExists`] when it is there already and is not to be replaced, or built in;
    /// [`ErrorCode::NotFound`] when there is none to replace.
    pub fn put(&self, policy: Policy, replace: bool) -> Result<(), VaultError> {
        let name = policy.name.clone();
        if name.parse::<Builtin>().is_ok() {
            let message = format!("the policy {name} is built in");
            return Err(rejected(ErrorCode::AlreadyExists, message, "give yours another name"));
        }
        let pending = self.vault.submit(move |tx| {
            let place = tx.locate::<PolicyRow>(&Policy::natural_key(&name));
            match (tx.get::<PolicyRow>(&place)?.is_some(), replace) {
                (true, false) => {
                    let message = format!("there is a policy {name} already");
                    return Err(rejected(
                        ErrorCode::AlreadyExists,
                        message,
                        "change it with `keep policy edit`",
                    ));
                }
                (false, true) => return Err(no_policy(&name)),
                (true, true) | (false, false) => {}
            }
            tx.put(place, &PolicyRow::Policy(policy, Some(tx.now())))?;
            let action = if replace { Action::PolicyChanged } else { Action::PolicyAdded };
            tx.audit(Draft::new(action, Outcome::Allowed, &Origin::Cli).reason(format!("policy {name}")));
            Ok(())
        });
        pending.wait().map(|_| ())
    }

    /// Removes a policy that no client and no address follows.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`]; [`ErrorCode::AlreadyExists`] while it is in use. A client that begins to follow it at the
    /// same moment is refused everything.
    pub fn remove(&self, name: &str) -> Result<(), VaultError> {
        let grants: Vec<Grant> = self.vault.all()?.into_iter().map(|(_, grant)| grant).collect();
        let endpoints: Vec<Endpoint> = self.vault.all()?.into_iter().map(|(_, endpoint)| endpoint).collect();
        let clients = grants.iter().filter(|grant| grant.follows && grant.policy.name == name).count();
        let addresses = endpoints.iter().filter(|end| end.follows && end.policy.name == name).count();
        if clients + addresses > 0 {
            let message = format!(
                "{} and {} follow the policy {name}",
                counted(clients, "client"),
                counted(addresses, "address")
            );
            return Err(rejected(
                ErrorCode::AlreadyExists,
                message,
                "revoke them first, see `keep nip46 apps` and `keep nip46 token list`",
            ));
        }
        if name.parse::<Builtin>().is_ok() {
            let message = format!("the policy {name} is built in");
            return Err(rejected(
                ErrorCode::InvalidInput,
                message,
                "only policies of your own can be removed",
            ));
        }
        let name = name.to_owned();
        let pending = self.vault.submit(move |tx| {
            let place = tx.locate::<PolicyRow>(&Policy::natural_key(&name));
            if !tx.delete::<PolicyRow>(&place)? {
                return Err(no_policy(&name));
            }
            let entry = Draft::new(Action::PolicyRemoved, Outcome::Allowed, &Origin::Cli);
            tx.audit(entry.reason(format!("policy {name}")));
            Ok(())
        });
        pending.wait().map(|_| ())
    }

    /// The persons who may approve beside the owner, by name.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn persons(&self) -> Result<Vec<Person>, VaultError> {
        let person = |row| match row {
            PolicyRow::Person(person) => Some(person),
            PolicyRow::Policy(..) => None,
        };
        let mut persons: Vec<Person> = self.rows()?.into_iter().filter_map(person).collect();
        persons.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(persons)
    }

    /// Lets a person approve; gives the code, which is kept nowhere.
    ///
    /// # Errors
    /// [`ErrorCode::AlreadyExists`]; [`ErrorCode::InvalidInput`] for a name that is none.
    pub fn add_person(&self, name: &str) -> Result<String, VaultError> {
        let is_plain = |c: char| c.is_alphanumeric() || c == '-' || c == '_' || c == '.';
        if !(1..=64).contains(&name.len()) || !name.chars().all(is_plain) || name == "owner" {
            let message = "a person's name has letters, digits, -, _ and ., and is not \"owner\"".to_owned();
            return Err(rejected(ErrorCode::InvalidInput, message, "choose another name"));
        }
        let mut random = [0; 32];
        getrandom::getrandom(&mut random)?;
        let code = hex::encode(random);
        let (name, digest) = (name.to_owned(), Sha256::digest(code.as_bytes()).into());
        let pending = self.vault.submit(move |tx| {
            let place = tx.locate::<PolicyRow>(&person_key(&name));
            if tx.get::<PolicyRow>(&place)?.is_some() {
                let message = format!("{name} may approve already");
                return Err(rejected(
                    ErrorCode::AlreadyExists,
                    message,
                    "remove the person first for a new code",
                ));
            }
            let person = Person { name: name.clone(), code: digest, added_at: tx.now() };
            tx.put(place, &PolicyRow::Person(person))?;
            let entry = Draft::new(Action::PersonAdded, Outcome::Allowed, &Origin::Cli);
            tx.audit(entry.reason(format!("{name} may approve")));
            Ok(())
        });
        pending.wait().map(|_| code)
    }

    /// A person may no longer approve.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`].
    pub fn remove_person(&self, name: &str) -> Result<(), VaultError> {
        let name = name.to_owned();
        let pending = self.vault.submit(move |tx| {
            let place = tx.locate::<PolicyRow>(&person_key(&name));
            if !tx.delete::<PolicyRow>(&place)? {
                let shown = DisplayText::truncated(&name, 80);
                let message = format!("there is no person \"{shown}\" who may approve");
                return Err(rejected(ErrorCode::NotFound, message, "see `keep policy person list`"));
            }
            let entry = Draft::new(Action::PersonRemoved, Outcome::Allowed, &Origin::Cli);
            tx.audit(entry.reason(format!("{name} may no longer approve")));
            Ok(())
        });
        pending.wait().map(|_| ())
    }
}

pub(crate) fn person_key(name: &str) -> Vec<u8> {
    [b"person:", name.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use super::*;

    /// A row from before it was noted when a policy was put there.
    #[derive(Encode)]
    enum Former {
        #[n(0)]
        Policy(#[n(0)] Policy),
    }

    #[test]
    fn a_policy_of_which_nobody_knows_since_when_has_stood_for_ever() {
        let policy = Builtin::Social.policy();
        let former = minicbor::to_vec(Former::Policy(policy.clone())).unwrap();
        let row = PolicyRow::from_cbor(&former).unwrap();
        assert_eq!((row.policy(), row.since()), (Some(&policy), Timestamp::ZERO));
        let now = Timestamp::from_secs(1_800_000_000);
        let row = PolicyRow::from_cbor(&PolicyRow::Policy(policy, Some(now)).to_cbor().unwrap()).unwrap();
        assert_eq!(row.since(), now);
    }
}
