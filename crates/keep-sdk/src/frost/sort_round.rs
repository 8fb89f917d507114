//! Which of the texts that came are messages of one round of a signing session.

use std::collections::{BTreeMap, BTreeSet};

use keep_frost::sign::{Package, Partial};
use keep_frost::wire::{Envelope, Kind};
use keep_frost::{Commitment, FrostError, Index, SessionId};
use keep_types::Fault;
use keep_vault::GroupRecord;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lookup::group;
use super::psbt_session::parse;
use super::views::SkippedView;
use crate::call::{Call, Class, Host};

/// A round of a signing session, by what is said in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Round {
    /// What is to be signed.
    Proposal,
    /// The signers' commitments.
    Commitment,
    /// The signers, fixed.
    Package,
    /// The signature shares.
    Partial,
}

impl Round {
    /// The stable word, which names of files have as well.
    pub const fn as_str(self) -> &'static str {
        self.kind().as_str()
    }

    const fn kind(self) -> Kind {
        match self {
            Self::Proposal => Kind::Proposal,
            Self::Commitment => Kind::Commitment,
            Self::Package => Kind::Package,
            Self::Partial => Kind::Partial,
        }
    }
}

/// What is known of the session when messages are looked at.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Expected {
    /// Whether it is about a Bitcoin transaction: then one text holds a message for each signature.
    pub transaction: bool,
    /// The proposal, once it is known.
    pub proposal: Option<String>,
    /// The commitments of those who sign, once they are fixed.
    pub commitments: Vec<String>,
}

/// Looks at texts that came. Nothing is done with them.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SortRound {
    pub group: Option<String>,
    pub round: Round,
    pub expected: Expected,
    pub texts: Vec<String>,
}

/// What texts that came are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoundSorted {
    /// Who has sent each text that belongs to the round, by its place among all.
    pub taken: BTreeMap<usize, u16>,
    /// The texts that do not.
    pub skipped: Vec<SkippedView>,
}

impl Call for SortRound {
    const NAME: &'static str = "frost.sort_round";
    const CLASS: Class = Class::Use;
    type Reply = RoundSorted;

    fn run(self, host: &Host) -> Result<RoundSorted, Fault> {
        let record = group(host, self.group.as_deref())?;
        let known = Known::read(&self.expected)?;
        let mut sorted = RoundSorted { taken: BTreeMap::new(), skipped: Vec::new() };
        for (at, text) in self.texts.iter().enumerate() {
            match envelopes(text, self.expected.transaction) {
                Err(fault) => sorted.skipped.push(SkippedView::new(at, &fault, true)),
                Ok(envelopes) => match known.sender(&record, self.round, &envelopes) {
                    Ok(from) => drop(sorted.taken.insert(at, from.get())),
                    Err(error) => sorted.skipped.push(SkippedView::new(at, &error.into(), false)),
                },
            }
        }
        Ok(sorted)
    }
}

/// The messages of one text: one for each session.
fn envelopes(text: &str, transaction: bool) -> Result<Vec<Envelope>, Fault> {
    if transaction {
        return parse(text);
    }
    Ok(vec![Envelope::parse(text).map_err(|error| {
        match parse(text) {
            Ok(_) => FrostError::Malformed {
                what: "round message",
                reason:
                    "it holds several, as for a transaction: take part with `keep frost sign-psbt --join`"
                        .to_owned(),
            },
            Err(_) => error,
        }
    })?])
}

/// What the proposal and the commitments say.
struct Known {
    /// The sessions, in their order, and who proposed them. None before the proposal is there.
    sessions: Option<(Index, Vec<SessionId>)>,
    signers: BTreeSet<Index>,
}

impl Known {
    fn read(expected: &Expected) -> Result<Self, Fault> {
        let sessions = match &expected.proposal {
            Some(text) => {
                let proposals = envelopes(text, expected.transaction)?;
                let from = proposals.first().map(Envelope::from);
                from.map(|from| (from, proposals.iter().map(Envelope::session).collect()))
            }
            None => None,
        };
        let mut signers = BTreeSet::new();
        for text in &expected.commitments {
            signers.extend(envelopes(text, expected.transaction)?.first().map(Envelope::from));
        }
        Ok(Self { sessions, signers })
    }

    /// Who has sent the messages of one text, if they belong to the round. What proves that its sender cheats belongs to it.
    fn sender(
        &self,
        record: &GroupRecord,
        round: Round,
        envelopes: &[Envelope],
    ) -> Result<Index, FrostError> {
        let first = envelopes.first().ok_or(FrostError::Internal("a text without messages"))?;
        let from = first.from();
        if first.kind() != round.kind() {
            return Err(FrostError::WrongKind { expected: round.as_str(), found: first.kind().as_str() });
        }
        if let Some((_, sessions)) = &self.sessions
            && !sessions.iter().eq(envelopes.iter().map(Envelope::session).collect::<Vec<_>>().iter())
        {
            return Err(FrostError::WrongSession);
        }
        let device = record.group.device(from)?;
        for envelope in envelopes {
            if envelope.from() != from {
                return Err(FrostError::NotAuthentic(from));
            }
            let session = envelope.session();
            let read = match round {
                Round::Proposal => {
                    envelope.read_proposal(&device).and_then(|proposal| proposal.check(&record.group))
                }
                Round::Commitment => {
                    envelope.read::<Commitment>(Kind::Commitment, session, &device).map(|_| ())
                }
                Round::Package => envelope.read::<Package>(Kind::Package, session, &device).map(|_| ()),
                Round::Partial => envelope.read::<Partial>(Kind::Partial, session, &device).map(|_| ()),
            };
            // Of those who are fixed by now nobody else can speak: the session ends, with the name of who signed nonsense.
            let is_fixed = matches!(round, Round::Package | Round::Partial);
            if !(is_fixed && matches!(read, Err(FrostError::BadContribution(_)))) {
                read?;
            }
        }
        let proposed_by = self.sessions.as_ref().map(|(by, _)| *by);
        match round {
            Round::Package if proposed_by != Some(from) => Err(FrostError::NotInvolved(from)),
            Round::Partial if !self.signers.contains(&from) => Err(FrostError::NotASigner(from)),
            Round::Proposal | Round::Commitment | Round::Package | Round::Partial => Ok(from),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use keep_frost::{Suite, dealer};
    use keep_types::{KeyId, Name, Timestamp, VaultId};
    use rand_core::OsRng;

    use super::*;

    #[test]
    fn signed_nonsense_counts_against_its_sender() {
        let dealt = dealer::generate(Suite::Secp256k1Tr, 2, 3, &mut OsRng).unwrap();
        let record = GroupRecord {
            id: KeyId::from_bytes([1; 16]),
            name: Name::new("g").unwrap(),
            group: dealt.group,
            shares: Vec::new(),
            created_at: Timestamp::from_secs(0),
            confirmed_in: VaultId::from_bytes([2; 16]),
            last_refresh: None,
            endorsement: None,
            grants: Vec::new(),
            given_up: Vec::new(),
        };
        let (one, two) = (Index::new(1).unwrap(), Index::new(2).unwrap());
        let session = SessionId::from_bytes([7; 32]);
        let known = Known { sessions: Some((one, vec![session])), signers: BTreeSet::from([one, two]) };
        let says = |from: Index, round: Round| {
            let device = &dealt.devices[usize::from(from.get()) - 1];
            let nonsense = Envelope::sign(round.kind(), session, from, device, &"nonsense").unwrap();
            known.sender(&record, round, &[nonsense])
        };
        // Others may commit in its place; a fixed signer and the coordinator have no substitute.
        assert_eq!(says(two, Round::Commitment), Err(FrostError::BadContribution(vec![two])));
        assert_eq!(says(two, Round::Partial), Ok(two));
        assert_eq!(says(one, Round::Package), Ok(one));
        assert_eq!(says(two, Round::Package), Err(FrostError::NotInvolved(two)));
    }
}
