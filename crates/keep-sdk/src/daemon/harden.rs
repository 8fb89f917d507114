//! Keeping the memory of this process to itself.

use rustix::process::{Resource, Rlimit, setrlimit};

/// Refuses core dumps and debuggers of the same user. Says whether the system agreed.
pub fn harden() -> bool {
    let no_core = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).is_ok();
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let hidden = {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        set_dumpable_behavior(DumpableBehavior::NotDumpable).is_ok()
    };
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let hidden = false;
    no_core && hidden
}
