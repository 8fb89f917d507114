//! Bad weather on purpose, the same for the same seed (feature `testing`).

mod memory;
mod proxy;

pub use memory::{Faults, MemoryNetwork, MemoryTransport, Tally};
pub use proxy::{FaultProxy, ProxyFaults};
