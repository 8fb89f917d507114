//! `keep frost sign-psbt`.

use keep_sdk::bitcoin::{Encoding, Network, PsbtFile, SignedPsbtView};
use keep_sdk::{ErrorCode, Fault};
use serde::Serialize;

use super::files::{read, refuse_existing, write};
use crate::ending::Ending;
use crate::frost_args as args;
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
    let network: Network =
        Network::ALL.into_iter().find(|network| network.as_str() == arguments.network).ok_or_else(|| {
            Fault::new(ErrorCode::Usage, "this is no Bitcoin network")
                .with_hint("give mainnet, testnet3, testnet4, signet or regtest")
        })?;
    if let Some(file) = &arguments.output {
        refuse_existing(file, arguments.force)?;
    }
    // Every form is read; as base64 it is text.
    let psbt = PsbtFile::read(&read(&arguments.psbt, MAX)?).map_err(Fault::from)?;
    let psbt = String::from_utf8_lossy(&psbt.write_as(Encoding::Base64)).into_owned();
    let keep = session.open()?;
    let group = arguments.group.group.as_deref();
    let signed = keep.frost().sign_psbt(group, psbt, network, arguments.finalize)?;
    let sats = |sats: Option<u64>| sats.map_or_else(|| "?".to_owned(), |sats| sats.to_string());
    session.output.talk(&format!(
        "{} {} inputs signed; {} sats leave, of which {} are the fee",
        session.output.talk_style().tick(),
        signed.signatures,
        sats(signed.leaving_sats),
        sats(signed.fee_sats)
    ));
    if let Some(file) = &arguments.output {
        write(file, &format!("{}\n", signed.transaction.as_ref().unwrap_or(&signed.psbt)), arguments.force)?;
        if !session.output.is_json() {
            return Ok(());
        }
    }
    session.output.show(&Signed(&signed))
}
