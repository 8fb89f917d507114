//! What Keep's tests share: one module per tool.
//!
//! ```
//! use keep_testing::clock::FakeClock;
//! use keep_types::{Clock, Timestamp};
//! use std::time::Duration;
//!
//! let clock = FakeClock::at(Timestamp::from_secs(1_000));
//! let seen_by_the_code_under_test = clock.clone();
//! clock.advance(Duration::from_secs(5));
//! assert_eq!(seen_by_the_code_under_test.now().as_secs(), 1_005);
//! ```

pub mod clock;
pub mod faultdisk;
pub mod vectors;
