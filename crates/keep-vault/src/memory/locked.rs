//! Locked pages.

use std::ptr::NonNull;

use rustix::mm::{MapFlags, ProtFlags, mlock, mmap_anonymous, munmap};
use zeroize::Zeroize;

use crate::VaultError;

/// Whole pages of their own: locked into memory where the system allows it, left out of core dumps and of forked
/// children where it can, wiped and returned on drop.
pub(crate) struct LockedBytes {
    start: NonNull<u8>,
    len: usize,
    mapped: usize,
    locked: bool,
}

// SAFETY: the pages belong to this value alone and are reached only through its borrows.
unsafe impl Send for LockedBytes {}
// SAFETY: a shared borrow only reads.
unsafe impl Sync for LockedBytes {}

impl LockedBytes {
    /// `len` zero bytes.
    pub fn zeroed(len: usize) -> Result<Self, VaultError> {
        let page = rustix::param::page_size();
        let mapped = len.max(1).div_ceil(page) * page;
        let failed = |e: rustix::io::Errno| VaultError::System(format!("no memory for keys: {e}"));
        // SAFETY: a fresh private mapping at an address of the kernel's choice aliases nothing.
        let start = unsafe {
            mmap_anonymous(
                std::ptr::null_mut(),
                mapped,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE,
            )
        }
        .map_err(failed)?;
        // SAFETY: the range was just mapped and is ours.
        let locked = unsafe { mlock(start, mapped) }.is_ok();
        #[cfg(target_os = "linux")]
        for advice in [rustix::mm::Advice::LinuxDontDump, rustix::mm::Advice::LinuxWipeOnFork] {
            // Not every kernel knows these; the lock and the wipe on drop hold without them.
            // SAFETY: neither advice changes the contents for this process.
            let _ = unsafe { rustix::mm::madvise(start, mapped, advice) };
        }
        let start =
            NonNull::new(start.cast()).ok_or_else(|| VaultError::System("no memory for keys".into()))?;
        Ok(Self { start, len, mapped, locked })
    }

    /// Whether the pages are locked into memory. If not, they may be swapped to disk.
    pub const fn is_locked(&self) -> bool {
        self.locked
    }

    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: `len` bytes from `start` are mapped, initialised (zeros) and borrowed with `self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as above, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Drop for LockedBytes {
    fn drop(&mut self) {
        self.as_mut_slice().zeroize();
        // SAFETY: the mapping is ours and nothing borrows it any more; unmapping also unlocks.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.mapped) };
    }
}
