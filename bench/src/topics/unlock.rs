//! Unlocking a vault at its cost (Argon2id, 256 MiB, four passes, four lanes) against Debian's `argon2`.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, anyhow, ensure};
use argon2::{Algorithm, Argon2, Params, Version};
use keep_sdk::{Keep, Options};

use super::fixture::{Place, passphrase};
use crate::measure::Measure;
use crate::table::Row;

const KIB: u32 = 256 * 1024;
const PASSES: u32 = 4;
const LANES: u32 = 4;
const PASSWORD: &[u8] = b"correct horse battery staple";
const SALT: &str = "0123456789abcdef";

pub fn rows() -> Result<Vec<Row>> {
    let place = Place::new()?;
    let home = place.home("standard")?;
    drop(Keep::create(home.clone(), &passphrase(), &Options::default())?);
    let unlock = || drop(Keep::open(home.clone(), &passphrase(), &Options::default()));
    let derive = || drop(ours());
    let (hash, opening) = ("Argon2id, 256 MiB, t=4, p=4", "unlock a vault");
    if let Err(error) = reference() {
        let (opened, derived) = Measure::SLOW.both(unlock, derive);
        return Ok(vec![
            Row::alone(hash, derived, format!("{error:#}")),
            Row::new(opening, opened, "Argon2id alone", derived),
        ]);
    }
    ensure!(reference()? == ours()?, "the reference computes another hash");
    let (derived, theirs) = Measure::SLOW.both(derive, || drop(reference()));
    let (opened, theirs_again) = Measure::SLOW.both(unlock, || drop(reference()));
    Ok(vec![
        Row::new(hash, derived, "argon2 (Debian)", theirs),
        Row::new(opening, opened, "argon2 (Debian)", theirs_again),
    ])
}

/// The hash, by the crate that the vault uses.
fn ours() -> Result<[u8; 32]> {
    let params = Params::new(KIB, PASSES, LANES, Some(32)).map_err(|e| anyhow!("{e}"))?;
    let mut hash = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(PASSWORD, SALT.as_bytes(), &mut hash)
        .map_err(|e| anyhow!("{e}"))?;
    Ok(hash)
}

fn reference() -> Result<[u8; 32]> {
    let (kib, passes, lanes) = (KIB.to_string(), PASSES.to_string(), LANES.to_string());
    let mut child = Command::new("argon2")
        .args([SALT, "-id", "-r", "-l", "32", "-k", &kib, "-t", &passes, "-p", &lanes])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("the program argon2 is not installed")?;
    child.stdin.take().context("no stdin")?.write_all(PASSWORD)?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "argon2: {}", output.status);
    let mut hash = [0; 32];
    hex::decode_to_slice(String::from_utf8(output.stdout)?.trim(), &mut hash)?;
    Ok(hash)
}
