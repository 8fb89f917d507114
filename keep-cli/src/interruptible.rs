//! Work that waits for another machine, and that Ctrl-C ends in good order.

use keep_sdk::agent::Interrupt;
use keep_sdk::{ErrorCode, Fault};
use tokio::sync::oneshot;

use crate::ending::Ending;
use crate::output::Output;
use crate::system::EndSignals;

/// Does `work`. A signal to end gives its calls up: what they began is taken back, as far as it can be. `undone` says so, and `look`
/// how to find out what came of it where another process does the work.
pub fn interruptible<T>(
    output: &Output,
    (undone, look): (&str, &str),
    work: impl FnOnce() -> Result<T, Fault>,
) -> Result<T, Ending> {
    let interrupt = Interrupt::default();
    let (done, is_done) = oneshot::channel::<()>();
    watch(interrupt.clone(), is_done)?;
    let outcome = interrupt.during(work);
    drop(done);
    match outcome {
        Err(fault) if interrupt.is_given_up() => {
            output.fail(&match fault.code() {
                ErrorCode::RefusedByPerson => {
                    Fault::new(fault.code(), format!("interrupted: {undone}")).with_hint(fault.hint())
                }
                // The process that holds the vault hears of it, and does the same.
                _ => Fault::new(ErrorCode::RefusedByPerson, "interrupted").with_hint(look),
            });
            Err(Ending::Interrupted)
        }
        outcome => Ok(outcome?),
    }
}

/// Gives up when a signal comes before the end.
fn watch(interrupt: Interrupt, is_done: oneshot::Receiver<()>) -> Result<(), Fault> {
    let failed =
        |error: std::io::Error| Fault::new(ErrorCode::Bug, format!("cannot listen to signals: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let mut signals = {
        let _inside = runtime.enter();
        EndSignals::new().map_err(failed)?
    };
    let listen = move || {
        runtime.block_on(async {
            tokio::select! {
                () = signals.next() => interrupt.give_up(),
                _ = is_done => {}
            }
        });
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(listen).map(drop).map_err(failed)
}
