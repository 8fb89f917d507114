//! Shares as QR codes: one, or several frames as Uniform Resources (BCR-2020-005, `ur:bytes`), from which any wallet's
//! scanner puts them together again.

use std::time::Duration;

use keep_sdk::{ErrorCode, Fault, SecretText};

use crate::ending::Ending;
use crate::qr;
use crate::session::Session;
use crate::terminal::columns;

/// Bytes of one frame: a code of version 10 or so, which fits into 80 columns.
const FRAME: usize = 130;
/// How long one frame is shown.
const SHOWN: Duration = Duration::from_millis(400);
/// How often all frames are shown.
const ROUNDS: usize = 20;

/// The most bytes that a share as text has.
const MAX: usize = 1 << 20;

/// Shows a share as one code if it fits into the terminal, else as frames: animated where somebody watches, else as lines
/// of text from which codes can be made.
pub fn show(session: &Session, text: &str) -> Result<(), Ending> {
    let output = &session.output;
    if output.is_json() {
        return output.value(&serde_json::json!({ "frames": frames(text)? }));
    }
    let style = output.stdout_style();
    let width = columns().unwrap_or(80);
    let upper = if text.starts_with('{') { text.to_owned() } else { text.to_uppercase() };
    if let Some(code) = qr::draw(&upper, style, width, 0) {
        return output.line(&code);
    }
    let frames = frames(text)?;
    if !output.stdout_is_terminal() {
        return frames.iter().try_for_each(|frame| output.line(frame));
    }
    for round in 0..ROUNDS {
        for (number, frame) in frames.iter().enumerate() {
            let Some(code) = qr::draw(&frame.to_uppercase(), style, width, 0) else {
                return Err(Fault::new(ErrorCode::InvalidInput, "the terminal is too narrow for a QR code")
                    .with_hint("widen it, or export to a file with --output")
                    .into());
            };
            output.line(&format!(
                "\x1b[H\x1b[2J{code}\nframe {} of {}; Ctrl-C ends (round {})",
                number + 1,
                frames.len(),
                round + 1
            ))?;
            std::thread::sleep(SHOWN);
        }
    }
    Ok(())
}

/// The frames, each once.
fn frames(text: &str) -> Result<Vec<String>, Fault> {
    let message = to_cbor(text.as_bytes());
    let failed = |_| Fault::new(ErrorCode::Bug, "the share has no frames");
    let mut encoder = ur::Encoder::bytes(&message, FRAME).map_err(failed)?;
    (0..encoder.fragment_count()).map(|_| encoder.next_part().map_err(failed)).collect()
}

/// Puts frames together again, if there are any; any other text stays as it is.
pub fn join(text: SecretText) -> Result<SecretText, Fault> {
    let is_frame = |word: &&str| word.get(..3).is_some_and(|scheme| scheme.eq_ignore_ascii_case("ur:"));
    if !text.expose().split_ascii_whitespace().any(|word| is_frame(&word)) {
        return Ok(text);
    }
    let damaged = || {
        Fault::new(ErrorCode::InvalidInput, "a frame is damaged, or of another share")
            .with_hint("scan the frames again")
    };
    let mut decoder = ur::Decoder::default();
    for word in text.expose().split_ascii_whitespace() {
        if !is_frame(&word) {
            return Err(damaged());
        }
        decoder.receive(&word.to_ascii_lowercase()).map_err(|_| damaged())?;
    }
    let incomplete = || {
        Fault::new(ErrorCode::InvalidInput, "frames are missing").with_hint("scan until all frames were seen")
    };
    let message = decoder.message().map_err(|_| damaged())?.ok_or_else(incomplete)?;
    let bytes = from_cbor(&message).ok_or_else(damaged)?;
    String::from_utf8(bytes.to_vec()).map(SecretText::new).map_err(|_| damaged())
}

/// A CBOR byte string (RFC 8949 §3.1), as `ur:bytes` asks for.
fn to_cbor(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let mut out = vec![0x5a];
    out.extend(length.to_be_bytes());
    out.extend(bytes);
    out
}

fn from_cbor(message: &[u8]) -> Option<&[u8]> {
    let (first, rest) = message.split_first()?;
    let width = match first {
        0x40..=0x57 => 0,
        0x58 => 1,
        0x59 => 2,
        0x5a => 4,
        _ => return None,
    };
    let (length, bytes) = rest.split_at_checked(width)?;
    let length = match width {
        0 => usize::from(first - 0x40),
        _ => length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
    };
    (bytes.len() == length && length <= MAX).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_together_in_any_order() {
        let share = format!("kshare1{}", "qpzry9x8".repeat(90));
        let mut all = frames(&share).unwrap();
        assert!(all.len() > 3);
        all.reverse();
        let upper = all.join("\n").to_uppercase();
        assert_eq!(join(SecretText::new(upper)).unwrap().expose(), share);
        let last = all.pop().unwrap();
        assert!(join(SecretText::new(all.join("\n"))).is_err());
        let other = frames(&format!("kshare1{}", "a".repeat(720))).unwrap().pop().unwrap();
        assert!(join(SecretText::new(format!("{last} {other}"))).is_err());
        assert!(join(SecretText::new(format!("{last} kshare1abc"))).is_err());
        assert_eq!(join(SecretText::new("kshare1abc".to_owned())).unwrap().expose(), "kshare1abc");
    }

    #[test]
    fn byte_strings_of_every_length_are_read() {
        for length in [0, 1, 23, 24, 255, 256, 70_000] {
            let bytes = vec![7; length];
            assert_eq!(from_cbor(&to_cbor(&bytes)).unwrap(), bytes);
        }
        assert_eq!(from_cbor(&[0x43, 1, 2, 3]), Some([1, 2, 3].as_slice()));
        assert_eq!(from_cbor(&[0x58, 2, 1, 2]), Some([1, 2].as_slice()));
        for bad in [[].as_slice(), &[0x43, 1], &[0x58], &[0x61, 0x61], &[0x43, 1, 2, 3, 4]] {
            assert_eq!(from_cbor(bad), None);
        }
    }
}
