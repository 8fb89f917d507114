//! The key-value maps that every version of PSBT consists of (BIP-174, "Specification").

use std::collections::HashSet;

use crate::BitcoinError;

/// The magic bytes of every PSBT.
pub(crate) const MAGIC: [u8; 5] = *b"psbt\xff";

/// One key-value map, in the order of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Map(Vec<(Vec<u8>, Vec<u8>)>);

impl Map {
    /// The value of the single-byte key `key`.
    pub(crate) fn get(&self, key: u8) -> Option<&[u8]> {
        self.0.iter().find(|(k, _)| k.as_slice() == [key]).map(|(_, v)| v.as_slice())
    }

    /// Whether any key is of type `key`, with or without key data.
    pub(crate) fn has_type(&self, key: u8) -> bool {
        self.0.iter().any(|(k, _)| k.first() == Some(&key))
    }

    /// Removes and returns the pairs whose key type is in `types`.
    pub(crate) fn take(&mut self, types: &[u8]) -> Self {
        let (taken, kept) = std::mem::take(&mut self.0)
            .into_iter()
            .partition(|(k, _)| k.first().is_some_and(|t| types.contains(t)));
        self.0 = kept;
        Self(taken)
    }

    pub(crate) fn push(&mut self, key: u8, value: Vec<u8>) {
        self.0.push((vec![key], value));
    }

    pub(crate) fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, BitcoinError> {
        let mut pairs = Vec::new();
        let mut seen = HashSet::new();
        loop {
            let key = reader.bytes()?;
            if key.is_empty() {
                return Ok(Self(pairs));
            }
            let value = reader.bytes()?;
            if !seen.insert(key) {
                return Err(BitcoinError::Psbt("a key occurs twice in one map".into()));
            }
            pairs.push((key.to_vec(), value.to_vec()));
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        for (key, value) in &self.0 {
            write_size(out, key.len());
            out.extend_from_slice(key);
            write_size(out, value.len());
            out.extend_from_slice(value);
        }
        out.push(0);
    }
}

/// The maps of a PSBT file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawPsbt {
    pub(crate) global: Map,
    /// The maps of inputs and, after them, of outputs.
    pub(crate) rest: Vec<Map>,
}

impl RawPsbt {
    /// Reads every map up to the end of `bytes`. Nothing is allocated beyond the size of the input.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, BitcoinError> {
        let body = bytes
            .strip_prefix(&MAGIC)
            .ok_or_else(|| BitcoinError::Psbt("the magic bytes are missing".into()))?;
        let mut reader = Reader(body);
        let global = Map::read(&mut reader)?;
        let mut rest = Vec::new();
        while !reader.0.is_empty() {
            rest.push(Map::read(&mut reader)?);
        }
        Ok(Self { global, rest })
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        self.global.write(&mut out);
        for map in &self.rest {
            map.write(&mut out);
        }
        out
    }
}

/// Bytes not read yet.
struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take(&mut self, len: usize) -> Result<&'b [u8], BitcoinError> {
        let (head, tail) =
            self.0.split_at_checked(len).ok_or_else(|| BitcoinError::Psbt("it ends too early".into()))?;
        self.0 = tail;
        Ok(head)
    }

    /// A length-prefixed string of bytes.
    fn bytes(&mut self) -> Result<&'b [u8], BitcoinError> {
        let len = self.size()?;
        self.take(len)
    }

    fn size(&mut self) -> Result<usize, BitcoinError> {
        let width = match self.take(1)? {
            [0xfd] => 2,
            [0xfe] => 4,
            [0xff] => 8,
            [small] => return Ok(usize::from(*small)),
            _ => 0,
        };
        let mut value = [0; 8];
        value[..width].copy_from_slice(self.take(width)?);
        let value = u64::from_le_bytes(value);
        let least = match width {
            2 => 0xfd,
            4 => 0x1_0000,
            _ => 0x1_0000_0000,
        };
        if value < least {
            return Err(BitcoinError::Psbt("a length is not written in its shortest form".into()));
        }
        usize::try_from(value).map_err(|_| BitcoinError::Psbt("it ends too early".into()))
    }
}

/// Appends a compact size.
pub(crate) fn write_size(out: &mut Vec<u8>, size: usize) {
    let bytes = (size as u64).to_le_bytes();
    match size {
        0..=0xfc => out.push(bytes[0]),
        0xfd..=0xffff => {
            out.push(0xfd);
            out.extend_from_slice(&bytes[..2]);
        }
        0x1_0000..=0xffff_ffff => {
            out.push(0xfe);
            out.extend_from_slice(&bytes[..4]);
        }
        _ => {
            out.push(0xff);
            out.extend_from_slice(&bytes);
        }
    }
}

/// Reads one compact size that is the whole of `bytes`.
pub(crate) fn read_size(bytes: &[u8]) -> Result<usize, BitcoinError> {
    let mut reader = Reader(bytes);
    let size = reader.size()?;
    if reader.0.is_empty() { Ok(size) } else { Err(BitcoinError::Psbt("a count has bytes too many".into())) }
}
