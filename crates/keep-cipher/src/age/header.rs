//! The text at the beginning of an age file: who can open it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::FileKey;
use crate::CipherError;

const INTRO: &str = "age-encryption.org/v1\n";
const END: &str = "---";
/// Longer headers than this are no backup of ours nor of anybody sensible, in bytes.
const MAX_LEN: usize = 1 << 20;
const COLUMNS: usize = 64;

/// One way to open the file.
pub struct Stanza {
    pub args: Vec<String>,
    pub body: Vec<u8>,
}

impl Stanza {
    pub fn is_scrypt(&self) -> bool {
        self.args.first().is_some_and(|kind| kind == "scrypt")
    }
}

pub struct Header {
    pub stanzas: Vec<Stanza>,
}

impl Header {
    /// The header and what follows it.
    pub fn parse(file: &[u8]) -> Result<(Self, &[u8]), CipherError> {
        let (text, len) = text(file)?;
        let mut lines = text.strip_prefix(INTRO).ok_or(NOT_AGE)?.split('\n');
        let mut stanzas: Vec<Stanza> = Vec::new();
        loop {
            let line = lines.next().ok_or(DAMAGED)?;
            if let Some(mac) = line.strip_prefix(END) {
                let mac = mac.strip_prefix(' ').ok_or(DAMAGED)?;
                let whole = decode(mac)?.len() == 32 && !stanzas.is_empty();
                return if whole { Ok((Self { stanzas }, &file[len..])) } else { Err(DAMAGED) };
            }
            let args: Vec<String> =
                line.strip_prefix("-> ").ok_or(DAMAGED)?.split(' ').map(str::to_owned).collect();
            if args.iter().any(|arg| arg.is_empty() || !arg.bytes().all(|b| b.is_ascii_graphic())) {
                return Err(DAMAGED);
            }
            stanzas.push(Stanza { args, body: body(&mut lines)? });
        }
    }

    /// Whether the header is the one that was written with this key.
    pub fn check(&self, key: &FileKey, file: &[u8]) -> Result<(), CipherError> {
        let (text, _) = text(file)?;
        let at = text.rfind("\n---").ok_or(DAMAGED)? + 1;
        let mac = decode(text[at + END.len()..].trim_start_matches(' ').trim_end_matches('\n'))?;
        let expected = header_mac(key, &text.as_bytes()[..at + END.len()]);
        expected.verify_slice(&mac).map_err(|_| DAMAGED)
    }

    pub fn to_bytes(&self, key: &FileKey) -> Vec<u8> {
        let mut text = INTRO.to_owned();
        for stanza in &self.stanzas {
            text.push_str("-> ");
            text.push_str(&stanza.args.join(" "));
            text.push('\n');
            let body = STANDARD_NO_PAD.encode(&stanza.body);
            let mut rest = body.as_str();
            while rest.len() >= COLUMNS {
                let (line, more) = rest.split_at(COLUMNS);
                text.push_str(line);
                text.push('\n');
                rest = more;
            }
            text.push_str(rest);
            text.push('\n');
        }
        text.push_str(END);
        let mac = header_mac(key, text.as_bytes()).finalize().into_bytes();
        text.push(' ');
        text.push_str(&STANDARD_NO_PAD.encode(mac));
        text.push('\n');
        text.into_bytes()
    }
}

const NOT_AGE: CipherError = CipherError::Age("it does not begin like one");
const DAMAGED: CipherError = CipherError::Age("its header is damaged");

/// The header's text, with its last line feed, and its length.
fn text(file: &[u8]) -> Result<(&str, usize), CipherError> {
    if !file.starts_with(INTRO.as_bytes()) {
        return Err(NOT_AGE);
    }
    let head = &file[..file.len().min(MAX_LEN)];
    let mac = head.windows(5).position(|window| window == b"\n--- ").ok_or(DAMAGED)? + 1;
    let end = head[mac..].iter().position(|byte| *byte == b'\n').ok_or(DAMAGED)? + mac + 1;
    Ok((std::str::from_utf8(&head[..end]).map_err(|_| DAMAGED)?, end))
}

/// Lines of 64 characters, and a shorter one that ends the body.
fn body<'a>(lines: &mut impl Iterator<Item = &'a str>) -> Result<Vec<u8>, CipherError> {
    let mut encoded = String::new();
    loop {
        let line = lines.next().ok_or(DAMAGED)?;
        if line.len() > COLUMNS {
            return Err(DAMAGED);
        }
        encoded.push_str(line);
        if line.len() < COLUMNS {
            return decode(&encoded);
        }
    }
}

/// Strict base64 without padding.
pub fn decode(text: &str) -> Result<Vec<u8>, CipherError> {
    STANDARD_NO_PAD.decode(text).map_err(|_| DAMAGED)
}

fn header_mac(key: &FileKey, text: &[u8]) -> Hmac<Sha256> {
    let mut mac_key = zeroize::Zeroizing::new([0; 32]);
    // 32 bytes are far below the limit of HKDF-SHA-256.
    let _ = Hkdf::<Sha256>::new(None, &**key).expand(b"header", &mut *mac_key);
    // HMAC takes keys of every length; the fallback only satisfies the type.
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&*mac_key)
        .unwrap_or_else(|_| <Hmac<Sha256> as hmac::digest::KeyInit>::new(&Default::default()));
    mac.update(text);
    mac
}
