//! The power goes at every point of scripted histories: what was acknowledged is there, whole, and nothing else.
#![allow(clippy::unwrap_used)]

mod history;

use history::{History, play};
use keep_testing::faultdisk::{Op, Tear};

/// How many histories; a long run asks for more.
fn rounds(short: u64) -> u64 {
    std::env::var("KEEP_TEST_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(short)
}

/// Right before and after a sync every kind of tear, twice; elsewhere two kinds in turn.
fn tears(position: usize, next: Option<&Op>) -> Vec<Tear> {
    let seed = position as u64;
    let kinds = Tear::every_kind(seed);
    if next.is_none_or(Op::is_sync) {
        return kinds.into_iter().chain(Tear::every_kind(seed + 1_000_000).into_iter().skip(4)).collect();
    }
    vec![kinds[position % kinds.len()], kinds[(position / 3 + 5) % kinds.len()]]
}

fn assert_durable(history: &History, seed: u64) -> usize {
    let (images, findings) = history.lose_power_everywhere(tears);
    assert!(
        findings.is_empty(),
        "history {seed}: {} of {images} images: {:#?}",
        findings.len(),
        &findings[..5.min(findings.len())]
    );
    images
}

#[test]
fn what_was_acknowledged_survives_a_loss_of_power() {
    let images: usize =
        (0..rounds(6)).map(|seed| assert_durable(&play(seed, 25, |options| options), seed)).sum();
    println!("{images} crash images");
    assert!(images > 1_000);
}

#[test]
fn checkpoints_in_their_own_thread_lose_nothing() {
    let images: usize = (100..100 + rounds(3))
        .map(|seed| assert_durable(&play(seed, 40, |options| options.checkpoint_frames(12)), seed))
        .sum();
    println!("{images} crash images");
}

/// The layer works: with a store that does not sync, it finds lost transactions.
#[test]
fn a_store_without_syncs_is_found_out() {
    let history = play(1, 25, |options| options.without_sync());
    assert!(!history.log.ops().iter().any(|op| matches!(op, Op::Synced { .. })));
    let (images, findings) = history.lose_power_everywhere(tears);
    assert!(findings.len() > images / 4, "{} of {images}", findings.len());
    assert!(findings.iter().any(|finding| finding.contains("was acknowledged")), "{findings:#?}");
}

/// So it does when the store syncs and the disk lies.
#[test]
fn a_disk_that_lies_is_found_out() {
    let mut history = play(2, 25, |options| options);
    history.log = history.log.without_syncs();
    let (images, findings) = history.lose_power_everywhere(tears);
    assert!(findings.len() > images / 4, "{} of {images}", findings.len());
}
