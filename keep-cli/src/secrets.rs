//! Where passphrases and secret keys come from: a file, the environment, the terminal or stdin. Never the arguments.

use std::io::{self, IsTerminal, Read};
use std::path::Path;

use keep_sdk::{DisplayText, ErrorCode, Fault, SecretText, counted};
use zeroize::Zeroizing;

use crate::ending::Ending;
use crate::output::Output;
use crate::terminal::Terminal;

/// Longest secret that is read, in bytes.
const MAX_LEN: usize = 64 << 10;
/// Shorter passphrases than this are questioned, in characters.
const SHORT: usize = 10;

/// Where one kind of passphrase comes from.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// What it is, as in "the … is empty".
    pub what: &'static str,
    /// The environment variable.
    pub variable: &'static str,
    /// The one that counts where that is not set.
    pub fallback: Option<&'static str>,
    /// The flag that names a file.
    pub flag: &'static str,
    /// The file, if it was given.
    pub file: Option<&'a Path>,
}

impl<'a> Source<'a> {
    /// The passphrase of the vault.
    pub const fn vault(file: Option<&'a Path>) -> Self {
        Self {
            what: "the vault's passphrase",
            variable: "KEEP_PASSWORD",
            fallback: None,
            flag: "--password-file",
            file,
        }
    }

    /// The passphrase of the hidden vault.
    pub const fn hidden(file: Option<&'a Path>) -> Self {
        Self {
            what: "the hidden vault's passphrase",
            variable: "KEEP_HIDDEN_PASSWORD",
            fallback: Some("KEEP_PASSWORD"),
            flag: "--password-file",
            file,
        }
    }

    /// The passphrase of a hidden vault that is yet to be made, while `KEEP_PASSWORD` is that of the other one.
    pub const fn new_hidden(file: Option<&'a Path>) -> Self {
        Self { fallback: None, flag: "--hidden-password-file", ..Self::hidden(file) }
    }

    /// A new passphrase for the vault, beside or instead of the one that opens it.
    pub const fn new_vault(file: Option<&'a Path>) -> Self {
        Self {
            what: "the new passphrase",
            variable: "KEEP_NEW_PASSWORD",
            fallback: None,
            flag: "--new-password-file",
            file,
        }
    }

    /// The passphrase of a vault that is restored.
    pub const fn restored_vault(file: Option<&'a Path>) -> Self {
        Self { fallback: Some("KEEP_PASSWORD"), ..Self::new_vault(file) }
    }

    /// The passphrase of a mnemonic.
    pub const fn mnemonic(file: Option<&'a Path>) -> Self {
        Self { what: "the mnemonic's passphrase", ..Self::ncryptsec(file) }
    }

    /// The passphrase of a backup.
    pub const fn backup(file: Option<&'a Path>) -> Self {
        Self { what: "the backup's passphrase", ..Self::ncryptsec(file) }
    }

    /// The passphrase of an `ncryptsec1…`.
    pub const fn ncryptsec(file: Option<&'a Path>) -> Self {
        Self {
            what: "the ncryptsec's passphrase",
            variable: "KEEP_PASSPHRASE",
            fallback: None,
            flag: "--passphrase-file",
            file,
        }
    }

    /// The passphrase of an exported share.
    pub const fn share(file: Option<&'a Path>) -> Self {
        Self { what: "the share's passphrase", ..Self::ncryptsec(file) }
    }

    /// The code of a person who may approve.
    pub const fn approval() -> Self {
        Self {
            what: "the approval code",
            variable: "KEEP_APPROVAL_CODE",
            fallback: None,
            flag: "",
            file: None,
        }
    }

    /// The passphrase from the file or the environment, if it comes from there.
    pub fn given(&self) -> Result<Option<SecretText>, Fault> {
        let given = match self.file {
            Some(file) => Some(read_file(file)?),
            None => self.in_environment()?,
        };
        if given.as_ref().is_some_and(|text| text.expose().is_empty()) {
            let place = if self.file.is_some() { self.flag } else { self.variable };
            return Err(Fault::new(
                ErrorCode::InvalidInput,
                format!("{}, from {place}, is empty", self.what),
            )
            .with_hint("an empty passphrase protects nothing; choose one"));
        }
        Ok(given)
    }

    fn in_environment(&self) -> Result<Option<SecretText>, Fault> {
        let Some((variable, value)) = self.variables().find_map(|name| Some((name, std::env::var_os(name)?)))
        else {
            return Ok(None);
        };
        let text = value
            .into_string()
            .map_err(|_| Fault::new(ErrorCode::InvalidInput, format!("{variable} is not UTF-8 text")))?;
        Ok(Some(SecretText::new(text)))
    }

    /// The environment variables, the one that counts first.
    pub fn variables(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.variable).chain(self.fallback)
    }

    /// Nobody can be asked, and nothing was given.
    fn missing(&self) -> Fault {
        Fault::new(ErrorCode::Locked, format!("{} is needed, and there is no terminal to ask on", self.what))
            .with_hint(match self.flag {
                "" => format!("set {}, or run in a terminal", self.variable),
                flag => format!("set {}, pass {flag} FILE, or run in a terminal", self.variable),
            })
    }

    /// The terminal to ask on.
    pub fn terminal(&self) -> Result<Terminal, Fault> {
        Terminal::open().ok_or_else(|| self.missing())
    }

    /// The passphrase, asked for if it was not given.
    pub fn get(&self) -> Result<SecretText, Ending> {
        match self.given()? {
            Some(text) => Ok(text),
            None => self.terminal()?.ask_hidden(&self.question()),
        }
    }

    /// The question, when it is asked for.
    pub fn question(&self) -> String {
        let mut question = self.what.replacen("the ", "The ", 1);
        question.push_str(": ");
        question
    }

    /// A new passphrase: given, or asked for twice.
    pub fn get_new(&self, yes_safe: bool) -> Result<SecretText, Ending> {
        if let Some(text) = self.given()? {
            return Ok(text);
        }
        let mut terminal = self.terminal()?;
        loop {
            let first = terminal.ask_hidden(&format!("A passphrase for {}: ", self.subject()))?;
            let length = first.expose().chars().count();
            if length == 0 {
                return Err(Fault::new(ErrorCode::InvalidInput, "the passphrase is empty")
                    .with_hint("choose a passphrase; several random words are a good one")
                    .into());
            }
            let question = format!(
                "That has only {}; several random words are better. Take it?",
                counted(length, "character")
            );
            if length < SHORT && !yes_safe && !terminal.ask_yes(&question)? {
                continue;
            }
            if terminal.ask_hidden("Once more: ")?.expose() == first.expose() {
                return Ok(first);
            }
            return Err(Fault::new(ErrorCode::InvalidInput, "the two passphrases differ")
                .with_hint("try again; nothing was changed")
                .into());
        }
    }

    fn subject(&self) -> &'static str {
        match self.what {
            "the vault's passphrase" | "the new passphrase" => "the vault",
            "the hidden vault's passphrase" => "the hidden vault",
            "the backup's passphrase" => "the backup",
            "the share's passphrase" => "the share",
            _ => "the ncryptsec",
        }
    }
}

/// A secret key: asked for, or read from stdin where that is no terminal.
pub fn read_key(output: &Output) -> Result<SecretText, Ending> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return Ok(read_all(stdin.lock(), "stdin")?);
    }
    let missing = || {
        Fault::new(ErrorCode::InvalidKey, "no key was given")
            .with_hint("run in a terminal to be asked, or give the key on stdin")
    };
    output.talk(
        "Paste the key: nsec1…, ncryptsec1…, 64 hex digits, or the words of a mnemonic. It is not shown.",
    );
    Terminal::open().ok_or_else(missing)?.ask_hidden("Key: ")
}

/// A secret text to be stored: asked for, or read from stdin where that is no terminal.
pub fn read_text(output: &Output) -> Result<SecretText, Ending> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        let text = read_all(stdin.lock(), "stdin")?;
        let line = text.expose().strip_suffix('\n').unwrap_or(text.expose());
        return Ok(SecretText::new(line.to_owned()));
    }
    let missing = || Fault::new(ErrorCode::InvalidInput, "no secret was given").with_hint("give it on stdin");
    output.talk("Type or paste the secret. It is not shown.");
    Terminal::open().ok_or_else(missing)?.ask_hidden("Secret: ")
}

/// A secret in a file.
pub fn read_file(path: &Path) -> Result<SecretText, Fault> {
    let shown = DisplayText::truncated(&path.display().to_string(), 200);
    let file = std::fs::File::open(path).map_err(|error| unreadable(shown.as_str(), &error))?;
    let text = read_all(file, shown.as_str())?;
    let line = text.expose().strip_suffix('\n').unwrap_or(text.expose());
    Ok(SecretText::new(line.strip_suffix('\r').unwrap_or(line).to_owned()))
}

fn read_all(from: impl Read, name: &str) -> Result<SecretText, Fault> {
    // Has its final size from the start, so that growing leaves no copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_LEN + 1));
    from.take(MAX_LEN as u64 + 1).read_to_end(&mut bytes).map_err(|error| unreadable(name, &error))?;
    if bytes.len() > MAX_LEN {
        return Err(Fault::new(ErrorCode::InvalidInput, format!("{name} is too long for a secret")));
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(SecretText::new(text.to_owned())),
        Err(_) => Err(Fault::new(ErrorCode::InvalidInput, format!("{name} is not UTF-8 text"))),
    }
}

/// A file that was named and cannot be read.
pub fn unreadable(name: &str, error: &io::Error) -> Fault {
    let code =
        if error.kind() == io::ErrorKind::NotFound { ErrorCode::NotFound } else { ErrorCode::InvalidInput };
    Fault::new(code, format!("cannot read {name}: {error}"))
        .with_hint("check the file's name and permissions")
}
