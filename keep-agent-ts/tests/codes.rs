//! The table that JavaScript gets is the one of every other language.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[test]
fn codes_and_blames_are_those_of_the_golden_file() {
    let golden = include_str!("../../crates/keep-types/tests/golden/errors.tsv");
    let rows = golden.lines().map(|line| {
        let mut fields = line.split('\t');
        let (code, blame) = (fields.next().unwrap(), fields.next().unwrap().to_lowercase());
        format!(r#"{{"code":"{code}","blame":"{blame}"}}"#)
    });
    let table = format!("[{}]", rows.collect::<Vec<_>>().join(","));
    assert_eq!(keep_agent_node::error_codes(), table);
}
