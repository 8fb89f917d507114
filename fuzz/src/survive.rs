//! What the test of each target does.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::smoke::{Settings, smoke};

/// The seeds of a target, in the order of their file names.
fn seeds(name: &str) -> io::Result<Vec<Vec<u8>>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name);
    let mut paths =
        fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<PathBuf>>>()?;
    paths.sort();
    paths.iter().map(fs::read).collect()
}

/// The body of each target's test: `KEEP_FUZZ_MILLIS` and `KEEP_FUZZ_SEED` override the settings.
pub fn survive(name: &str) {
    let number = |variable| std::env::var(variable).ok().and_then(|text: String| text.parse::<u64>().ok());
    let mut settings = Settings::default();
    if let Some(millis) = number("KEEP_FUZZ_MILLIS") {
        settings.time = Duration::from_millis(millis);
    }
    settings.seed = number("KEEP_FUZZ_SEED").unwrap_or(settings.seed);
    let target = crate::target(name).unwrap();
    let seeds = seeds(name).unwrap_or_else(|e| panic!("seeds/{name}: {e}"));
    assert!(!seeds.is_empty(), "seeds/{name} is empty");
    match smoke(target, &seeds, &settings) {
        Ok(count) => println!("{name}: {count} inputs"),
        Err(failure) => panic!(
            "{name} {} on {} bytes: {}\nkeep them as a file in fuzz/seeds/{name}/ when it is mended",
            failure.what,
            failure.input.len(),
            failure.input.escape_ascii()
        ),
    }
}

#[test]
fn every_directory_of_seeds_has_its_target() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    for entry in fs::read_dir(root).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(crate::target(&name).is_some(), "seeds/{name} belongs to no target");
    }
}
