//! What can be asked about policies.

use keep_policy::{Builtin, Grant, Policy, PolicyDocument};
use keep_signer::Policies;
use keep_types::{Fault, SecretText};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PersonView, PolicyCheck, PolicyShown, PolicyView};
use crate::call::{Call, Class, Host, secret};
use crate::views::Done;

fn policies(host: &Host) -> Policies {
    Policies::new(host.vault().clone())
}

/// Lists every policy.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct List {}

impl Call for List {
    const NAME: &'static str = "policy.list";
    const CLASS: Class = Class::Use;
    type Reply = Vec<PolicyView>;

    fn run(self, host: &Host) -> Result<Vec<PolicyView>, Fault> {
        let grants: Vec<Grant> = host.vault().all()?.into_iter().map(|(_, grant)| grant).collect();
        let view = |policy: &Policy, builtin| PolicyView {
            name: policy.name.clone(),
            builtin,
            description: policy.description.clone(),
            rules: policy.rules.len(),
            clients: grants.iter().filter(|g| g.policy.name == policy.name && g.follows != builtin).count(),
        };
        let mut views: Vec<PolicyView> =
            Builtin::ALL.iter().map(|builtin| view(&builtin.policy(), true)).collect();
        views.extend(policies(host).list()?.iter().map(|policy| view(policy, false)));
        Ok(views)
    }
}

/// Shows a policy as it is written.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Show {
    pub name: String,
}

impl Call for Show {
    const NAME: &'static str = "policy.show";
    const CLASS: Class = Class::Use;
    type Reply = PolicyShown;

    fn run(self, host: &Host) -> Result<PolicyShown, Fault> {
        let (policy, own) = policies(host).find(&self.name)?;
        let document = PolicyDocument::of(&policy);
        Ok(PolicyShown { builtin: !own, toml: document.to_toml()?, policy: document })
    }
}

/// Adds or replaces a policy.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Put {
    pub toml: String,
    pub replace: bool,
}

impl Call for Put {
    const NAME: &'static str = "policy.put";
    const CLASS: Class = Class::Manage;
    type Reply = PolicyCheck;

    fn run(self, host: &Host) -> Result<PolicyCheck, Fault> {
        host.check_intact()?;
        let check = super::Policies::check(&self.toml)?;
        policies(host).put(PolicyDocument::from_toml(&self.toml)?.policy()?, self.replace)?;
        Ok(check)
    }
}

/// Removes a policy.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Remove {
    pub name: String,
}

impl Call for Remove {
    const NAME: &'static str = "policy.remove";
    const CLASS: Class = Class::Manage;
    type Reply = Done;

    fn run(self, host: &Host) -> Result<Done, Fault> {
        host.check_intact()?;
        policies(host).remove(&self.name)?;
        Ok(Done {})
    }
}

/// Lists the persons who may approve.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ListPersons {}

impl Call for ListPersons {
    const NAME: &'static str = "policy.persons";
    const CLASS: Class = Class::Use;
    type Reply = Vec<PersonView>;

    fn run(self, host: &Host) -> Result<Vec<PersonView>, Fault> {
        let view = |person: &keep_signer::Person| PersonView {
            name: person.name.clone(),
            added_at: person.added_at.to_string(),
        };
        Ok(policies(host).persons()?.iter().map(view).collect())
    }
}

/// Lets a person approve.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AddPerson {
    pub name: String,
}

/// The code of a person who may approve.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct PersonCode {
    /// The code. It is kept nowhere.
    #[serde(with = "secret::text")]
    #[schemars(with = "String")]
    pub code: SecretText,
}

impl Call for AddPerson {
    const NAME: &'static str = "policy.add_person";
    const CLASS: Class = Class::Manage;
    type Reply = PersonCode;

    fn run(self, host: &Host) -> Result<PersonCode, Fault> {
        host.check_intact()?;
        Ok(PersonCode { code: SecretText::new(policies(host).add_person(&self.name)?) })
    }
}

/// A person may no longer approve.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RemovePerson {
    pub name: String,
}

impl Call for RemovePerson {
    const NAME: &'static str = "policy.remove_person";
    const CLASS: Class = Class::Manage;
    type Reply = Done;

    fn run(self, host: &Host) -> Result<Done, Fault> {
        host.check_intact()?;
        policies(host).remove_person(&self.name)?;
        Ok(Done {})
    }
}
