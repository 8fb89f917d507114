//! Tokens of sessions, as they are handed to programs.

use std::path::Path;

use keep_types::{ErrorCode, Fault, SecretText};

/// The variable that has a session's token.
const VARIABLE: &str = "KEEP_SESSION";
/// Longest token that is read, in bytes.
const MAX: u64 = 1024;

/// The token of a session that was given: by a file, else by `KEEP_SESSION`.
///
/// # Errors
/// [`ErrorCode::InvalidInput`] when the file has none.
pub fn session_token(file: Option<&Path>) -> Result<Option<SecretText>, Fault> {
    let Some(path) = file else {
        let given = std::env::var(VARIABLE).ok().filter(|token| !token.trim().is_empty());
        return Ok(given.map(SecretText::from));
    };
    let unreadable = |why: &str| {
        Fault::new(ErrorCode::InvalidInput, format!("{} has no session's token: {why}", path.display()))
            .with_hint("give the file that `keep agent create` printed")
    };
    let length = std::fs::metadata(path).map_err(|error| unreadable(&error.to_string()))?.len();
    if length > MAX {
        return Err(unreadable("it is too long"));
    }
    let text =
        SecretText::from(std::fs::read_to_string(path).map_err(|error| unreadable(&error.to_string()))?);
    let token = text.expose().trim();
    if token.is_empty() {
        Err(unreadable("it is empty"))
    } else {
        Ok(Some(SecretText::from(token.to_owned())))
    }
}
