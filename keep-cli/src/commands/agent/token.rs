//! Files with tokens.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use keep_sdk::{ErrorCode, Fault, Home, SecretText};

/// Where a token goes.
pub enum Place {
    File(PathBuf),
    Directory(PathBuf),
}

impl Place {
    /// Makes sure, before there is a token, that it can be written.
    pub fn prepare(home: &Home, file: Option<&Path>) -> Result<Self, Fault> {
        if let Some(file) = file {
            if file.exists() {
                return Err(Fault::new(
                    ErrorCode::AlreadyExists,
                    format!("{} exists already", file.display()),
                )
                .with_hint("name another file with --output"));
            }
            return Ok(Self::File(file.to_owned()));
        }
        let directory = home.path().join("sessions");
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&directory).map_err(|error| failed(&directory, &error))?;
        Ok(Self::Directory(directory))
    }

    /// Writes the token, for the owner's eyes only. `id` names the file where no name was given.
    pub fn write(&self, id: &str, token: &SecretText) -> Result<PathBuf, Fault> {
        let path = match self {
            Self::File(path) => path.clone(),
            Self::Directory(directory) => directory.join(id),
        };
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path).map_err(|error| failed(&path, &error))?;
        let written = file.write_all(token.expose().as_bytes()).and_then(|()| file.write_all(b"\n"));
        written.and_then(|()| file.sync_all()).map_err(|error| failed(&path, &error))?;
        Ok(path)
    }
}

fn failed(path: &Path, error: &std::io::Error) -> Fault {
    Fault::new(ErrorCode::Storage, format!("cannot write {}: {error}", path.display()))
}
