//! The age file format, version 1 (<https://age-encryption.org/v1>), by the crate `age`: a stock `age -d` opens what Keep
//! writes.
//!
//! Two ways to lock a file: a passphrase (scrypt), or recipients (X25519). The format does not mix them.
//!
//! ```
//! use keep_cipher::age::{self, Lock, Unlock};
//! use keep_types::SecretText;
//!
//! # fn main() -> Result<(), keep_cipher::CipherError> {
//! let passphrase = SecretText::from("correct horse".to_owned());
//! let file = age::encrypt(&Lock::Passphrase(&passphrase, 10), b"hello")?;
//! assert!(file.starts_with(b"age-encryption.org/v1\n-> scrypt "));
//! assert_eq!(&*age::decrypt(&Unlock::Passphrase(&passphrase), &file)?, b"hello");
//! # Ok(())
//! # }
//! ```

mod opening;

use std::cell::Cell;
use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::rc::Rc;

use ::age::secrecy::{ExposeSecret, SecretString};
use ::age::stream::StreamWriter;
use ::age::{DecryptError, EncryptError, Encryptor, scrypt, x25519};
use keep_types::SecretText;
use zeroize::Zeroizing;

use crate::CipherError;

pub use opening::{Locked, Opening};

/// The scrypt cost of files that Keep writes, as its logarithm: 2^18 rounds, 256 MiB, about a second.
pub const DEFAULT_LOG_N: u8 = 18;
/// The highest cost that is accepted: 2^20 rounds, 1 GiB. A file names its own cost.
pub const MAX_LOG_N: u8 = 20;

/// What a file is locked with.
pub enum Lock<'a> {
    /// A passphrase, and the logarithm of the scrypt cost.
    Passphrase(&'a SecretText, u8),
    /// Each of these opens it.
    Recipients(&'a [Recipient]),
}

/// What a file is opened with.
pub enum Unlock<'a> {
    /// Its passphrase.
    Passphrase(&'a SecretText),
    /// The secret keys of recipients; one that fits is enough.
    Identities(&'a [Identity]),
}

/// What a file asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Its passphrase.
    Passphrase,
    /// The secret key of a recipient.
    Identity,
}

/// Whom a file is for: `age1…`.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient(x25519::Recipient);

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient({self})")
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Recipient {
    /// Reads `age1…`. Spaces around it are ignored.
    ///
    /// # Errors
    /// [`CipherError::AgeKey`].
    pub fn parse(text: &str) -> Result<Self, CipherError> {
        text.trim().parse().map(Self).map_err(|_| CipherError::AgeKey)
    }
}

/// The secret key of a recipient: `AGE-SECRET-KEY-1…`.
pub struct Identity(x25519::Identity);

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(…)")
    }
}

impl Identity {
    /// A new one.
    pub fn generate() -> Self {
        Self(x25519::Identity::generate())
    }

    /// Reads `AGE-SECRET-KEY-1…`. Spaces around it are ignored.
    ///
    /// # Errors
    /// [`CipherError::AgeKey`].
    pub fn parse(text: &SecretText) -> Result<Self, CipherError> {
        text.expose().trim().parse().map(Self).map_err(|_| CipherError::AgeKey)
    }

    /// Reads a file of identities as `age-keygen` writes it: one in a line, and comments.
    ///
    /// # Errors
    /// [`CipherError::AgeKey`] when a line is neither, or there is none.
    pub fn parse_file(text: &SecretText) -> Result<Vec<Self>, CipherError> {
        let lines = text.expose().lines().map(str::trim);
        let found: Vec<Self> = lines
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| line.parse().map(Self).map_err(|_| CipherError::AgeKey))
            .collect::<Result<_, _>>()?;
        if found.is_empty() { Err(CipherError::AgeKey) } else { Ok(found) }
    }

    /// The text form.
    pub fn to_text(&self) -> SecretText {
        SecretText::from(self.0.to_string().expose_secret().to_owned())
    }

    /// Whom files for this identity are addressed to.
    pub fn recipient(&self) -> Recipient {
        Recipient(self.0.to_public())
    }
}

/// An age file with `plaintext` inside.
///
/// # Errors
/// Without a recipient, or with a cost that is not in `1..=MAX_LOG_N`.
pub fn encrypt(lock: &Lock<'_>, plaintext: &[u8]) -> Result<Vec<u8>, CipherError> {
    let file = Vec::with_capacity(plaintext.len() + plaintext.len() / 4096 + 1024);
    let mut sealer = encrypt_to(lock, file)?;
    sealer
        .write_all(plaintext)
        .and_then(|()| sealer.finish())
        .map_err(|error| CipherError::Write(error.kind()))
}

/// Begins an age file whose content comes piece by piece, and which is written to `file`.
///
/// # Errors
/// As [`encrypt`]; when the header cannot be written.
pub fn encrypt_to<W: Write>(lock: &Lock<'_>, file: W) -> Result<Sealer<W>, CipherError> {
    match lock {
        Lock::Passphrase(passphrase, log_n) => {
            check_cost(*log_n)?;
            let mut recipient = scrypt::Recipient::new(secret(passphrase));
            recipient.set_work_factor(*log_n);
            seal(&[&recipient], file)
        }
        Lock::Recipients(recipients) => {
            let recipients: Vec<&dyn ::age::Recipient> = recipients.iter().map(|to| &to.0 as _).collect();
            seal(&recipients, file)
        }
    }
}

/// An age file that is being written. Without [`finish`](Self::finish) it stays cut off, and does not open.
///
/// Up to 64 KiB of what was written last are collected in a buffer that is not wiped when it is given back: let what is
/// secret be followed by at least as much that is not.
pub struct Sealer<W: Write>(StreamWriter<Noting<W>>);

/// Notes why nothing could be written: the header's writer keeps that to itself.
struct Noting<W> {
    to: W,
    failed: Rc<Cell<Option<ErrorKind>>>,
}

impl<W: Write> Write for Noting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write(bytes).inspect_err(|error| self.failed.set(Some(error.kind())))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl<W: Write> fmt::Debug for Sealer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(…)")
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<W: Write> Sealer<W> {
    /// Ends the file, and gives back where it was written.
    ///
    /// # Errors
    /// When its end cannot be written.
    pub fn finish(self) -> io::Result<W> {
        Ok(self.0.finish()?.to)
    }
}

/// What is inside an age file. Nothing is given unless all of it is authentic.
///
/// # Errors
/// [`CipherError::AgeLocked`] when it does not open with what was given; [`CipherError::Age`] when it is damaged or no age
/// file; [`CipherError::LogN`] when it asks for more memory than a file may.
pub fn decrypt(unlock: &Unlock<'_>, file: &[u8]) -> Result<Zeroizing<Vec<u8>>, CipherError> {
    let mut content = Locked::read(file)?.open(unlock)?;
    // No content is as long as its file, so the buffer never moves and leaves no copy behind.
    let mut plaintext = Zeroizing::new(vec![0; file.len() + 64]);
    let mut length = 0;
    loop {
        match content.read(&mut plaintext[length..])? {
            0 => break,
            read => length += read,
        }
    }
    plaintext.truncate(length);
    Ok(plaintext)
}

fn seal<W: Write>(recipients: &[&dyn ::age::Recipient], file: W) -> Result<Sealer<W>, CipherError> {
    let encryptor = Encryptor::with_recipients(recipients.iter().copied()).map_err(|error| match error {
        EncryptError::MissingRecipients => CipherError::Age("it has no recipient"),
        _ => CipherError::Age("it cannot be locked so"),
    })?;
    let failed = Rc::new(Cell::new(None));
    let noting = Noting { to: file, failed: Rc::clone(&failed) };
    let sealer = encryptor.wrap_output(noting).map(Sealer);
    sealer.map_err(|error| CipherError::Write(failed.get().unwrap_or(error.kind())))
}

fn not_opened(error: DecryptError) -> CipherError {
    match error {
        DecryptError::ExcessiveWork { required, .. } => CipherError::LogN { log_n: required, max: MAX_LOG_N },
        DecryptError::NoMatchingKeys | DecryptError::KeyDecryptionFailed | DecryptError::DecryptionFailed => {
            CipherError::AgeLocked
        }
        DecryptError::InvalidMac => CipherError::Age("its header was changed"),
        DecryptError::InvalidHeader | DecryptError::UnknownFormat | DecryptError::Io(_) => {
            CipherError::Age("its header is damaged, or of another format")
        }
    }
}

fn check_cost(log_n: u8) -> Result<(), CipherError> {
    if (1..=MAX_LOG_N).contains(&log_n) { Ok(()) } else { Err(CipherError::LogN { log_n, max: MAX_LOG_N }) }
}

fn secret(passphrase: &SecretText) -> SecretString {
    SecretString::from(passphrase.expose().to_owned())
}
