//! Every write of every operation on a vault fails once, with no space left and otherwise: a clear error, the old state intact, and
//! the same operation succeeds when the disk is well again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod model;
mod world;

use keep_testing::faultdisk::{Failure, Lasting};
use model::{Kind, Op, Run};

fn word(text: &str) -> String {
    text.to_owned()
}

/// What has to be there before an operation, the operation, and what makes the vault small again.
struct Case {
    before: Vec<Op>,
    op: Op,
    after: Vec<Op>,
}

/// Each operation. Names have the number `n` in them.
fn cases(n: u64) -> Vec<Case> {
    let (key, other) = (format!("key {n}"), format!("other {n}"));
    let (secret, old, new) = (format!("secret {n}"), format!("pass old {n}"), format!("pass new {n}"));
    let import = || Op::Import(key.clone(), n);
    let store = || Op::Store(secret.clone(), "s".repeat(3_000));
    let (delete, forget) = (|name: &str| Op::Delete(word(name)), || Op::Forget(secret.clone()));
    let case =
        |before: &[Op], op: Op, after: &[Op]| Case { before: before.to_vec(), op, after: after.to_vec() };
    vec![
        case(&[], import(), &[delete(&key)]),
        case(&[import()], delete(&key), &[]),
        case(&[import()], Op::Rename(key.clone(), other.clone()), &[delete(&other)]),
        case(&[import()], Op::Note(key.clone(), word("noted")), &[delete(&key)]),
        case(&[import()], Op::Sign(key.clone()), &[delete(&key)]),
        case(&[], store(), &[forget()]),
        case(&[store()], forget(), &[]),
        case(&[], Op::Backup, &[]),
        case(&[], Op::Add(old.clone()), &[Op::Remove(old.clone())]),
        case(&[Op::Add(old.clone())], Op::Change(old.clone(), new.clone()), &[Op::Remove(new)]),
        case(&[Op::Add(old.clone())], Op::Remove(old), &[]),
        case(&[import(), store()], Op::Rotate(vec![word("pass 0")]), &[delete(&key), forget()]),
        case(&[import()], Op::Prune(100), &[delete(&key)]),
    ]
}

/// Lets each operation fail at each of its writes (in a short run at some of them); how many failures there were.
fn fail_everywhere(kind: Kind, ways: &[(Failure, Lasting)], stride: usize) -> usize {
    let (mut run, mut reached, mut n) = (Run::new(7, kind), 0, 0);
    for how in ways {
        for number in 0..cases(0).len() {
            for skip in (number % stride..).step_by(stride) {
                n += 1;
                let Case { before, op, after } = cases(n).swap_remove(number);
                if kind == Kind::Reserve && matches!(op, Op::Change(..) | Op::Remove(_) | Op::Add(_)) {
                    break;
                }
                for op in before {
                    run.perform(&op, None, false);
                }
                run.advance();
                let failures = run.perform(&op, Some((skip, how.0, how.1)), false);
                if failures > 0 && run.failed_last() {
                    run.perform(&op, None, false);
                }
                for op in after {
                    run.perform(&op, None, false);
                }
                if failures == 0 {
                    break;
                }
                reached += 1;
            }
        }
        run.reopen();
    }
    println!("{kind:?}: {reached} of {n} failed");
    reached
}

fn is_long() -> bool {
    std::env::var_os("KEEP_SOAK").is_some()
}

fn ways() -> Vec<(Failure, Lasting)> {
    let all =
        [Failure::Full, Failure::Io, Failure::Short].map(|f| [(f, Lasting::Once), (f, Lasting::UntilHealed)]);
    let short = [(Failure::Full, Lasting::UntilHealed)];
    if is_long() { all.concat() } else { short.to_vec() }
}

#[test]
fn a_database_stays_whole_when_any_write_finds_the_disk_full() {
    assert!(fail_everywhere(Kind::Database, &ways(), if is_long() { 1 } else { 3 }) > 15);
}

#[test]
fn a_hidden_vault_stays_whole_when_any_write_finds_the_disk_full() {
    assert!(fail_everywhere(Kind::Reserve, &ways(), 1) > 8);
}
