//! The two rounds of a signature whose shares are in different vaults. One process lives through both.

use keep_sdk::frost::{Frost, GroupKey, GroupView, OwnRelease, ProposalView, StepMessage, ToSign};
use keep_sdk::{ErrorCode, Fault};

use super::exchange::Exchange;
use super::files::agree;
use crate::ending::Ending;
use crate::frost_args::Together;
use crate::session::Session;

/// Everything that was said in a session.
pub struct Rounds {
    pub session: String,
    pub proposal: String,
    pub commitments: Vec<String>,
    pub shares: Vec<String>,
}

fn texts(messages: &[StepMessage]) -> Vec<String> {
    messages.iter().map(|message| message.text.clone()).collect()
}

/// Proposes, collects commitments, fixes the signers, and collects their signature shares.
pub fn coordinate(
    session: &Session,
    frost: &Frost,
    group: &GroupView,
    what: ToSign,
    key: GroupKey,
    together: &Together,
    exchange: &mut Exchange<'_>,
) -> Result<Rounds, Ending> {
    let this = Some(group.pubkey.as_str());
    let signers = here(group, together)?;
    let opened = frost.propose(this, what, key, signers)?;
    let id = opened.session.clone();
    let (proposal, own) =
        opened.messages.split_first().ok_or_else(|| Fault::new(ErrorCode::Bug, "no proposal"))?;
    exchange.send("proposal", std::slice::from_ref(proposal))?;
    let own = texts(own);
    let mut commitments = own.clone();
    let mut missing = opened.missing;
    let package = loop {
        if missing > 0 {
            session.output.talk(&format!("{missing} more signers are needed."));
            commitments.extend(exchange.receive("commitment", Some(&id))?);
        }
        let round = frost.package(this, &proposal.text, &commitments)?;
        missing = round.missing;
        if let Some(package) = round.messages.into_iter().next() {
            break package;
        }
    };
    exchange.send("package", std::slice::from_ref(&package))?;
    let mut shares = texts(&frost.contribute(this, &proposal.text, &package.text, &own)?.messages);
    while shares.len() < commitments.len() {
        session
            .output
            .talk(&format!("{} signature shares are still to come.", commitments.len() - shares.len()));
        shares.extend(exchange.receive("partial", Some(&id))?);
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

/// Reads a proposal, asks, commits, waits for the package and answers it. Returns the session.
pub fn co_sign(
    session: &Session,
    frost: &Frost,
    group: &GroupView,
    together: &Together,
    release: Option<&OwnRelease>,
    exchange: &mut Exchange<'_>,
) -> Result<String, Ending> {
    let this = Some(group.pubkey.as_str());
    let signers = here(group, together)?;
    let proposals = exchange.receive("proposal", None)?;
    let [proposal] = proposals.as_slice() else {
        return Err(Fault::new(ErrorCode::InvalidInput, "there are several proposals")
            .with_hint("remove those that are over from the directory")
            .into());
    };
    let view = frost.inspect(this, proposal)?;
    show(session, &view);
    if release.is_none() || !together.yes {
        agree(together.yes, "Sign this?", "nothing was signed")?;
    }
    let joined = frost.join(this, proposal, release.cloned(), signers)?;
    let own = texts(&joined.messages);
    exchange.send("commitment", &joined.messages)?;
    let packages = exchange.receive("package", Some(&view.session))?;
    let package = packages.first().ok_or_else(|| Fault::new(ErrorCode::Bug, "no package"))?;
    let answer = frost.contribute(this, proposal, package, &own)?;
    exchange.send("partial", &answer.messages)?;
    Ok(view.session)
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
}
