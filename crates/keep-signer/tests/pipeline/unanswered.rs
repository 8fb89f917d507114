//! What was received is kept until its answer has left, and no longer.

use keep_vault::{Tx, Unanswered};

use super::*;

/// What is kept of a commit's requests goes with the last of their answers, and the rows of the requests are not touched.
#[tokio::test]
async fn what_was_received_is_kept_until_all_are_answered() {
    let world = World::new(Builtin::Social, Limits::default()).connected().await;
    let signer = world.signer();
    // Submitted before the writer runs: one commit, or a few.
    let ask = |id| signer.handle(world.sign(id, 1), repeatable(["", "one", "two", "three"][usize::from(id)]));
    let (one, two, three) = tokio::join!(ask(1), ask(2), ask(3));
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    let refused = signer.handle(world.sign(4, 4), repeatable("four")).await;
    assert_eq!(refusal(refused), ErrorCode::ApprovalUnavailable);
    let kept = |world: &World| {
        let rows = world.vault.all::<Unanswered>().unwrap();
        rows.into_iter().map(|(_, row)| row.0.len()).sum::<usize>()
    };
    let rows = world.vault.all::<RequestRow>().unwrap();
    assert_eq!(rows.len(), 4);
    assert!(rows.iter().all(|(_, row)| row.received.is_empty()));
    assert_eq!(kept(&world), 4);
    for id in [1, 2, 4] {
        signer.answered(RequestId::from_bytes([id; 32]));
        signer.answered(RequestId::from_bytes([id; 32]));
    }
    signer.tidy(Timestamp::ZERO).await.unwrap();
    assert_eq!(kept(&world), 1, "the third of them has no answer yet");
    // Not even when it is old is such a request forgotten.
    world.clock.advance(Duration::from_secs(3600));
    signer.tidy(Timestamp::from_secs(NOW + 1)).await.unwrap();
    let forgotten_not = world.vault.all::<RequestRow>().unwrap();
    assert!(forgotten_not.iter().any(|(_, row)| row.id == RequestId::from_bytes([3; 32])));
    drop(signer);

    let world = world.restart();
    let signer = world.signer();
    let unfinished: Vec<_> = signer.unfinished().unwrap().into_iter().map(|one| one.row).collect();
    let [third] = &unfinished[..] else { panic!("{unfinished:?}") };
    assert_eq!((third.id, &third.received[..]), (RequestId::from_bytes([3; 32]), &b"{}"[..]));
    signer.answered(third.id);
    signer.tidy(Timestamp::from_secs(NOW + 1)).await.unwrap();
    assert_eq!(kept(&world), 0);
    assert!(world.vault.all::<RequestRow>().unwrap().is_empty());
    assert!(world.vault.verify().unwrap().is_intact());
}

/// Two signers in one process write with the same thread, so that one commit keeps requests of both.
#[tokio::test]
async fn a_commit_may_keep_requests_of_two_signers() {
    let world = World::new(Builtin::Social, Limits::default()).connected().await;
    let (one, two) = (world.signer(), world.signer());
    for id in [1, 3, 5] {
        let (first, second) = tokio::join!(
            one.handle(world.sign(id, 1), repeatable(&format!("{id}"))),
            two.handle(world.sign(id + 1, 1), repeatable(&format!("{}", id + 1))),
        );
        assert!(first.is_ok() && second.is_ok());
        one.answered(RequestId::from_bytes([id; 32]));
        two.answered(RequestId::from_bytes([id + 1; 32]));
    }
    one.tidy(Timestamp::ZERO).await.unwrap();
    two.tidy(Timestamp::ZERO).await.unwrap();
    assert!(world.vault.all::<Unanswered>().unwrap().is_empty());
    assert!(world.vault.verify().unwrap().is_intact());
}

/// Vaults of older versions keep what was received in the row of the request itself.
#[tokio::test]
async fn what_an_older_version_kept_is_answered_and_goes() {
    let world = World::new(Builtin::Social, Limits::default()).connected().await;
    world.signer().handle(world.sign(1, 1), repeatable("one")).await.unwrap();
    let (place, mut row) = world.vault.all::<RequestRow>().unwrap().remove(0);
    let (kept, _) = world.vault.all::<Unanswered>().unwrap().remove(0);
    row.received = b"{}".to_vec();
    let as_older = move |tx: &mut Tx<'_, '_>| {
        tx.delete::<Unanswered>(&kept)?;
        tx.put(place, &row)
    };
    world.vault.submit(as_older).wait().unwrap();
    world.clock.advance(Duration::from_secs(3600));
    let world = world.restart();
    let signer = world.signer();
    let unfinished = signer.unfinished().unwrap();
    assert_eq!((unfinished.len(), &unfinished[0].row.received[..]), (1, &b"{}"[..]));
    signer.tidy(Timestamp::from_secs(NOW + 1)).await.unwrap();
    assert_eq!(world.vault.all::<RequestRow>().unwrap().len(), 1, "not before it is answered");
    signer.answered(RequestId::from_bytes([1; 32]));
    signer.tidy(Timestamp::ZERO).await.unwrap();
    assert!(world.vault.all::<RequestRow>().unwrap()[0].1.received.is_empty());
    assert!(signer.unfinished().unwrap().is_empty());
    signer.tidy(Timestamp::from_secs(NOW + 1)).await.unwrap();
    assert!(world.vault.all::<RequestRow>().unwrap().is_empty());
}

/// As a crash between two commits, or a row that was damaged, may leave it.
#[tokio::test]
async fn what_is_kept_of_nothing_goes_with_the_next_start() {
    let world = World::new(Builtin::Social, Limits::default()).connected().await;
    world.signer().handle(world.sign(1, 1), repeatable("one")).await.unwrap();
    let (place, _) = world.vault.all::<RequestRow>().unwrap().remove(0);
    world.vault.submit(move |tx| tx.delete::<RequestRow>(&place)).wait().unwrap();
    assert_eq!(world.vault.all::<Unanswered>().unwrap().len(), 1);
    let world = world.restart();
    let signer = world.signer();
    assert!(signer.unfinished().unwrap().is_empty());
    signer.tidy(Timestamp::ZERO).await.unwrap();
    assert!(world.vault.all::<Unanswered>().unwrap().is_empty());
    assert!(world.vault.verify().unwrap().is_intact());
}
