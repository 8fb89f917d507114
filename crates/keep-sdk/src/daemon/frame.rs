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

/// How much is read at once where one frame is awaited, in bytes. Most answers are shorter.
const AT_ONCE: usize = 4096;

/// As [`read`], where nothing comes after the frame: an answer. A short one is taken with a single system call.
///
/// # Errors
/// As [`read`]; [`io::ErrorKind::InvalidData`] when more comes than one frame.
pub fn read_answer(from: &mut impl Read, max: usize) -> io::Result<Option<Wiped>> {
    let mut first = Zeroizing::new([0; AT_ONCE]);
    let mut have = from.read(&mut *first)?;
    if have == 0 {
        return Ok(None);
    }
    if have < 4 {
        from.read_exact(&mut first[have..4])?;
        have = 4;
    }
    let [a, b, c, d, body @ ..] = &first[..have] else { return Err(io::ErrorKind::UnexpectedEof.into()) };
    let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
    if length > max || body.len() > length {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the frame is too long"));
    }
    let mut bytes = Zeroizing::new(vec![0; length]);
    bytes[..body.len()].copy_from_slice(body);
    let read = body.len();
    from.read_exact(&mut bytes[read..])?;
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

    /// Gives what it has in pieces of this size.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let most = self.1.min(buffer.len());
            self.0.read(&mut buffer[..most])
        }
    }

    #[test]
    fn an_answer_is_read_however_it_comes() {
        for length in [0, 1, 3, 100, AT_ONCE - 4, AT_ONCE - 3, AT_ONCE, 3 * AT_ONCE] {
            let text = vec![b'x'; length];
            let mut wire = Vec::new();
            write(&mut wire, &[&text]).unwrap();
            for size in [1, 2, 3, 4, 5, 7, AT_ONCE - 1, AT_ONCE, usize::MAX] {
                let read = read_answer(&mut Pieces(&wire, size), length).unwrap().unwrap();
                assert_eq!(read.as_slice(), text, "{length} in pieces of {size}");
                let cut = read_answer(&mut Pieces(&wire[..wire.len() - 1], size), length);
                assert_eq!(cut.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
            }
            let long = read_answer(&mut Pieces(&wire, usize::MAX), length.wrapping_sub(1).min(length));
            assert!(length == 0 || long.is_err());
        }
        assert!(read_answer(&mut [].as_slice(), 8).unwrap().is_none());
        assert!(read_answer(&mut [0, 0, 0, 1, b'x', b'y'].as_slice(), 8).is_err(), "two answers at once");
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
