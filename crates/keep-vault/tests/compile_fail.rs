//! A front end that skips policy or audit does not compile.

#[test]
fn the_pipeline_cannot_be_skipped() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
