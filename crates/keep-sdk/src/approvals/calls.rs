//! What can be asked about requests that wait.

use std::collections::HashMap;
use std::sync::Arc;

use keep_audit::Surface;
use keep_policy::Remember;
use keep_signer::{Person, Policies};
use keep_types::{ErrorCode, Fault, KeyId, SecretText};
use serde::{Deserialize, Serialize};

use super::queue::{Approvals, Tally, Voice, Waiting};
use super::{Lasting, PendingView, VoteView};
use crate::call::{Call, Class, Host, secret};

/// Lists what waits.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Pending {
    /// How much of each text is shown, in characters; the rest is cut, and counted.
    #[serde(default = "shown_beside_others")]
    pub most: usize,
}

impl Call for Pending {
    const NAME: &'static str = "approvals.pending";
    const CLASS: Class = Class::Use;
    type Reply = Vec<PendingView>;

    fn run(self, host: &Host) -> Result<Vec<PendingView>, Fault> {
        let names = key_names(host)?;
        Ok(queue(host)?.0.each(|waiting| view_of(waiting, &names, self.most)))
    }
}

/// How much of each text of a request is shown beside others, in characters.
pub(crate) const MAX_SHOWN: usize = 10_000;

const fn shown_beside_others() -> usize {
    MAX_SHOWN
}

/// What waits, with each yes that still counts, and those who may approve beside the owner.
fn queue(host: &Host) -> Result<(Arc<Approvals>, Vec<Person>), Fault> {
    let policies = Policies::new(host.vault().clone());
    let queue = host.state::<Approvals>();
    let persons = queue.recount(|| Ok(policies.persons()?))?;
    Ok((queue, persons))
}

type Names = HashMap<KeyId, String>;

fn key_names(host: &Host) -> Result<Names, Fault> {
    let keys = host.vault().keys()?;
    let own = keys.into_iter().map(|key| (key.id, key.name.to_string()));
    Ok(own.chain(crate::remote::names(host)?).collect())
}

fn view_of(waiting: &Waiting, names: &Names, most: usize) -> PendingView {
    PendingView::new(waiting, names.get(&waiting.prompt.key).cloned().unwrap_or_default(), most)
}

/// Shows one that waits, all of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ShowPending {
    pub id: String,
}

impl Call for ShowPending {
    const NAME: &'static str = "approvals.show";
    const CLASS: Class = Class::Use;
    type Reply = PendingView;

    fn run(self, host: &Host) -> Result<PendingView, Fault> {
        let names = key_names(host)?;
        queue(host)?.0.one(&self.id, |waiting| view_of(waiting, &names, usize::MAX))
    }
}

/// The owner decides.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Decide {
    pub id: String,
    pub approve: bool,
    pub lasting: Option<Lasting>,
    /// Where the owner decides, for the log.
    #[serde(default)]
    pub surface: Surface,
}

impl Call for Decide {
    const NAME: &'static str = "approvals.decide";
    const CLASS: Class = Class::Manage;
    type Reply = VoteView;

    fn run(self, host: &Host) -> Result<VoteView, Fault> {
        let until = |seconds| host.now().plus(std::time::Duration::from_secs(seconds));
        let remember = self
            .lasting
            .map(|lasting| Remember { breadth: lasting.breadth, until: lasting.seconds.map(until) });
        Ok(view(queue(host)?.0.vote(&self.id, self.approve, Voice::owner(self.surface), remember)?))
    }
}

/// Another person decides, who shows a code instead of the vault's passphrase.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Vote {
    pub id: String,
    pub approve: bool,
    pub person: String,
    #[serde(with = "secret::text")]
    pub code: SecretText,
}

impl Call for Vote {
    const NAME: &'static str = "approvals.vote";
    const CLASS: Class = Class::Use;
    type Reply = VoteView;

    fn run(self, host: &Host) -> Result<VoteView, Fault> {
        let (queue, persons) = queue(host)?;
        let is_meant = persons.iter().find(|person| person.name == self.person);
        let Some(person) = is_meant.filter(|person| person.has_code(self.code.expose())) else {
            let message = "this is not the code of a person who may approve";
            return Err(Fault::new(ErrorCode::RefusedByPolicy, message)
                .with_hint("the owner lets somebody approve with `keep policy person add`"));
        };
        Ok(view(queue.vote(&self.id, self.approve, Voice::of(person), None)?))
    }
}

const fn view(tally: Tally) -> VoteView {
    match tally {
        Tally::Settled { approved } => VoteView { settled: true, approved, needs: 0 },
        Tally::NeedsMore(needs) => VoteView { settled: false, approved: true, needs },
    }
}
