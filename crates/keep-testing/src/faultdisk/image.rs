//! What a disk holds after the power has gone.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::log::{FileId, Log, Op};

/// Which of the changes that were not synced have reached the disk. The same tear of the same point is always the
/// same image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tear {
    /// None.
    Nothing,
    /// All, as after a crash of the program alone.
    Everything,
    /// The lengths of the files, but not their content: what was appended reads as zeros.
    Lengths,
    /// Only the newest write to each file: order means nothing to a disk.
    Newest,
    /// Of each file the first few.
    Prefix {
        /// Which choice.
        seed: u64,
    },
    /// Any of them.
    Subset {
        /// Which choice.
        seed: u64,
    },
    /// Any sectors of any of them.
    Sectors {
        /// The length of a sector in bytes.
        size: u64,
        /// Which choice.
        seed: u64,
    },
    /// Any sectors of any of them; some that were in the air when the power went hold noise.
    Noise {
        /// The length of a sector in bytes.
        size: u64,
        /// Which choice.
        seed: u64,
    },
}

impl Tear {
    /// Every kind, with sectors of 512 and 4,096 bytes.
    pub const fn every_kind(seed: u64) -> [Self; 10] {
        [
            Self::Nothing,
            Self::Everything,
            Self::Lengths,
            Self::Newest,
            Self::Prefix { seed },
            Self::Subset { seed },
            Self::Sectors { size: 512, seed },
            Self::Sectors { size: 4_096, seed },
            Self::Noise { size: 512, seed },
            Self::Noise { size: 4_096, seed },
        ]
    }

    const fn seed(self) -> u64 {
        match self {
            Self::Nothing | Self::Everything | Self::Lengths | Self::Newest => 0,
            Self::Prefix { seed }
            | Self::Subset { seed }
            | Self::Sectors { seed, .. }
            | Self::Noise { seed, .. } => seed,
        }
    }
}

/// The files of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Image {
    files: BTreeMap<String, Vec<u8>>,
}

impl Image {
    /// The files by name.
    pub fn files(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.files
    }

    /// Writes the files into a directory.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn write_to(&self, dir: &Path) -> io::Result<()> {
        self.files.iter().try_for_each(|(name, bytes)| std::fs::write(dir.join(name), bytes))
    }
}

/// A walk through a log, from one point at which the power could have gone to the next.
#[derive(Debug)]
pub struct Replay<'l> {
    log: &'l Log,
    position: usize,
    files: BTreeMap<FileId, File>,
    safe_names: BTreeMap<String, FileId>,
    names_in_the_air: Vec<(String, Option<FileId>)>,
}

#[derive(Debug, Default, Clone)]
struct File {
    safe: Vec<u8>,
    in_the_air: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Write { at: u64, bytes: std::sync::Arc<[u8]> },
    Truncate { len: u64 },
}

impl<'l> Replay<'l> {
    /// Before the first operation.
    pub fn new(log: &'l Log) -> Self {
        Self {
            log,
            position: 0,
            files: BTreeMap::new(),
            safe_names: BTreeMap::new(),
            names_in_the_air: Vec::new(),
        }
    }

    /// How many operations have been done.
    pub fn position(&self) -> usize {
        self.position
    }

    /// The operation that comes next.
    pub fn next_op(&self) -> Option<&'l Op> {
        self.log.ops.get(self.position)
    }

    /// Does the next operation; `false` at the end of the log.
    pub fn step(&mut self) -> bool {
        let Some(op) = self.next_op() else { return false };
        self.position += 1;
        match op {
            Op::Found { file, name, bytes } => {
                self.files.insert(*file, File { safe: bytes.to_vec(), in_the_air: Vec::new() });
                self.safe_names.insert(name.clone(), *file);
            }
            Op::Created { file, name } => {
                self.files.insert(*file, File::default());
                self.names_in_the_air.push((name.clone(), Some(*file)));
            }
            Op::Wrote { file, at, bytes } => {
                self.change(*file, Change::Write { at: *at, bytes: bytes.clone() })
            }
            Op::Truncated { file, len } => self.change(*file, Change::Truncate { len: *len }),
            Op::Synced { file } => {
                let file = self.files.entry(*file).or_default();
                for change in std::mem::take(&mut file.in_the_air) {
                    change.apply(&mut file.safe);
                }
            }
            Op::Deleted { name } => self.names_in_the_air.push((name.clone(), None)),
            Op::DirectorySynced => {
                for (name, file) in std::mem::take(&mut self.names_in_the_air) {
                    rename(&mut self.safe_names, &name, file);
                }
            }
        }
        true
    }

    /// What the disk could hold if the power went now.
    pub fn image(&self, tear: Tear) -> Image {
        let mut dice = Dice(tear.seed() ^ (self.position as u64) << 20);
        let mut names = self.safe_names.clone();
        let kept = match tear {
            Tear::Nothing => 0,
            Tear::Everything | Tear::Lengths | Tear::Newest => self.names_in_the_air.len(),
            // A directory keeps its changes in order: file systems log them.
            Tear::Prefix { .. } | Tear::Subset { .. } | Tear::Sectors { .. } | Tear::Noise { .. } => {
                dice.below(self.names_in_the_air.len() + 1)
            }
        };
        for (name, file) in &self.names_in_the_air[..kept] {
            rename(&mut names, name, *file);
        }
        let files = names.into_iter().map(|(name, file)| {
            let file = self.files.get(&file).cloned().unwrap_or_default();
            (name, file.torn(tear, &mut dice))
        });
        Image { files: files.collect() }
    }

    fn change(&mut self, file: FileId, change: Change) {
        self.files.entry(file).or_default().in_the_air.push(change);
    }
}

fn rename(names: &mut BTreeMap<String, FileId>, name: &str, file: Option<FileId>) {
    match file {
        Some(file) => names.insert(name.to_owned(), file),
        None => names.remove(name),
    };
}

impl File {
    fn torn(self, tear: Tear, dice: &mut Dice) -> Vec<u8> {
        let Self { mut safe, in_the_air } = self;
        let count = in_the_air.len();
        let prefix = dice.below(count + 1);
        for (n, change) in in_the_air.into_iter().enumerate() {
            let kept = match tear {
                Tear::Nothing => false,
                Tear::Everything => true,
                Tear::Lengths => {
                    change.apply_length(&mut safe);
                    false
                }
                Tear::Newest => n + 1 == count,
                Tear::Prefix { .. } => n < prefix,
                Tear::Subset { .. } => dice.coin(),
                Tear::Sectors { size, .. } => {
                    change.apply_sectors(&mut safe, size, dice, false);
                    false
                }
                Tear::Noise { size, .. } => {
                    change.apply_sectors(&mut safe, size, dice, true);
                    false
                }
            };
            if kept {
                change.apply(&mut safe);
            }
        }
        safe
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { at, bytes } => overwrite(content, *at as usize, bytes),
            Self::Truncate { len } => content.resize(*len as usize, 0),
        }
    }

    fn apply_length(&self, content: &mut Vec<u8>) {
        let len = match self {
            Self::Write { at, bytes } => content.len().max(*at as usize + bytes.len()),
            Self::Truncate { len } => *len as usize,
        };
        content.resize(len, 0);
    }

    /// Applies each sector of a write or not, as the dice fall.
    fn apply_sectors(&self, content: &mut Vec<u8>, size: u64, dice: &mut Dice, noise: bool) {
        let Self::Write { at, bytes } = self else {
            if dice.coin() {
                self.apply(content);
            }
            return;
        };
        let (mut at, mut rest) = (*at, &bytes[..]);
        while !rest.is_empty() {
            let (sector, others) = rest.split_at(rest.len().min((size - at % size) as usize));
            if dice.coin() {
                overwrite(content, at as usize, sector);
            } else if noise && dice.coin() {
                let noise: Vec<u8> = sector.iter().map(|_| dice.next() as u8).collect();
                overwrite(content, at as usize, &noise);
            }
            at += sector.len() as u64;
            rest = others;
        }
    }
}

/// Writes `bytes` at `at`; a gap before them reads as zeros.
fn overwrite(content: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[at..end].copy_from_slice(bytes);
}

/// Numbers that look random and are the same in every run (SplitMix64).
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn coin(&mut self) -> bool {
        self.next() & 1 == 1
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: FileId = FileId(0);
    const B: FileId = FileId(1);

    fn wrote(file: FileId, at: u64, bytes: &[u8]) -> Op {
        Op::Wrote { file, at, bytes: bytes.into() }
    }

    fn found(bytes: &[u8]) -> Op {
        Op::Found { file: A, name: "a".into(), bytes: bytes.into() }
    }

    /// The images of one tear after each operation, as text.
    fn images(ops: &[Op], tear: Tear) -> Vec<String> {
        let log = Log { ops: ops.to_vec() };
        let mut replay = Replay::new(&log);
        let mut images = Vec::new();
        while replay.step() {
            let image = replay.image(tear);
            let files = image
                .files()
                .iter()
                .map(|(name, bytes)| format!("{name}={}", String::from_utf8_lossy(bytes).replace('\0', ".")));
            images.push(files.collect::<Vec<_>>().join(" "));
        }
        images
    }

    #[test]
    fn what_is_synced_stays_and_the_rest_depends() {
        let ops = [
            found(b"old"),
            wrote(A, 0, b"NEW"),
            Op::Synced { file: A },
            wrote(A, 3, b"++"),
            wrote(A, 7, b"-"),
        ];
        assert_eq!(images(&ops, Tear::Nothing), ["a=old", "a=old", "a=NEW", "a=NEW", "a=NEW"]);
        assert_eq!(images(&ops, Tear::Everything), ["a=old", "a=NEW", "a=NEW", "a=NEW++", "a=NEW++..-"]);
        assert_eq!(images(&ops, Tear::Lengths), ["a=old", "a=old", "a=NEW", "a=NEW..", "a=NEW....."]);
        assert_eq!(images(&ops, Tear::Newest)[4], "a=NEW....-");
    }

    #[test]
    fn names_are_as_fragile_as_content() {
        let ops = [
            found(b"x"),
            Op::Created { file: B, name: "b".into() },
            wrote(B, 0, b"y"),
            Op::Synced { file: B },
            Op::DirectorySynced,
            Op::Deleted { name: "a".into() },
            Op::DirectorySynced,
        ];
        assert_eq!(images(&ops, Tear::Nothing), ["a=x", "a=x", "a=x", "a=x", "a=x b=y", "a=x b=y", "b=y"]);
        assert_eq!(
            images(&ops, Tear::Everything),
            ["a=x", "a=x b=", "a=x b=y", "a=x b=y", "a=x b=y", "b=y", "b=y"]
        );
    }

    #[test]
    fn every_choice_occurs_and_none_invents_anything() {
        let ops = [found(b"aaaa"), wrote(A, 0, b"bb"), wrote(A, 2, b"cc")];
        let seen = |tear: fn(u64) -> Tear| {
            let mut seen: Vec<String> = (0..64).map(|seed| images(&ops, tear(seed)).swap_remove(2)).collect();
            seen.sort();
            seen.dedup();
            seen
        };
        assert_eq!(seen(|seed| Tear::Prefix { seed }), ["a=aaaa", "a=bbaa", "a=bbcc"]);
        assert_eq!(seen(|seed| Tear::Subset { seed }), ["a=aaaa", "a=aacc", "a=bbaa", "a=bbcc"]);
        let torn = seen(|seed| Tear::Sectors { size: 1, seed });
        assert!(torn.len() >= 12 && torn.contains(&"a=abca".into()), "{torn:?}");
        assert!(seen(|seed| Tear::Noise { size: 2, seed }).len() > 8);
    }

    #[test]
    fn the_same_tear_is_the_same_image() {
        let ops = [found(&[0; 5_000]), wrote(A, 100, &[1; 4_000])];
        for tear in Tear::every_kind(7) {
            assert_eq!(images(&ops, tear), images(&ops, tear));
        }
    }

    #[test]
    fn a_log_without_syncs_saves_nothing() {
        let log =
            Log { ops: vec![found(b"old"), wrote(A, 0, b"NEW"), Op::Synced { file: A }] }.without_syncs();
        assert_eq!(images(&log.ops, Tear::Nothing), ["a=old", "a=old"]);
    }
}
