//! An age file that is opened piece by piece.

use std::cell::Cell;
use std::fmt;
use std::io::{self, BufReader, Chain, Cursor, ErrorKind, Read};
use std::rc::Rc;

use ::age::stream::StreamReader;
use ::age::{Decryptor, scrypt};

use super::{MAX_LOG_N, Needs, Unlock, not_opened, secret};
use crate::CipherError;

/// How every age file begins.
const BEGINNING: &[u8] = b"age-encryption.org/";
/// The most that is read of a header, in bytes: several hundred recipients. A file that never ends one is none, and the time
/// that reading one takes grows with the square of its length.
const MAX_HEADER: u64 = 64 << 10;

type Buffered<R> = BufReader<Chain<Cursor<Vec<u8>>, Watched<R>>>;

/// An age file whose header was read. Its content follows when it is opened.
pub struct Locked<R: Read> {
    decryptor: Decryptor<Buffered<R>>,
    watch: Rc<Watch>,
}

impl<R: Read> fmt::Debug for Locked<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Locked(…)")
    }
}

impl<R: Read> Locked<R> {
    /// Reads the header. Of what does not begin like an age file no more than the beginning is read: it may have no end.
    ///
    /// # Errors
    /// [`CipherError::Age`] when it is no age file; [`CipherError::Read`] when it cannot be read.
    pub fn read(file: R) -> Result<Self, CipherError> {
        let watch = Rc::new(Watch { failed: Cell::new(None), left: Cell::new(MAX_HEADER) });
        let mut file = Watched { from: file, watch: Rc::clone(&watch) };
        let mut beginning = Vec::with_capacity(BEGINNING.len());
        let begun = Read::by_ref(&mut file).take(BEGINNING.len() as u64).read_to_end(&mut beginning);
        if begun.is_ok() && beginning != BEGINNING {
            return Err(CipherError::Age("its header is damaged, or of another format"));
        }
        let buffered = BufReader::new(Cursor::new(beginning).chain(file));
        let decryptor =
            begun.map_err(::age::DecryptError::Io).and_then(|_| Decryptor::new_buffered(buffered));
        let decryptor = decryptor.map_err(|error| watch.cause().unwrap_or_else(|| not_opened(error)))?;
        watch.left.set(u64::MAX);
        Ok(Self { decryptor, watch })
    }

    /// What opens it.
    pub fn needs(&self) -> Needs {
        if self.decryptor.is_scrypt() { Needs::Passphrase } else { Needs::Identity }
    }

    /// Opens it.
    ///
    /// # Errors
    /// [`CipherError::AgeLocked`] when it does not open with what was given; [`CipherError::Age`] when its header was changed;
    /// [`CipherError::LogN`] when it asks for more memory than a file may.
    pub fn open(self, unlock: &Unlock<'_>) -> Result<Opening<R>, CipherError> {
        let content = match unlock {
            Unlock::Passphrase(passphrase) => {
                let mut identity = scrypt::Identity::new(secret(passphrase));
                identity.set_max_work_factor(MAX_LOG_N);
                self.decryptor.decrypt([&identity as &dyn ::age::Identity].into_iter())
            }
            Unlock::Identities(identities) => {
                self.decryptor.decrypt(identities.iter().map(|own| &own.0 as &dyn ::age::Identity))
            }
        };
        Ok(Opening { content: content.map_err(not_opened)?, watch: self.watch })
    }
}

/// The content of an age file. What it gives is authentic, but until it says that there is no more, some of it may be missing.
pub struct Opening<R: Read> {
    content: StreamReader<Buffered<R>>,
    watch: Rc<Watch>,
}

impl<R: Read> fmt::Debug for Opening<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opening(…)")
    }
}

impl<R: Read> Opening<R> {
    /// The next bytes, as many as there are at hand and `into` takes; 0 at the end, where all of it was whole.
    ///
    /// # Errors
    /// [`CipherError::Age`] when the file was changed or cut; [`CipherError::Read`] when it cannot be read.
    pub fn read(&mut self, into: &mut [u8]) -> Result<usize, CipherError> {
        self.content
            .read(into)
            .map_err(|_| self.watch.cause().unwrap_or(CipherError::Age("its content was changed or cut")))
    }
}

/// What the layers above the file keep to themselves.
struct Watch {
    /// Why the file could not be read.
    failed: Cell<Option<ErrorKind>>,
    /// How many bytes may still be read of it.
    left: Cell<u64>,
}

impl Watch {
    fn cause(&self) -> Option<CipherError> {
        self.failed.get().map(CipherError::Read)
    }
}

struct Watched<R> {
    from: R,
    watch: Rc<Watch>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = self.watch.left.get();
        let most = into.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = self.from.read(&mut into[..most]).inspect_err(|error| {
            if error.kind() != ErrorKind::Interrupted {
                self.watch.failed.set(Some(error.kind()));
            }
        })?;
        self.watch.left.set(left - read as u64);
        Ok(read)
    }
}
