//! The examples run, one after the other, on one vault.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::process::Command;

fn run(program: &str, vault: &Path) -> String {
    let output = Command::new(program).arg(vault).env("KEEP_PASSWORD", "correct horse").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_examples_do_what_they_say() {
    let directory = std::env::temp_dir().join(format!("keep-examples-{}", std::process::id()));
    let signed = run(env!("CARGO_BIN_EXE_sign_event"), &directory);
    assert!(signed.contains("sign_event allowed"), "{signed}");
    let served = run(env!("CARGO_BIN_EXE_own_bunker"), &directory);
    assert!(served.contains("kind 1: signed") && served.contains("kind 0: signed"), "{served}");
    assert!(served.contains("kind 3: the signer answered: refused_by_person"), "{served}");
    std::fs::remove_dir_all(directory).unwrap();
}
