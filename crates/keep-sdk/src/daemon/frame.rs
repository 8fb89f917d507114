//! Frames: a length in four bytes (big-endian), then so many bytes of JSON.

use std::io::{self, IoSlice, Read, Write};

use zeroize::Zeroizing;

use crate::call::Wiped;

/// The longest frame that a daemon reads, in bytes.
pub const MAX_REQUEST: usize = 32 << 20;
/// The longest frame that a client reads, in bytes.
pub const MAX_REPLY: usize = 512 << 20;

/// Reads a frame; `None` when the other side has gone between two.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] when it is longer than `max`; when it is cut off.
pub fn read(from: &mut impl Read, max: usize) -> io::Result<Option<Wiped>> {
    let mut length = [0; 4];
    if from.read(&mut length[..1])? == 0 {
        return Ok(None);
    }
    from.read_exact(&mut length[1..])?;
    let length = u32::from_be_bytes(length) as usize;
    if length > max {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the frame is too long"));
    }
    // Fresh zeroed pages cost nothing until they are written, so a length that is a lie costs nothing either.
    let mut bytes = Zeroizing::new(vec![0; length]);
    from.read_exact(&mut bytes)?;
    Ok(Some(bytes))
}

/// Writes a frame that consists of these parts.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] when it is longer than any reader takes; when it cannot be written.
pub fn write(to: &mut impl Write, parts: &[&[u8]]) -> io::Result<()> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let length = u32::try_from(length).ok().filter(|length| *length as usize <= MAX_REPLY);
    let length = length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the frame is too long"))?;
    let length = length.to_be_bytes();
    let mut slices: Vec<IoSlice<'_>> = Vec::with_capacity(parts.len() + 1);
    slices.push(IoSlice::new(&length));
    slices.extend(parts.iter().map(|part| IoSlice::new(part)));
    let mut rest = slices.as_mut_slice();
    while !rest.is_empty() {
        let written = to.write_vectored(rest)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        IoSlice::advance_slices(&mut rest, written);
    }
    to.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_round_trip() {
        let mut wire = Vec::new();
        write(&mut wire, &[b"{\"a\":", b"1}"]).unwrap();
        write(&mut wire, &[]).unwrap();
        let mut wire = wire.as_slice();
        assert_eq!(read(&mut wire, 100).unwrap().unwrap().as_slice(), b"{\"a\":1}");
        assert_eq!(read(&mut wire, 100).unwrap().unwrap().as_slice(), b"");
        assert!(read(&mut wire, 100).unwrap().is_none());
    }

    #[test]
    fn too_long_and_cut_off_frames_are_errors() {
        assert_eq!(read(&mut [0, 0, 0, 9].as_slice(), 8).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(read(&mut [0, 0].as_slice(), 8).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(
            read(&mut [0, 0, 0, 2, 1].as_slice(), 8).unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
    }
}
