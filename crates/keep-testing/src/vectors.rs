//! Official test vectors: the full sets where they are at hand, a representative copy otherwise.
//!
//! Full sets lie in `../shared/vectors` beside the workspace; each crate keeps a copy of what its tests need in
//! `tests/vectors`, under the same relative path, so that its tests stand alone.

use std::path::{Path, PathBuf};

/// Where a set of vectors was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The full set beside the workspace.
    Full(PathBuf),
    /// The copy inside the crate.
    Copy(PathBuf),
}

impl Source {
    /// The file that was read.
    pub fn path(&self) -> &Path {
        match self {
            Self::Full(path) | Self::Copy(path) => path,
        }
    }
}

/// The content of one file of vectors, and where it lay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vectors {
    /// The content.
    pub text: String,
    /// Which of the two places it came from.
    pub source: Source,
}

/// Why vectors could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum VectorsError {
    /// Neither place has the file.
    #[error("no vectors at {full} nor at {copy}", full = full.display(), copy = copy.display())]
    Missing {
        /// Where the full set would be.
        full: PathBuf,
        /// Where the crate's copy would be.
        copy: PathBuf,
    },
    /// The file is there and cannot be read as text.
    #[error("vectors at {path} cannot be read: {reason}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: std::io::Error,
    },
}

/// Loads `relative` (for example `nip44/nip44.vectors.json`) for the crate at `manifest_dir`
/// (`env!("CARGO_MANIFEST_DIR")` of the caller): the full set if it is there, else the crate's copy.
///
/// # Errors
/// [`VectorsError`] when neither is there, or the one found cannot be read.
pub fn load(manifest_dir: &str, relative: &str) -> Result<Vectors, VectorsError> {
    let crate_dir = Path::new(manifest_dir);
    let copy = crate_dir.join("tests/vectors").join(relative);
    let full = workspace_root(crate_dir).join("../shared/vectors").join(relative);
    if full.is_file() {
        read(Source::Full(full))
    } else if copy.is_file() {
        read(Source::Copy(copy))
    } else {
        Err(VectorsError::Missing { full, copy })
    }
}

/// Loads only the copy inside the crate, so that a test can show that it stands alone.
///
/// # Errors
/// [`VectorsError`] when it is not there or cannot be read.
pub fn load_copy(manifest_dir: &str, relative: &str) -> Result<Vectors, VectorsError> {
    let copy = Path::new(manifest_dir).join("tests/vectors").join(relative);
    if copy.is_file() {
        read(Source::Copy(copy))
    } else {
        Err(VectorsError::Missing { full: PathBuf::new(), copy })
    }
}

/// The nearest directory above that holds the lock file of the workspace.
fn workspace_root(crate_dir: &Path) -> &Path {
    crate_dir.ancestors().find(|dir| dir.join("Cargo.lock").is_file()).unwrap_or(crate_dir)
}

fn read(source: Source) -> Result<Vectors, VectorsError> {
    match std::fs::read_to_string(source.path()) {
        Ok(text) => Ok(Vectors { text, source }),
        Err(reason) => Err(VectorsError::Unreadable { path: source.path().to_owned(), reason }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A workspace with one crate and, beside it, the full sets.
    fn house() -> tempfile::TempDir {
        let house = tempfile::tempdir().unwrap();
        for dir in ["ws/crates/a/tests/vectors/x", "shared/vectors/x"] {
            std::fs::create_dir_all(house.path().join(dir)).unwrap();
        }
        std::fs::write(house.path().join("ws/Cargo.lock"), "").unwrap();
        house
    }

    fn load_in(house: &tempfile::TempDir) -> Result<Vectors, VectorsError> {
        load(house.path().join("ws/crates/a").to_str().unwrap(), "x/v.json")
    }

    #[test]
    fn the_full_set_wins_and_the_copy_stands_in() {
        let house = house();
        assert!(matches!(load_in(&house), Err(VectorsError::Missing { .. })));
        std::fs::write(house.path().join("ws/crates/a/tests/vectors/x/v.json"), "few").unwrap();
        let found = load_in(&house).unwrap();
        assert!(matches!((&*found.text, &found.source), ("few", Source::Copy(_))));
        std::fs::write(house.path().join("shared/vectors/x/v.json"), "all").unwrap();
        let found = load_in(&house).unwrap();
        assert!(matches!((&*found.text, &found.source), ("all", Source::Full(_))));
        let copy = load_copy(house.path().join("ws/crates/a").to_str().unwrap(), "x/v.json").unwrap();
        assert_eq!(copy.text, "few");
    }

    #[test]
    fn what_is_there_but_unreadable_is_not_missing() {
        let house = house();
        std::fs::write(house.path().join("shared/vectors/x/v.json"), [0xff, 0xfe]).unwrap();
        assert!(matches!(load_in(&house), Err(VectorsError::Unreadable { .. })));
    }
}
