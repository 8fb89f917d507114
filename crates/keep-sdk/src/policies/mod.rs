//! Named policies: written, looked at, tried out.

mod calls;
mod explaining;
mod simulation;
mod views;

use keep_policy::{PolicyDocument, unreachable_rules};
use keep_types::{Fault, SecretText};

pub use explaining::{Explained, Question};
pub use simulation::Past;
pub use views::{Difference, PersonView, PolicyCheck, PolicyShown, PolicyView, SimulationView};

pub(crate) use calls::{AddPerson, List, ListPersons, Put, Remove, RemovePerson, Show};
pub(crate) use explaining::Explain;
pub(crate) use simulation::Simulate;

use crate::Keep;

/// The policies of a vault, and the persons who may approve.
#[derive(Debug, Clone)]
pub struct Policies {
    keep: Keep,
}

impl Policies {
    pub(crate) const fn new(keep: Keep) -> Self {
        Self { keep }
    }

    /// Reads a policy as it is written (TOML) and says what is odd about it, without a vault.
    ///
    /// # Errors
    /// [`InvalidInput`](keep_types::ErrorCode::InvalidInput) with what does not fit, and where.
    pub fn check(toml: &str) -> Result<PolicyCheck, Fault> {
        let policy = PolicyDocument::from_toml(toml)?.policy()?;
        Ok(PolicyCheck {
            name: policy.name.clone(),
            rules: policy.rules.len(),
            unreachable: unreachable_rules(&policy),
        })
    }

    /// Every policy: the built-in ones, then those of the owner.
    ///
    /// # Errors
    /// When the vault cannot be read.
    pub fn list(&self) -> Result<Vec<PolicyView>, Fault> {
        self.keep.call(List {})
    }

    /// One policy, as it is written.
    ///
    /// # Errors
    /// [`NotFound`](keep_types::ErrorCode::NotFound).
    pub fn show(&self, name: &str) -> Result<PolicyShown, Fault> {
        self.keep.call(Show { name: name.to_owned() })
    }

    /// Adds a policy as it is written (TOML), or replaces the one of its name.
    ///
    /// # Errors
    /// When it does not read; when there is one already, or none to replace.
    pub fn put(&self, toml: &str, replace: bool) -> Result<PolicyCheck, Fault> {
        self.keep.call(Put { toml: toml.to_owned(), replace })
    }

    /// Removes a policy that nobody follows.
    ///
    /// # Errors
    /// [`NotFound`](keep_types::ErrorCode::NotFound); while it is in use.
    pub fn remove(&self, name: &str) -> Result<(), Fault> {
        self.keep.call(Remove { name: name.to_owned() }).map(drop)
    }

    /// What a policy, or what a client has, says to a request, and why.
    ///
    /// # Errors
    /// When the request does not read; [`NotFound`](keep_types::ErrorCode::NotFound).
    pub fn explain(&self, question: Question) -> Result<Explained, Fault> {
        self.keep.call(Explain { question })
    }

    /// What a policy would have said to what was asked in the past.
    ///
    /// # Errors
    /// When the policy does not read; [`NotFound`](keep_types::ErrorCode::NotFound); when the log cannot be read.
    pub fn simulate(&self, past: Past) -> Result<SimulationView, Fault> {
        self.keep.call(Simulate { past })
    }

    /// The persons who may approve beside the owner.
    ///
    /// # Errors
    /// When the vault cannot be read.
    pub fn persons(&self) -> Result<Vec<PersonView>, Fault> {
        self.keep.call(ListPersons {})
    }

    /// Lets a person approve; gives the code that only this person should have.
    ///
    /// # Errors
    /// When there is such a person already, or the name is none.
    pub fn add_person(&self, name: &str) -> Result<SecretText, Fault> {
        Ok(self.keep.call(AddPerson { name: name.to_owned() })?.code)
    }

    /// A person may no longer approve.
    ///
    /// # Errors
    /// [`NotFound`](keep_types::ErrorCode::NotFound).
    pub fn remove_person(&self, name: &str) -> Result<(), Fault> {
        self.keep.call(RemovePerson { name: name.to_owned() }).map(drop)
    }
}
