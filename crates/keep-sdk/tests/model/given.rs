//! An archive that was taken, given again.

use keep_types::Fault;
use keep_vault::{Archive, ArchiveOrigin, ArchivedRecord, GiveArchive};

pub struct Given {
    origin: ArchiveOrigin,
    records: std::vec::IntoIter<ArchivedRecord>,
}

impl From<Archive> for Given {
    fn from(archive: Archive) -> Self {
        let Archive { vault, epoch, revision, head, records, .. } = archive;
        Self { origin: ArchiveOrigin { vault, epoch, revision, head }, records: records.into_iter() }
    }
}

impl GiveArchive for Given {
    fn origin(&self) -> &ArchiveOrigin {
        &self.origin
    }

    fn record(&mut self) -> Result<Option<ArchivedRecord>, Fault> {
        Ok(self.records.next())
    }
}
