//! The two rounds of a signature whose shares are in different vaults. One process lives through both.

use std::collections::BTreeSet;

use keep_sdk::frost::{
    Expected, Frost, GroupKey, GroupView, OwnRelease, ProposalView, PsbtToSign, Round, RoundView,
    StepMessage, ToSign,
};
use keep_sdk::{ErrorCode, Fault};

use super::exchange::Exchange;
use super::files::{agree, shown};
use crate::args::frost::Together;
use crate::ending::Ending;
use crate::session::Session;

/// Everything that was said in a session.
pub struct Rounds {
    pub session: String,
    pub proposal: String,
    pub commitments: Vec<String>,
    pub shares: Vec<String>,
}

/// What is signed together.
pub enum Subject {
    /// A message, under a key of the group.
    Message(ToSign, GroupKey),
    /// A message that somebody else proposes.
    Proposed,
    /// A transaction, which each side has.
    Psbt(PsbtToSign),
}

/// Who agreed to what is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agreed {
    /// The owner, now or with this very command.
    Here,
    /// The owner, with a grant for the member who proposes it.
    ByGrant,
}

impl Subject {
    fn propose(&self, frost: &Frost, group: &str, signers: Vec<u16>) -> Result<RoundView, Fault> {
        match self {
            Self::Message(what, key) => frost.propose(Some(group), what.clone(), key.clone(), signers),
            Self::Psbt(psbt) => frost.propose_psbt(psbt.clone(), signers),
            Self::Proposed => Err(Fault::new(ErrorCode::Bug, "nothing to propose")),
        }
    }

    fn package(
        &self,
        frost: &Frost,
        group: &str,
        proposal: &str,
        commitments: &[String],
    ) -> Result<RoundView, Fault> {
        match self {
            Self::Message(..) | Self::Proposed => frost.package(Some(group), proposal, commitments),
            Self::Psbt(_) => frost.package_psbt(Some(group), proposal, commitments),
        }
    }

    fn contribute(
        &self,
        frost: &Frost,
        group: &str,
        proposal: &str,
        package: &str,
        own: &[String],
        agreed: Agreed,
    ) -> Result<RoundView, Fault> {
        let this = Some(group);
        match (self, agreed) {
            (Self::Message(..) | Self::Proposed, Agreed::Here) => {
                frost.contribute(this, proposal, package, own)
            }
            (Self::Message(..) | Self::Proposed, Agreed::ByGrant) => {
                frost.contribute_granted(this, proposal, package, own)
            }
            (Self::Psbt(psbt), Agreed::Here) => frost.contribute_psbt(psbt.clone(), proposal, package, own),
            (Self::Psbt(psbt), Agreed::ByGrant) => {
                frost.contribute_psbt_granted(psbt.clone(), proposal, package, own)
            }
        }
    }
}

fn texts(messages: &[StepMessage]) -> Vec<String> {
    messages.iter().map(|message| message.text.clone()).collect()
}

/// Proposes, collects commitments, fixes the signers, and collects their signature shares.
pub fn coordinate(
    session: &Session,
    frost: &Frost,
    group: &GroupView,
    subject: &Subject,
    together: &Together,
    exchange: &mut Exchange<'_>,
) -> Result<Rounds, Ending> {
    let this = group.pubkey.as_str();
    let signers = here(group, together)?;
    let opened = subject.propose(frost, this, signers)?;
    let id = opened.session.clone();
    let (proposal, own) =
        opened.messages.split_first().ok_or_else(|| Fault::new(ErrorCode::Bug, "no proposal"))?;
    exchange.send("proposal", std::slice::from_ref(proposal))?;
    let own = texts(own);
    let mut commitments = own.clone();
    let mut missing = opened.missing;
    let package = loop {
        if missing > 0 {
            let signers = if missing == 1 { "signer is" } else { "signers are" };
            session.output.talk(&format!("{missing} more {signers} needed."));
            let expected = expected(subject, Some(&proposal.text), &[]);
            let sort = |texts| frost.sort_round(Some(this), Round::Commitment, expected.clone(), texts);
            let came = exchange.receive(Round::Commitment, Some(&id), &sort)?;
            commitments.extend(came.into_iter().map(|came| came.text));
        }
        let round = subject.package(frost, this, &proposal.text, &commitments)?;
        missing = round.missing;
        if let Some(package) = round.messages.into_iter().next() {
            break package;
        }
    };
    exchange.send("package", std::slice::from_ref(&package))?;
    let answer = subject.contribute(frost, this, &proposal.text, &package.text, &own, Agreed::Here)?;
    let mut shares = texts(&answer.messages);
    let expected = expected(subject, Some(&proposal.text), &commitments);
    let sort = |texts| frost.sort_round(Some(this), Round::Partial, expected.clone(), texts);
    // Copies of one message are one.
    let senders = |texts: &[String]| -> Result<BTreeSet<u16>, Fault> {
        let sorted = frost.sort_round(Some(this), Round::Partial, expected.clone(), texts.to_vec())?;
        Ok(sorted.taken.into_values().collect())
    };
    let signers = senders_of(frost, this, &expected, &commitments)?;
    let mut sent = senders(&shares)?;
    while sent.len() < signers.len() {
        let missing = signers.len() - sent.len();
        let is = if missing == 1 { "share is" } else { "shares are" };
        session.output.talk(&format!("{missing} signature {is} still to come."));
        for came in exchange.receive(Round::Partial, Some(&id), &sort)? {
            sent.insert(came.from);
            shares.push(came.text);
        }
    }
    Ok(Rounds { session: id, proposal: proposal.text.clone(), commitments, shares })
}

/// No more shares than can be of use: each more is one more to wait for.
fn here(group: &GroupView, together: &Together) -> Result<Vec<u16>, Fault> {
    if group.shares.is_empty() {
        return Err(Fault::new(
            ErrorCode::NotFound,
            format!("no share of \"{}\" is in this vault", group.name),
        )
        .with_hint("import one with `keep frost import`"));
    }
    Ok(together.signers.clone())
}

/// What is known when messages of a round come.
fn expected(subject: &Subject, proposal: Option<&str>, commitments: &[String]) -> Expected {
    Expected {
        transaction: matches!(subject, Subject::Psbt(_)),
        proposal: proposal.map(str::to_owned),
        commitments: commitments.to_vec(),
    }
}

/// Who has committed.
fn senders_of(
    frost: &Frost,
    group: &str,
    expected: &Expected,
    commitments: &[String],
) -> Result<BTreeSet<u16>, Fault> {
    let expected = Expected { commitments: Vec::new(), ..expected.clone() };
    let sorted = frost.sort_round(Some(group), Round::Commitment, expected, commitments.to_vec())?;
    Ok(sorted.taken.into_values().collect())
}

/// The one proposal that came.
fn receive_proposal(
    exchange: &mut Exchange<'_>,
    frost: &Frost,
    group: &str,
    transaction: bool,
) -> Result<String, Ending> {
    let expected = Expected { transaction, ..Expected::default() };
    let sort = |texts| frost.sort_round(Some(group), Round::Proposal, expected.clone(), texts);
    let mut proposals = exchange.receive(Round::Proposal, None, &sort)?;
    let names: Vec<String> = proposals.iter().map(|came| shown(&came.place)).take(10).collect();
    match (proposals.pop(), proposals.is_empty()) {
        (Some(proposal), true) => Ok(proposal.text),
        _ => Err(Fault::new(
            ErrorCode::InvalidInput,
            format!("there are several proposals: {}", names.join(", ")),
        )
        .with_hint("remove those that are over from the directory")
        .into()),
    }
}

/// Reads a proposal, asks, commits, waits for the package and answers it. Returns the session.
pub fn co_sign(
    session: &Session,
    frost: &Frost,
    group: &GroupView,
    together: &Together,
    release: Option<&OwnRelease>,
    exchange: &mut Exchange<'_>,
) -> Result<String, Ending> {
    let this = group.pubkey.as_str();
    let signers = here(group, together)?;
    let proposal = receive_proposal(exchange, frost, this, false)?;
    let view = frost.inspect(Some(this), &proposal)?;
    show(session, &view);
    together.expect_from(view.from)?;
    let mut agreed = Agreed::Here;
    if release.is_none() || !together.yes {
        let here = together.yes || together.allows(&view);
        if !here && view.granted {
            agreed = by_grant(session, view.from);
        } else {
            agree(here, "Sign this?", "nothing was signed")?;
        }
    }
    let joined = frost.join(Some(this), &proposal, release.cloned(), signers)?;
    answer(frost, this, &Subject::Proposed, &proposal, &joined, agreed, exchange)?;
    Ok(view.session)
}

/// The same, about a transaction that is here.
pub fn co_sign_psbt(
    session: &Session,
    frost: &Frost,
    group: &GroupView,
    together: &Together,
    psbt: PsbtToSign,
    exchange: &mut Exchange<'_>,
) -> Result<(), Ending> {
    let signers = here(group, together)?;
    let proposal = receive_proposal(exchange, frost, &group.pubkey, true)?;
    let view = frost.analyze_psbt(psbt.clone(), Some(&proposal))?;
    together.expect_from(view.from.unwrap_or_default())?;
    super::psbt::show(session, &view);
    let mut agreed = Agreed::Here;
    if !together.yes && view.granted {
        agreed = by_grant(session, view.from.unwrap_or_default());
    } else {
        agree(together.yes, "Sign this?", "nothing was signed")?;
    }
    let joined = frost.join_psbt(psbt.clone(), &proposal, signers)?;
    answer(frost, &group.pubkey, &Subject::Psbt(psbt), &proposal, &joined, agreed, exchange)
}

/// Says why nobody is asked.
fn by_grant(session: &Session, member: u16) -> Agreed {
    session.output.talk(&format!("Member {member} has your grant for this."));
    Agreed::ByGrant
}

/// Commits, waits for the package, and gives the signature shares.
fn answer(
    frost: &Frost,
    group: &str,
    subject: &Subject,
    proposal: &str,
    joined: &RoundView,
    agreed: Agreed,
    exchange: &mut Exchange<'_>,
) -> Result<(), Ending> {
    let own = texts(&joined.messages);
    exchange.send("commitment", &joined.messages)?;
    let expected = expected(subject, Some(proposal), &[]);
    let sort = |texts| frost.sort_round(Some(group), Round::Package, expected.clone(), texts);
    let packages = exchange.receive(Round::Package, Some(&joined.session), &sort)?;
    let package = packages.first().ok_or_else(|| Fault::new(ErrorCode::Bug, "no package"))?;
    let answer = subject.contribute(frost, group, proposal, &package.text, &own, agreed)?;
    exchange.send("partial", &answer.messages)
}

/// What a person is shown before agreeing. Everything in it was decoded here.
fn show(session: &Session, view: &ProposalView) {
    let output = &session.output;
    let style = output.talk_style();
    output.ask(&format!(
        "{} member {} proposes to sign with {}: {}",
        style.yellow("?"),
        view.from,
        style.bold(&view.group),
        view.summary
    ));
    if !view.content.is_empty() {
        output.ask(&format!("  {} {}", style.dim(&view.kind), view.content));
    }
    for tag in &view.tags {
        let parts: Vec<&str> = tag.iter().map(keep_sdk::DisplayText::as_str).collect();
        output.ask(&format!("  {} {}", style.dim("tag"), parts.join(" ")));
    }
    if let Some(time) = &view.created_at {
        output.ask(&format!("  {} {time}", style.dim("dated")));
    }
    if !view.key.is_empty() {
        output.ask(&format!("  {} {}", style.dim("under"), view.key));
    }
    if view.kind == "raw" {
        output.ask("  What these bytes mean is not checked: they may be the hash of anything.");
    }
}
