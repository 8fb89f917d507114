//! Values as they travel: JSON in buffers that are wiped.

use std::io;

use keep_types::{ErrorCode, Fault};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Bytes that are wiped when they are dropped.
pub type Wiped = Zeroizing<Vec<u8>>;

/// A failure as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultView {
    /// The stable code.
    pub code: String,
    /// What went wrong.
    pub message: String,
    /// What to do next.
    pub hint: String,
}

impl From<&Fault> for FaultView {
    fn from(fault: &Fault) -> Self {
        let code = fault.code().as_str().to_owned();
        Self { code, message: fault.message().to_owned(), hint: fault.hint().to_owned() }
    }
}

impl From<FaultView> for Fault {
    fn from(view: FaultView) -> Self {
        // A code that is not in our table comes from a newer version.
        let code = ErrorCode::from_word(&view.code).unwrap_or(ErrorCode::Peer);
        Self::new(code, view.message).with_hint(view.hint)
    }
}

/// The JSON of a value, in a buffer that is wiped, also where it had to grow.
///
/// # Errors
/// [`ErrorCode::Bug`] when the value has no JSON form.
pub fn to_wiped_json(value: &impl Serialize) -> Result<Wiped, Fault> {
    let mut buffer = Growing(Zeroizing::new(Vec::with_capacity(1024)));
    serde_json::to_writer(&mut buffer, value)
        .map_err(|_| Fault::new(ErrorCode::Bug, "a value has no JSON form"))?;
    Ok(buffer.0)
}

/// Adds bytes to a buffer, and wipes what it outgrows.
pub fn extend_wiped(buffer: &mut Wiped, bytes: &[u8]) {
    let needed = buffer.len() + bytes.len();
    if needed > buffer.capacity() {
        let mut larger = Zeroizing::new(Vec::with_capacity(needed.next_power_of_two()));
        larger.extend_from_slice(buffer);
        *buffer = larger;
    }
    buffer.extend_from_slice(bytes);
}

/// A buffer that wipes what it outgrows.
struct Growing(Wiped);

impl io::Write for Growing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        extend_wiped(&mut self.0, bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
