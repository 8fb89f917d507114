//! `keep bitcoin analyze` and `keep bitcoin sign`.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use keep_sdk::bitcoin::{Encoding, Esplora, FeeLimits, PsbtFile};
use keep_sdk::{ErrorCode, Fault};

use super::show::{Analysis, SignedPsbt};
use super::{file, selector};
use crate::args::bitcoin::{Fees, Lookup, Wallet};
use crate::ending::Ending;
use crate::session::Session;

/// The longest that somebody can want to wait for one answer, in seconds.
const MAX_TIMEOUT: u64 = 3_600;

/// Where the result goes.
pub struct Target<'a> {
    pub output: Option<&'a Path>,
    pub force: bool,
    pub finalize: bool,
}

pub fn analyze(
    session: &Session,
    wallet: &Wallet,
    psbt: &Path,
    fees: &Fees,
    lookup: &Lookup,
) -> Result<(), Ending> {
    let psbt = read(psbt, lookup)?;
    let keep = session.open()?;
    let view = keep.bitcoin().analyze(&selector(session, wallet)?, &psbt, &limits(fees)?)?;
    session.output.show(&Analysis(view))
}

pub fn sign(
    session: &Session,
    wallet: &Wallet,
    psbt: &Path,
    target: &Target<'_>,
    fees: &Fees,
    lookup: &Lookup,
) -> Result<(), Ending> {
    let psbt = read(psbt, lookup)?;
    if let Some(path) = target.output {
        file::expect_free(path, target.force)?;
    }
    let keep = session.open()?;
    let view = keep.bitcoin().sign(&selector(session, wallet)?, &psbt, &limits(fees)?, target.finalize)?;
    drop(keep);
    let style = session.output.talk_style();
    for skipped in &view.skipped {
        session.output.talk(&style.dim(&format!("input {}: {}", skipped.input, skipped.reason)));
    }
    let bytes = match &view.transaction {
        Some(transaction) => transaction.clone().into_bytes(),
        None => PsbtFile::read(view.psbt.as_bytes()).map_err(Fault::from)?.write_as(psbt.encoding()),
    };
    let summary = SignedPsbt(view);
    session.output.talk(&summary.line(style));
    if let Some(path) = target.output {
        let is_text = summary.0.transaction.is_some() || psbt.encoding() != Encoding::Binary;
        let bytes = if is_text { [bytes.as_slice(), b"\n"].concat() } else { bytes };
        file::write(path, &bytes, target.force)?;
        session.output.talk(&format!("{} written to {}", style.tick(), path.display()));
        return if session.output.is_json() { session.output.value(&summary.0) } else { Ok(()) };
    }
    if session.output.is_json() {
        return session.output.value(&summary.0);
    }
    print(&bytes, summary.0.transaction.is_some() || psbt.encoding() != Encoding::Binary)
}

fn read(path: &Path, lookup: &Lookup) -> Result<PsbtFile, Fault> {
    let mut psbt = PsbtFile::read(&file::read(path)?)?;
    if let Some(url) = &lookup.esplora {
        server(url, lookup.timeout)?.complete(&mut psbt)?;
    }
    Ok(psbt)
}

/// The server that the person names. Nothing is sent yet.
pub fn server(url: &str, timeout: Option<u64>) -> Result<Esplora, Fault> {
    timeout.map_or_else(
        || Esplora::new(url),
        |seconds| Esplora::patient(url, Duration::from_secs(seconds.min(MAX_TIMEOUT))),
    )
}

fn limits(fees: &Fees) -> Result<FeeLimits, Fault> {
    let rate = match fees.max_fee_rate {
        None => None,
        Some(rate) if rate.is_finite() && (0.0..1e12).contains(&rate) => Some((rate * 1000.0).round() as u64),
        Some(_) => return Err(Fault::new(ErrorCode::Usage, "the fee rate must be a number of sat/vB")),
    };
    Ok(FeeLimits {
        max_fee_sats: fees.max_fee,
        max_fee_rate_sats_per_kvb: rate,
        allow_unusual_sighash: fees.allow_unusual_sighash,
    })
}

/// The result as it is: binary stays binary.
fn print(bytes: &[u8], text: bool) -> Result<(), Ending> {
    let mut stdout = std::io::stdout().lock();
    let end: &[u8] = if text { b"\n" } else { b"" };
    let written = stdout.write_all(bytes).and_then(|()| stdout.write_all(end)).and_then(|()| stdout.flush());
    written.map_err(|error| match error.kind() {
        std::io::ErrorKind::BrokenPipe => Ending::Closed,
        _ => Fault::new(ErrorCode::Storage, format!("cannot write to stdout: {error}"))
            .with_hint("write to a file with --output")
            .into(),
    })
}
