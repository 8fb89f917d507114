//! What the owner chose when unlocking or locking last: a program that starts the daemon again must not undo it.
//!
//! It lies in the vault that it is about, so that nothing outside tells of a hidden one.

use keep_audit::{Action, Draft, Outcome};
use keep_types::{Collection, ErrorCode, Fault, Origin, Record, RecordId};
use keep_vault::{Addition, Tx, VaultError};
use minicbor::{Decode, Encode};

use crate::call::Host;

/// The only record of its kind in a vault. Without one nothing was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Choice {
    /// Whether each use of a key is asked about.
    #[n(0)]
    pub confirm: bool,
    /// Whether the owner locked the vault by hand, and nobody but the owner unlocks it again.
    #[n(1)]
    pub locked: bool,
}

impl Record for Choice {
    const COLLECTION: Collection = Collection::Settings;
}

impl Choice {
    /// Where it lies.
    pub const PLACE: RecordId = RecordId::from_bytes([0; 16]);

    /// What was chosen last. In a vault that something else than Keep changed, a choice that is gone or older than it was may have
    /// been any: there it is taken as locked, and as asking about each use.
    ///
    /// # Errors
    /// When the vault cannot be read.
    pub fn read(host: &Host) -> Result<Self, Fault> {
        let recorded = Self::recorded(host)?;
        // Looked at afterwards: reading finds rows that do not open.
        Ok(if host.vault().integrity().is_intact() { recorded } else { Self::CAREFUL })
    }

    /// What is right whatever was chosen.
    pub const CAREFUL: Self = Self { confirm: true, locked: true };

    fn recorded(host: &Host) -> Result<Self, Fault> {
        let found = host.vault().all::<Self>()?;
        Ok(found
            .into_iter()
            .find(|(place, _)| *place == Self::PLACE)
            .map(|(_, choice)| choice)
            .unwrap_or_default())
    }

    /// Changes it. Durable when this returns; what stays as it was is not written.
    ///
    /// # Errors
    /// When the vault cannot be read or written.
    pub fn change(host: &Host, change: impl Fn(&mut Self) + Send + 'static) -> Result<(), Fault> {
        let known = Self::recorded(host)?;
        let mut wanted = known;
        change(&mut wanted);
        if wanted == known {
            return Ok(());
        }
        host.vault().submit(move |tx| Self::change_in(tx, change)).wait()?;
        Ok(())
    }

    /// As [`change`](Self::change), as a part of a job.
    pub fn change_in(tx: &mut Tx<'_, '_>, change: impl Fn(&mut Self)) -> Result<(), VaultError> {
        let known = tx.get::<Self>(&Self::PLACE)?.unwrap_or_default();
        let mut wanted = known;
        change(&mut wanted);
        if wanted != known {
            tx.put(Self::PLACE, &wanted)?;
        }
        Ok(())
    }
}

/// Whatever was chosen, only the owner unlocks the vault, and each use is asked about: as a part of a job.
pub(crate) fn be_careful(tx: &mut Tx<'_, '_>) -> Result<(), VaultError> {
    tx.put(Choice::PLACE, &Choice::CAREFUL)
}

/// The same, as a part of another commit.
pub(crate) fn careful() -> Result<Addition, VaultError> {
    Addition::at(Choice::PLACE, &Choice::CAREFUL)
}

/// Records that a program wanted to unlock what its owner had locked.
///
/// # Errors
/// When the vault cannot be written.
pub(super) fn record_refusal(host: &Host) -> Result<(), Fault> {
    let entry = Draft::new(Action::SessionOpened, Outcome::Refused, &Origin::Cli);
    host.record(entry.reason("the owner locked it by hand"))
}

/// Whether a program may still unlock what its owner may have locked meanwhile.
///
/// # Errors
/// [`ErrorCode::Locked`] if not; [`ErrorCode::Integrity`] where it cannot be known.
pub(super) fn expect_wanted(host: &Host) -> Result<Choice, Fault> {
    let chosen = Choice::read(host)?;
    if !host.vault().integrity().is_intact() {
        let message = "this vault was changed by something else than Keep, and only the owner unlocks it";
        return Err(Fault::new(ErrorCode::Integrity, message)
            .with_hint("`keep doctor` says what is wrong; run `keep unlock`, then try again"));
    }
    if chosen.locked { Err(locked_by_hand()) } else { Ok(chosen) }
}

/// What such a program is told.
pub(super) fn locked_by_hand() -> Fault {
    Fault::new(ErrorCode::Locked, "the owner locked this vault, and only the owner unlocks it again")
        .with_hint("run `keep unlock`, then try again")
}
