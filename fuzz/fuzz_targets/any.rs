//! Any target of keep-fuzz under libFuzzer; `KEEP_FUZZ_TARGET` says which.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<&keep_fuzz::Target> = LazyLock::new(|| {
    let name = std::env::var("KEEP_FUZZ_TARGET").unwrap_or_default();
    keep_fuzz::target(&name).unwrap_or_else(|| {
        let names: Vec<&str> = keep_fuzz::TARGETS.iter().map(|target| target.name).collect();
        panic!("set KEEP_FUZZ_TARGET to one of {}", names.join(", "))
    })
});

fuzz_target!(|input: &[u8]| (TARGET.run)(input));
