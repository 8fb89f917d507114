//! Test vectors: the copies beside the tests, and more where a full set lies beside the workspace.
#![allow(dead_code, clippy::unwrap_used, clippy::print_stdout)]

use std::path::PathBuf;

use serde_json::Value;

/// A vector file of this crate.
pub fn text(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// A vector file of this crate, as JSON.
pub fn json(name: &str) -> Value {
    serde_json::from_str(&text(name)).unwrap()
}

/// A vector file of the full collection, if there is one beside the workspace. Says so when there is none.
pub fn full_set(path: &str) -> Option<Value> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
    let Ok(text) = std::fs::read_to_string(root.join(path)) else {
        println!("skipped: {path} is not beside the workspace");
        return None;
    };
    Some(serde_json::from_str(&text).unwrap())
}

/// The 32 bytes of a hex string.
pub fn bytes32(value: &Value) -> [u8; 32] {
    hex::decode(value.as_str().unwrap()).unwrap().try_into().unwrap()
}

/// The cases of an array.
pub fn cases(value: &Value) -> &[Value] {
    let cases = value.as_array().unwrap();
    assert!(!cases.is_empty());
    cases
}

/// The text of a string.
pub fn string(value: &Value) -> &str {
    value.as_str().unwrap()
}
