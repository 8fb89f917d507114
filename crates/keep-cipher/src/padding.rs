//! The padding of NIP-44: a length prefix, the text, zeros up to a length that tells little.

use crate::CipherError;

/// Texts of this many bytes and more have the extended prefix.
const EXTENDED_FROM: usize = 65_536;
/// `u16` length.
const SHORT_PREFIX: usize = 2;
/// Two zero bytes, then a `u32` length.
const EXTENDED_PREFIX: usize = 6;

/// The padded length of a text of `len` bytes, without the prefix. For every `u32` the result fits in 33 bits.
pub(crate) const fn padded_len(len: u32) -> u64 {
    if len <= 32 {
        return 32;
    }
    let last = (len - 1) as u64;
    let next_power = 1_u64 << (last.ilog2() + 1);
    let chunk = if next_power <= 256 { 32 } else { next_power / 8 };
    chunk * (last / chunk + 1)
}

/// The bytes that prefix, text and padding of a text of `len` bytes take.
pub(crate) const fn total_len(len: u32) -> u64 {
    let prefix = if (len as usize) < EXTENDED_FROM { SHORT_PREFIX } else { EXTENDED_PREFIX };
    prefix as u64 + padded_len(len)
}

/// Appends prefix, text and padding to `buffer`.
pub(crate) fn pad_into(buffer: &mut Vec<u8>, text: &str, len: u32) {
    let end = buffer.len() as u64 + total_len(len);
    match u16::try_from(len) {
        Ok(short) => buffer.extend_from_slice(&short.to_be_bytes()),
        Err(_) => {
            buffer.extend_from_slice(&[0, 0]);
            buffer.extend_from_slice(&len.to_be_bytes());
        }
    }
    buffer.extend_from_slice(text.as_bytes());
    buffer.resize(usize::try_from(end).unwrap_or(buffer.len()), 0);
}

/// Where the text lies in `padded`.
///
/// # Errors
/// [`CipherError::Padding`] when the length is zero, not in its shortest form, or not that of this padding.
pub(crate) fn text_range(padded: &[u8]) -> Result<std::ops::Range<usize>, CipherError> {
    let (prefix, len) = read_prefix(padded).ok_or(CipherError::Padding)?;
    if len == 0 || padded.len() as u64 != prefix as u64 + padded_len(len) {
        return Err(CipherError::Padding);
    }
    let len = usize::try_from(len).map_err(|_| CipherError::Padding)?;
    Ok(prefix..prefix + len)
}

fn read_prefix(padded: &[u8]) -> Option<(usize, u32)> {
    let short = u16::from_be_bytes(*padded.first_chunk::<2>()?);
    if short != 0 {
        return Some((SHORT_PREFIX, u32::from(short)));
    }
    let long = u32::from_be_bytes(*padded[2..].first_chunk::<4>()?);
    (long as usize >= EXTENDED_FROM).then_some((EXTENDED_PREFIX, long))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_text_does_not_overflow() {
        assert_eq!(padded_len(u32::MAX), 1 << 32);
        assert_eq!(padded_len(1 << 31), 1 << 31);
        assert_eq!(padded_len((1 << 31) + 1), (1 << 31) + (1 << 29));
        assert_eq!(total_len(u32::MAX), (1 << 32) + 6);
    }

    #[test]
    fn a_short_text_in_the_extended_form_is_refused() {
        let mut padded = vec![0, 0];
        padded.extend_from_slice(&65_535_u32.to_be_bytes());
        padded.resize(6 + 65_536, b'a');
        assert_eq!(text_range(&padded), Err(CipherError::Padding));
        padded[2..6].copy_from_slice(&65_536_u32.to_be_bytes());
        assert_eq!(text_range(&padded), Ok(6..65_542));
    }

    #[test]
    fn prefixes_that_lie_are_refused() {
        for padded in [&[][..], &[0], &[0, 0], &[0, 0, 0, 1], &[0, 1], &[0, 0, 0xff, 0xff, 0xff, 0xff]] {
            assert_eq!(text_range(padded), Err(CipherError::Padding));
        }
        let mut padded = vec![0; 34];
        padded[1] = 33;
        assert_eq!(text_range(&padded), Err(CipherError::Padding));
        padded[1] = 32;
        assert_eq!(text_range(&padded), Ok(2..34));
    }
}
