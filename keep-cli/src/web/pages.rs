//! Which address is about which request, and who may decide.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use keep_sdk::{ApprovalPage, ErrorCode, Fault, RequestId};

/// Addresses that are remembered; beyond that the oldest lead nowhere.
const MAX_PAGES: usize = 512;
/// Wrong codes after which nothing is decided on pages any more, until `keep serve` starts again.
const MAX_WRONG: u32 = 20;
/// Letters and digits that nobody confuses.
const ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz123456789";
/// Characters of the code: 60 bits.
const CODE_LEN: usize = 12;

/// A page about one request.
#[derive(Clone)]
pub struct Page {
    pub token: String,
    /// Comes back with the form: whoever sends it has seen the page.
    pub seal: String,
    /// The same of the page that leaves nothing out: where something was, only this one says yes.
    pub whole: String,
    pub request: RequestId,
}

/// The pages that there are.
pub struct Pages {
    /// `http://127.0.0.1:PORT`
    base: OnceLock<String>,
    code: String,
    wrong: AtomicU32,
    open: Mutex<VecDeque<Page>>,
}

impl std::fmt::Debug for Pages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pages").field("base", &self.base).finish_non_exhaustive()
    }
}

impl Pages {
    /// None yet, and a new code.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn new() -> Result<Self, Fault> {
        let bytes = random::<CODE_LEN>()?;
        let code = bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect();
        Ok(Self { base: OnceLock::new(), code, wrong: AtomicU32::new(0), open: Mutex::default() })
    }

    /// The code that allows to decide, for the terminal.
    pub fn code(&self) -> String {
        let groups: Vec<&str> = [0, 4, 8].iter().filter_map(|at| self.code.get(*at..at + 4)).collect();
        groups.join("-")
    }

    /// Says where the pages are.
    pub fn are_at(&self, base: String) {
        let _ = self.base.set(base);
    }

    pub fn base(&self) -> &str {
        self.base.get().map_or("", String::as_str)
    }

    /// The page at this path.
    pub fn find(&self, token: &str) -> Option<Page> {
        self.lock().iter().find(|page| same(&page.token, token)).cloned()
    }

    /// The request is decided: its address leads nowhere.
    pub fn close(&self, token: &str) {
        self.lock().retain(|page| page.token != token);
    }

    /// Whether `given` is the code. Wrong ones are counted.
    ///
    /// # Errors
    /// [`ErrorCode::RefusedByPolicy`] when it is not, or too many were not.
    pub fn check(&self, given: &str) -> Result<(), Fault> {
        let refuse = |message: &str| Err(Fault::new(ErrorCode::RefusedByPolicy, message));
        if self.wrong.load(Ordering::Relaxed) >= MAX_WRONG {
            return refuse(
                "too many wrong codes were given: start keep serve again, or decide in the terminal",
            );
        }
        let given: String =
            given.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
        if same(&self.code, &given) {
            return Ok(());
        }
        self.wrong.fetch_add(1, Ordering::Relaxed);
        refuse("this is not the code that keep serve printed")
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Page>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ApprovalPage for Pages {
    fn address(&self, request: RequestId) -> Option<String> {
        let base = self.base.get()?;
        let random = random::<96>().ok()?;
        let part = |at: usize| hex::encode(&random[at..at + 32]);
        let (token, seal, whole) = (part(0), part(32), part(64));
        let mut open = self.lock();
        if open.len() >= MAX_PAGES {
            open.pop_front();
        }
        open.push_back(Page { token: token.clone(), seal, whole, request });
        Some(format!("{base}/{token}"))
    }
}

/// Compares without telling by its time where the texts differ.
pub fn same(one: &str, other: &str) -> bool {
    let differs = one.bytes().zip(other.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b));
    one.len() == other.len() && differs == 0
}

fn random<const N: usize>() -> Result<[u8; N], Fault> {
    let mut bytes = [0; N];
    getrandom::getrandom(&mut bytes)
        .map_err(|error| Fault::new(ErrorCode::Bug, format!("there are no random bytes: {error}")))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lead_to_their_request_until_it_is_decided() {
        let pages = Pages::new().unwrap();
        let request = RequestId::from_bytes([7; 32]);
        assert_eq!(pages.address(request), None, "nobody listens yet");
        pages.are_at("http://127.0.0.1:1".to_owned());
        let address = pages.address(request).unwrap();
        let token = address.strip_prefix("http://127.0.0.1:1/").unwrap();
        assert_eq!(token.len(), 64);
        assert_eq!(pages.find(token).unwrap().request, request);
        assert!(pages.find(&token[..63]).is_none());
        assert_ne!(pages.address(request).unwrap(), address);
        pages.close(token);
        assert!(pages.find(token).is_none());
        for _ in 0..2 * MAX_PAGES {
            pages.address(request);
        }
        assert_eq!(pages.lock().len(), MAX_PAGES);
    }

    #[test]
    fn codes_are_not_guessed() {
        let pages = Pages::new().unwrap();
        let code = pages.code();
        assert_eq!(code.len(), 14);
        pages.check(&code.to_uppercase()).unwrap();
        for _ in 0..MAX_WRONG {
            assert!(pages.check("aaaa-bbbb-cccc").is_err());
        }
        assert!(pages.check(&code).is_err(), "nothing is decided here any more");
    }
}
