//! What a co-signer proposed, and nobody here was asked about: it needs the member's grant.

use keep_policy::{Proposed, SpendLimits, Ungranted};
use keep_types::{Fault, Intent, Request};
use keep_vault::{GroupRecord, Tx, VaultError};

/// A grant that covers a request, and is counted when the request is allowed.
pub(crate) struct Cosigner {
    record: GroupRecord,
    member: u16,
}

impl Cosigner {
    /// Looks for the grant. `None` when the owner decides, an error inside when there is no grant that covers it.
    pub(crate) fn open(
        tx: &mut Tx<'_, '_>,
        request: &Request,
        limits: Option<&SpendLimits>,
    ) -> Result<Result<Option<Self>, Fault>, VaultError> {
        let Intent::Group(usage) = &request.intent else { return Ok(Ok(None)) };
        let Some(member) = usage.proposed_by() else { return Ok(Ok(None)) };
        let record: GroupRecord = tx.get(&GroupRecord::place(request.key))?.ok_or(VaultError::NoSuchKey)?;
        let Some(proposed) = Proposed::of(usage, limits) else {
            return Ok(Err(Ungranted::Nothing(member).into()));
        };
        match record.judge_cosigner(member, proposed, tx.vault(), tx.now()) {
            Ok(()) => Ok(Ok(Some(Self { record, member }))),
            Err(why) => Ok(Err(why.into())),
        }
    }

    /// Counts the use.
    pub(crate) fn count(self, tx: &mut Tx<'_, '_>) -> Result<(), VaultError> {
        self.record.count_cosigner(tx, self.member)
    }
}
