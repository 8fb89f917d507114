//! `keep frost sign-psbt`.

use keep_sdk::Fault;
use keep_sdk::bitcoin::{Encoding, PsbtFile, Severity, SignedPsbtView};
use keep_sdk::frost::{GroupSpendView, PsbtToSign};
use serde::Serialize;

use super::exchange::Exchange;
use super::files::{agree, read, refuse_existing, write};
use super::rounds::{Subject, co_sign_psbt, coordinate};
use crate::args::frost as args;
use crate::ending::Ending;
use crate::output::View;
use crate::session::Session;
use crate::style::Style;

/// The longest PSBT, in bytes.
const MAX: u64 = 32 << 20;

#[derive(Serialize)]
#[serde(transparent)]
struct Signed<'a>(&'a SignedPsbtView);

impl View for Signed<'_> {
    fn human(&self, _: Style) -> String {
        self.0.transaction.clone().unwrap_or_else(|| self.0.psbt.clone())
    }
}

pub fn sign(session: &Session, arguments: &args::SignPsbt) -> Result<(), Ending> {
    if let Some(file) = &arguments.output {
        refuse_existing(file, arguments.force)?;
    }
    let psbt = psbt(session, arguments)?;
    let together = &arguments.together;
    if !together.interactive {
        let signed = session.open()?.frost().sign_psbt(psbt, arguments.finalize, together.signers.clone())?;
        return give(session, arguments, &signed);
    }
    let mut exchange = Exchange::new(session, together.exchange.as_deref())?;
    let keep = session.open()?;
    let frost = keep.frost();
    let group = frost.find(psbt.group.as_deref())?;
    let psbt = PsbtToSign { group: Some(group.pubkey.clone()), ..psbt };
    if arguments.join {
        return co_sign_psbt(session, &frost, &group, together, psbt, &mut exchange);
    }
    show(session, &frost.analyze_psbt(psbt.clone(), None)?);
    agree(together.yes, "Propose this to the others, and sign it?", "nothing was signed")?;
    let subject = Subject::Psbt(psbt.clone());
    let rounds = coordinate(session, &frost, &group, &subject, together, &mut exchange)?;
    let (proposal, commitments, shares) = (&rounds.proposal, &rounds.commitments, &rounds.shares);
    let signed = frost.finish_psbt(psbt, arguments.finalize, proposal, commitments, shares)?;
    exchange.clean(&rounds.session);
    give(session, arguments, &signed)
}

fn psbt(session: &Session, arguments: &args::SignPsbt) -> Result<PsbtToSign, Fault> {
    let network = arguments.network.map_or_else(|| session.config()?.network(), Ok)?;
    // Every form is read; as base64 it is text.
    let psbt = PsbtFile::read(&read(&arguments.psbt, MAX)?).map_err(Fault::from)?;
    let psbt = String::from_utf8_lossy(&psbt.write_as(Encoding::Base64)).into_owned();
    Ok(PsbtToSign { group: arguments.group.group.clone(), psbt, network })
}

fn give(session: &Session, arguments: &args::SignPsbt, signed: &SignedPsbtView) -> Result<(), Ending> {
    session.output.talk(&format!(
        "{} {} signature{}; {} sats leave, of which {} are the fee",
        session.output.talk_style().tick(),
        signed.signatures,
        if signed.signatures == 1 { "" } else { "s" },
        sats(signed.leaving_sats),
        sats(signed.fee_sats)
    ));
    if let Some(file) = &arguments.output {
        write(file, &format!("{}\n", signed.transaction.as_ref().unwrap_or(&signed.psbt)), arguments.force)?;
        if !session.output.is_json() {
            return Ok(());
        }
    }
    session.output.show(&Signed(signed))
}

fn sats(sats: Option<u64>) -> String {
    sats.map_or_else(|| "?".to_owned(), |sats| sats.to_string())
}

/// What a person is shown before agreeing. Everything in it was computed here, from the transaction that is here.
pub fn show(session: &Session, view: &GroupSpendView) {
    let output = &session.output;
    let style = output.talk_style();
    let spend = &view.transaction.facts;
    let who = match view.from {
        Some(from) => format!("member {from} proposes to spend with"),
        None => "to be spent with".to_owned(),
    };
    output.ask(&format!(
        "{} {who} {} on {}: {} sats leave, of which {} are the fee",
        style.yellow("?"),
        style.bold(&view.group),
        view.transaction.network,
        sats(spend.leaving_sats),
        sats(spend.fee_sats)
    ));
    for to in &spend.destinations {
        let address = to.address.as_ref().map_or("a script without address", |address| address.as_str());
        output.ask(&format!("  {} sats to {address}", to.amount_sats));
    }
    for warning in &view.transaction.warnings {
        let text = warning.to_string();
        output.ask(&match warning.severity {
            Severity::Danger => style.red(&format!("  danger: {text}")),
            Severity::Caution => style.yellow(&format!("  caution: {text}")),
            Severity::Note => style.dim(&format!("  note: {text}")),
        });
    }
    if let Some(limit) = &view.limit {
        output.ask(&format!("  {} {limit}", style.yellow("over a limit:")));
    }
}
