//! Argon2id at the vault's cost (256 MiB, four passes, four lanes) against Debian's `argon2`.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, anyhow, ensure};
use argon2::{Algorithm, Argon2, Params, Version};

use crate::measure::Measure;
use crate::table::Row;

const KIB: u32 = 256 * 1024;
const PASSES: u32 = 4;
const LANES: u32 = 4;
const PASSWORD: &[u8] = b"correct horse battery staple";
const SALT: &str = "0123456789abcdef";

pub fn rows() -> Result<Vec<Row>> {
    let what = "Argon2id, 256 MiB, t=4, p=4";
    let ours = ours()?;
    if let Err(error) = reference() {
        let time = Measure::SLOW.of(|| drop(self::ours()));
        return Ok(vec![Row::alone(what, time, format!("{error:#}"))]);
    }
    ensure!(reference()? == ours, "the reference computes another hash");
    let (us, them) = Measure::SLOW.both(|| drop(self::ours()), || drop(reference()));
    Ok(vec![Row::new(what, us, "argon2 (Debian)", them)])
}

/// The hash, by the crate that the vault uses.
pub(super) fn ours() -> Result<[u8; 32]> {
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
