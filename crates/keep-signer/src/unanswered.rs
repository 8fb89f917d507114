//! Which answers are still to leave, by the commit that keeps what was received.

use std::collections::{HashMap, HashSet};

use keep_types::{RequestId, Revision};
use keep_vault::Committed;

/// The requests of one signer that are decided and not answered.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    requests: HashMap<RequestId, Kept>,
    /// Of each commit: what was answered of it since it was last written.
    answered: HashMap<Revision, Vec<RequestId>>,
    /// Of a vault of an older version, whose rows keep what was received themselves.
    in_rows: HashSet<RequestId>,
}

/// Where what was received lies.
#[derive(Debug, Clone, Copy)]
struct Kept {
    revision: Revision,
    /// How many requests that commit keeps, also those of other signers.
    together: usize,
}

/// Answers that have left, of requests that are kept in one place.
#[derive(Debug, Clone)]
pub(crate) enum Answered {
    /// By a commit.
    Together(Revision, Vec<RequestId>),
    /// In the request's own row.
    InRow(RequestId),
}

impl Waiting {
    /// Takes up a request that was decided by `record`'s commit, if that keeps what was received.
    pub(crate) fn keep(&mut self, id: RequestId, record: &Committed) {
        if let Some((revision, together)) = record.kept() {
            self.requests.entry(id).or_insert(Kept { revision, together });
        }
    }

    /// Takes up what a commit of an earlier process keeps.
    pub(crate) fn adopt(&mut self, revision: Revision, ids: &[RequestId]) {
        for id in ids {
            self.requests.entry(*id).or_insert(Kept { revision, together: ids.len() });
        }
    }

    /// Takes up a request whose own row keeps what was received.
    pub(crate) fn adopt_row(&mut self, id: RequestId) {
        self.in_rows.insert(id);
    }

    /// A request is answered. What is to be written now, if this was the last of its commit: so that a commit is written
    /// once more, not once for each of its answers.
    pub(crate) fn end(&mut self, id: RequestId) -> Option<Answered> {
        if self.in_rows.remove(&id) {
            return Some(Answered::InRow(id));
        }
        let Kept { revision, together } = self.requests.remove(&id)?;
        let answered = self.answered.entry(revision).or_default();
        answered.push(id);
        if answered.len() < together {
            return None;
        }
        self.answered.remove(&revision).map(|ids| Answered::Together(revision, ids))
    }

    /// What was answered of commits that keep others still.
    pub(crate) fn part_answered(&mut self) -> Vec<Answered> {
        self.answered.drain().map(|(revision, ids)| Answered::Together(revision, ids)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> RequestId {
        RequestId::from_bytes([number; 32])
    }

    #[test]
    fn a_commit_is_written_again_when_its_last_answer_has_left_or_when_asked() {
        let (mut waiting, revision) = (Waiting::default(), Revision::new(7));
        waiting.adopt(revision, &[id(1), id(2), id(3)]);
        assert!(waiting.end(id(1)).is_none() && waiting.end(id(1)).is_none() && waiting.end(id(9)).is_none());
        let part = waiting.part_answered();
        assert!(matches!(&part[..], [Answered::Together(at, ids)] if *at == revision && *ids == [id(1)]));
        assert!(waiting.part_answered().is_empty());
        assert!(waiting.end(id(2)).is_none() && waiting.end(id(3)).is_none(), "one of three is written");
        assert_eq!(waiting.part_answered().len(), 1);
        waiting.adopt_row(id(4));
        assert!(matches!(waiting.end(id(4)), Some(Answered::InRow(row)) if row == id(4)));
        assert!(waiting.end(id(4)).is_none());
    }
}
