//! Makes a vault in a directory of your choice, a key in it, and signs an event.
//!
//! `KEEP_PASSWORD=… cargo run -p keep-examples --bin sign_event -- /full/path/of/a/new/directory`
#![allow(clippy::print_stdout, reason = "a program that shows what it does")]

use keep_sdk::{EventTemplate, Fault, Home, Keep, Name, Options, SecretText};

fn main() -> Result<(), Fault> {
    let directory = std::env::args_os().nth(1).unwrap_or_default();
    let passphrase = SecretText::new(std::env::var("KEEP_PASSWORD").unwrap_or_default());

    let keep = Keep::create(Home::new(directory)?, &passphrase, &Options::default())?;
    let key = keep.keys().generate(Name::new("main").map_err(bad_name)?)?;
    let event = keep.sign().event(&key, EventTemplate::new(1, "hello", vec![], 1_700_000_000))?;
    println!("{} signed {}", key.npub, event.id);

    // The signature is in the audit log: it left only after its entry was on the disk.
    for entry in keep.audit().list(10)? {
        println!("{} {} {}", entry.seq, entry.action, entry.outcome);
    }
    Ok(())
}

fn bad_name(error: keep_sdk::NameError) -> Fault {
    Fault::new(keep_sdk::ErrorCode::InvalidInput, error.to_string())
}
