//! Who keeps the hidden vault of a place open, when the lock on its reserve does not say.

use std::sync::Arc;

/// Tells which process, if any, holds the hidden vault of a directory open for as long as it likes. Nothing may lie beside
/// the vault that would tell; whoever knows where such processes are met can ask there.
#[derive(Clone, Default)]
pub struct Holder(Option<Arc<dyn Fn() -> Option<u32> + Send + Sync>>);

impl Holder {
    /// Asks `ask` for the number of the process.
    pub fn new(ask: impl Fn() -> Option<u32> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(ask)))
    }

    pub(crate) fn process(&self) -> Option<u32> {
        self.0.as_ref().and_then(|ask| ask())
    }
}

impl std::fmt::Debug for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Holder")
    }
}
