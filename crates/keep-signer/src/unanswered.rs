//! Which answers are still to leave, by the commit that keeps what was received.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use keep_types::{RequestId, Revision};
use keep_vault::Committed;

/// The requests of this process that are decided and not answered.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    requests: HashMap<RequestId, Revision>,
    /// How many of a commit's requests are left.
    left: HashMap<Revision, usize>,
}

impl Waiting {
    /// Takes up a request that was decided by `record`'s commit, if that keeps what was received.
    pub(crate) fn keep(&mut self, id: RequestId, record: &Committed) {
        if let Some((revision, count)) = record.kept()
            && let Entry::Vacant(request) = self.requests.entry(id)
        {
            request.insert(revision);
            self.left.entry(revision).or_insert(count);
        }
    }

    /// Takes up what a commit of an earlier process keeps; nothing if that commit is known.
    pub(crate) fn adopt(&mut self, revision: Revision, ids: &[RequestId]) {
        if let Entry::Vacant(left) = self.left.entry(revision) {
            left.insert(ids.len());
            self.requests.extend(ids.iter().map(|id| (*id, revision)));
        }
    }

    /// A request is answered. The commit of which nothing is left, if this was the last.
    pub(crate) fn end(&mut self, id: RequestId) -> Option<Revision> {
        let revision = self.requests.remove(&id)?;
        let left = self.left.get_mut(&revision)?;
        *left = left.saturating_sub(1);
        (*left == 0).then(|| {
            self.left.remove(&revision);
            revision
        })
    }
}
