//! A JSON document that comes bit by bit, one value at a time, through buffers that are wiped.

use keep_types::{ErrorCode, Fault};
use serde::Deserialize;
use serde::de::IgnoredAny;
use zeroize::Zeroizing;

use super::document::no_backup;
use crate::call::{Wiped, extend_wiped};

/// How much is asked for at once, in bytes.
const AT_ONCE: usize = 64 << 10;

/// How long one value may be, in bytes. The longest that is written is a record: a segment of the log, in some hundred kilobytes.
pub const LONGEST: usize = 256 << 20;

/// Where a document comes from.
pub trait Source {
    /// The next bytes; 0 at the end.
    fn read(&mut self, into: &mut [u8]) -> Result<usize, Fault>;
}

/// What is left of a document.
pub struct Pieces<S> {
    source: S,
    buffer: Wiped,
    at: usize,
    end: usize,
    value: Wiped,
    longest: usize,
}

impl<S: Source> Pieces<S> {
    pub fn new(source: S) -> Self {
        let buffer = Zeroizing::new(vec![0; AT_ONCE]);
        Self { source, buffer, at: 0, end: 0, value: Wiped::default(), longest: LONGEST }
    }

    /// Makes sure that there are bytes ahead, unless the document is over.
    fn fill(&mut self) -> Result<(), Fault> {
        if self.at == self.end {
            self.end = self.source.read(&mut self.buffer)?;
            self.at = 0;
        }
        Ok(())
    }

    /// The next byte that is no space; `None` at the end of the document.
    fn peek(&mut self) -> Result<Option<u8>, Fault> {
        loop {
            self.fill()?;
            let ahead = &self.buffer[self.at..self.end];
            if ahead.is_empty() {
                return Ok(None);
            }
            match ahead.iter().position(|&byte| !is_space(byte)) {
                Some(spaces) => {
                    self.at += spaces;
                    return Ok(Some(self.buffer[self.at]));
                }
                None => self.at = self.end,
            }
        }
    }

    fn take(&mut self, byte: u8) -> Result<bool, Fault> {
        let is_there = self.peek()? == Some(byte);
        self.at += usize::from(is_there);
        Ok(is_there)
    }

    /// Passes this byte, and spaces before it.
    pub fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        if self.take(byte)? { Ok(()) } else { Err(no_backup()) }
    }

    /// Whether another element follows in a list or object that ends with `close`. `is_first` is so once.
    pub fn another(&mut self, close: u8, is_first: &mut bool) -> Result<bool, Fault> {
        if self.take(close)? {
            return Ok(false);
        }
        if !std::mem::take(is_first) {
            self.expect(b',')?;
        }
        Ok(true)
    }

    /// Passes the next value, and reads it.
    pub fn parse<'a, T: Deserialize<'a>>(&'a mut self) -> Result<T, Fault> {
        self.pass()?;
        serde_json::from_slice(&self.value).map_err(|_| no_backup())
    }

    /// Passes the next value, which must be JSON all the same; a list element by element.
    pub fn skip(&mut self) -> Result<(), Fault> {
        if !self.take(b'[')? {
            return self.parse::<IgnoredAny>().map(drop);
        }
        let mut is_first = true;
        while self.another(b']', &mut is_first)? {
            self.parse::<IgnoredAny>()?;
        }
        Ok(())
    }

    fn pass(&mut self) -> Result<(), Fault> {
        self.value.clear();
        self.peek()?;
        let mut extent = Extent::default();
        loop {
            self.fill()?;
            let ahead = &self.buffer[self.at..self.end];
            if ahead.is_empty() {
                return Err(no_backup());
            }
            let (length, is_over) = extent.take(ahead);
            if self.value.len() + length > self.longest {
                return Err(too_long());
            }
            extend_wiped(&mut self.value, &ahead[..length]);
            self.at += length;
            if is_over {
                return Ok(());
            }
        }
    }

    /// There is nothing more.
    pub fn end(&mut self) -> Result<(), Fault> {
        if self.peek()?.is_none() { Ok(()) } else { Err(no_backup()) }
    }
}

/// Why a record is neither written nor read.
pub fn too_long() -> Fault {
    Fault::new(
        ErrorCode::InvalidPayload,
        format!("a value in the backup is longer than {} MiB", LONGEST >> 20),
    )
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// How far a value reaches.
#[derive(Default)]
struct Extent {
    depth: usize,
    in_text: bool,
    is_escaped: bool,
}

impl Extent {
    /// How many of these bytes belong to the value, and whether it ends with them.
    fn take(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if self.in_text {
                at += self.text(&bytes[at..]);
                if !self.in_text && self.depth == 0 {
                    return (at, true);
                }
                continue;
            }
            match byte {
                b'"' => self.in_text = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' if self.depth > 1 => self.depth -= 1,
                // What was begun ends with this; otherwise it belongs to what is around the value.
                b'}' | b']' => return (at + self.depth, true),
                _ if self.depth == 0 && (is_space(byte) || matches!(byte, b',' | b':')) => return (at, true),
                _ => {}
            }
            at += 1;
        }
        (at, false)
    }

    /// How many of these bytes belong to a text, of which at least one does.
    fn text(&mut self, bytes: &[u8]) -> usize {
        if std::mem::take(&mut self.is_escaped) {
            return 1;
        }
        let Some(found) = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\')) else {
            return bytes.len();
        };
        self.is_escaped = bytes[found] == b'\\';
        self.in_text = self.is_escaped;
        found + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a document in bits of so many bytes.
    struct Bits<'a>(&'a [u8], usize);

    impl Source for Bits<'_> {
        fn read(&mut self, into: &mut [u8]) -> Result<usize, Fault> {
            let length = self.1.min(self.0.len()).min(into.len());
            let (now, later) = self.0.split_at(length);
            into[..length].copy_from_slice(now);
            self.0 = later;
            Ok(length)
        }
    }

    const DOCUMENT: &str = r#" { "a" : "x\"]}\\" , "skipped":[{"b":"]"},[[]],{}], "n":12 ,"list":[1,"two",{"three":[3]},null] }  "#;

    fn walk(bits: usize, document: &str) -> Result<Vec<serde_json::Value>, Fault> {
        walk_within(LONGEST, bits, document)
    }

    fn walk_within(longest: usize, bits: usize, document: &str) -> Result<Vec<serde_json::Value>, Fault> {
        let mut pieces = Pieces::new(Bits(document.as_bytes(), bits));
        pieces.longest = longest;
        let (mut first, mut found) = (true, Vec::new());
        pieces.expect(b'{')?;
        while pieces.another(b'}', &mut first)? {
            let name: String = pieces.parse()?;
            pieces.expect(b':')?;
            match name.as_str() {
                "skipped" => pieces.skip()?,
                "list" => {
                    pieces.expect(b'[')?;
                    let mut first = true;
                    while pieces.another(b']', &mut first)? {
                        found.push(pieces.parse()?);
                    }
                }
                _ => found.push(pieces.parse()?),
            }
        }
        pieces.end()?;
        Ok(found)
    }

    #[test]
    fn values_come_whole_however_the_document_is_cut() {
        let whole = serde_json::json!(["x\"]}\\", 12, 1, "two", { "three": [3] }, null]);
        for bits in 1..DOCUMENT.len() {
            assert_eq!(serde_json::Value::from(walk(bits, DOCUMENT).unwrap()), whole, "{bits}");
        }
    }

    /// Whoever gives the document does not decide how much memory it takes.
    #[test]
    fn a_value_that_is_too_long_is_refused_before_it_is_over() {
        for value in [r#""0123456789""#, r#"{"b":"4567"}"#, "[1,2,[3,4,5]]", "123456789012"] {
            let document = format!("{{\"a\":{value}}}");
            for bits in [1, 5, 100] {
                walk_within(13, bits, &document).unwrap();
                let fault = walk_within(10, bits, &document[..document.len() - 2]).unwrap_err();
                assert!(fault.to_string().contains("longer"), "{value}: {fault}");
            }
        }
    }

    #[test]
    fn what_is_cut_or_no_json_is_refused() {
        let end = DOCUMENT.trim_end().len();
        for cut in 0..end {
            assert!(walk(7, &DOCUMENT[..cut]).is_err(), "{cut}");
        }
        for bad in [
            "[]",
            "{\"a\" 1}",
            "{\"a\":1,}",
            "{,\"a\":1}",
            "{\"a\":}",
            "{\"a\":1}x",
            "{\"list\":[1 2]}",
            "{\"list\":[1,]}",
            "{\"skipped\":}",
            "{\"skipped\":[}",
            "{\"skipped\":[1,]}",
            "{\"skipped\":{\"a\" \"b\" ]}",
        ] {
            assert!(walk(3, bad).is_err(), "{bad}");
        }
    }
}
