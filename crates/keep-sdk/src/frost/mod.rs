//! Threshold keys: made, split, moved, renewed, repaired, and used to sign.

mod among_vaults;
mod cosigners;
mod documents;
mod groups;
mod lookup;
mod psbt;
mod psbt_session;
mod renew;
mod session;
mod shares;
mod sign;
mod sort_round;
mod texts;
mod verify;
mod views;

use keep_policy::SpendLimits;
use keep_types::{Event, EventTemplate, Fault, Name, SecretText};

use crate::Keep;
use crate::bitcoin::{GetLimits, LimitedKey, LimitsView, SetLimits, SignedPsbtView};

pub(crate) use lookup::group as find_group;

pub(crate) use cosigners::{GrantCosigner, RevokeCosigner};
pub(crate) use groups::{Confirm, DeleteShare, Find, Generate, List, Split};
pub(crate) use psbt::{AnalyzePsbt, SignPsbt};
pub(crate) use psbt_session::{ContributePsbt, FinishPsbt, JoinPsbt, MakePsbtPackage, ProposePsbt};
pub(crate) use renew::{
    InspectPlan, Refresh, RefreshStep, Repair, RepairOwn, RepairStep, RotateDevice, TakeDevices,
};
pub(crate) use session::{
    Contribute, Finish, FinishEvent, FinishRelease, Inspect, Join, MakePackage, Propose,
};
pub(crate) use shares::{ExportGroup, ExportShare, Import, Recover};
pub(crate) use sign::{Sign, SignEvent, SignFile};

pub use cosigners::{CosignerTerms, CosignerView};
pub use keep_frost::Suite;
pub use psbt::{GroupSpendView, PsbtToSign};
pub use renew::PlanView;
pub use session::OwnRelease;
pub use shares::{ImportOptions, PublicGroupView, ShareForm};
pub use sign::{GroupKey, ToSign};
pub(crate) use sort_round::SortRound;
pub use sort_round::{Expected, Round, RoundSorted};
pub use verify::{
    PublicInput, VerifiedView, hash_file, is_legacy_signature, minisign_key_file, verify_file,
    verify_legacy_file, verify_message,
};
pub use views::{
    DeviceView, GroupView, ImportView, MemberView, ProposalView, RecoveredKey, ReleaseView, RoundView,
    ShareView, SignatureView, SkippedView, SplitView, StepMessage, StepView, StopView,
};

/// Threshold keys of a vault. A group is meant by its name, its npub or its public key in hexadecimal; without one, it is
/// the only group there is.
#[derive(Debug, Clone)]
pub struct Frost {
    keep: Keep,
}

fn owned(group: Option<&str>) -> Option<String> {
    group.map(str::to_owned)
}

impl Frost {
    pub(crate) const fn new(keep: Keep) -> Self {
        Self { keep }
    }

    /// Makes a fresh key and shares it out; all shares are in this vault then. Whoever makes it so has known the whole
    /// key.
    ///
    /// # Errors
    /// When threshold and number of shares do not fit, or the name is taken.
    pub fn generate(
        &self,
        name: Option<Name>,
        suite: Suite,
        threshold: u16,
        shares: u16,
    ) -> Result<GroupView, Fault> {
        self.keep.call(Generate { name, suite, threshold, shares })
    }

    /// Splits a key of the vault. Unless it is kept, the original is deleted once every share was read back and has
    /// signed.
    ///
    /// # Errors
    /// As [`generate`](Self::generate); when the key is not there or was split already.
    pub fn split(
        &self,
        key: Option<&str>,
        name: Option<Name>,
        threshold: u16,
        shares: u16,
        keep_original: bool,
    ) -> Result<SplitView, Fault> {
        self.keep.call(Split { key: owned(key), name, threshold, shares, keep_original })
    }

    /// Every group, by name.
    ///
    /// # Errors
    /// When the vault cannot be read.
    pub fn list(&self) -> Result<Vec<GroupView>, Fault> {
        self.keep.call(List {})
    }

    /// The group that is meant.
    ///
    /// # Errors
    /// When there is none, or several and none is named.
    pub fn find(&self, group: Option<&str>) -> Result<GroupView, Fault> {
        self.keep.call(Find { selector: owned(group) })
    }

    /// Deletes a share for good.
    ///
    /// # Errors
    /// When it is not here; while a renewal that was certified here is not done.
    pub fn delete_share(&self, group: Option<&str>, index: u16) -> Result<GroupView, Fault> {
        self.keep.call(DeleteShare { group: owned(group), index, abandon: false })
    }

    /// As [`delete_share`](Self::delete_share), also while a renewal that was certified here is not done. What the member has of
    /// it is gone with the share; others may go over to its end all the same.
    ///
    /// # Errors
    /// When it is not here.
    pub fn delete_share_abandoning(&self, group: Option<&str>, index: u16) -> Result<GroupView, Fault> {
        self.keep.call(DeleteShare { group: owned(group), index, abandon: true })
    }

    /// Gives a member in another vault a standing grant: what it proposes within it is signed although nobody is asked.
    ///
    /// # Errors
    /// When there is no such member, or it would allow nothing, or transactions without limits.
    pub fn grant_cosigner(&self, group: Option<&str>, terms: CosignerTerms) -> Result<GroupView, Fault> {
        self.keep.call(GrantCosigner { group: owned(group), terms })
    }

    /// Takes a member's grant away.
    ///
    /// # Errors
    /// When it has none.
    pub fn revoke_cosigner(&self, group: Option<&str>, member: u16) -> Result<GroupView, Fault> {
        self.keep.call(RevokeCosigner { group: owned(group), member })
    }

    /// Says that shares which came from a backup are the group's present ones.
    ///
    /// # Errors
    /// When the vault cannot be written.
    pub fn confirm(&self, group: Option<&str>) -> Result<GroupView, Fault> {
        self.keep.call(Confirm { group: owned(group) })
    }

    /// Hands a share out, sealed under a passphrase of its own. `cost` is a cheaper key derivation for tests: memory in
    /// KiB, passes, lanes.
    ///
    /// # Errors
    /// When the share is not here, or the record cannot be written.
    pub fn export_share(
        &self,
        group: Option<&str>,
        index: u16,
        form: ShareForm,
        passphrase: &SecretText,
        cost: Option<(u32, u8, u8)>,
    ) -> Result<ShareView, Fault> {
        let passphrase = SecretText::new(passphrase.expose().to_owned());
        self.keep.call(ExportShare { group: owned(group), index, form, passphrase, cost })
    }

    /// What is public about a group, for a vault that has none of its shares.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn export_group(&self, group: Option<&str>) -> Result<PublicGroupView, Fault> {
        self.keep.call(ExportGroup { group: owned(group) })
    }

    /// Whether a text to be imported needs a passphrase.
    pub fn needs_passphrase(text: &SecretText) -> bool {
        Import::needs_passphrase(text)
    }

    /// Brings shares in: `kshare1…`, its JSON, `bfgroup1…` with `bfshare1…`, key packages, BIP-445 key material; several
    /// in one text. What shares of a group that is here already may change, `accept` says.
    ///
    /// # Errors
    /// When a share is damaged, of another group or epoch, or the passphrase is wrong; when nothing proves that shares of
    /// a later epoch are the group's, or they bring device keys that are not known here; while another renewal that was
    /// certified here is not done.
    pub fn import(
        &self,
        text: SecretText,
        passphrase: Option<SecretText>,
        name: Option<Name>,
        accept: ImportOptions,
    ) -> Result<ImportView, Fault> {
        self.keep.call(Import { text, passphrase, name, accept })
    }

    /// The whole secret key, from the shares that are here. Whoever sees it can sign alone.
    ///
    /// # Errors
    /// When there are too few shares, or the record cannot be written.
    pub fn recover(&self, group: Option<&str>) -> Result<RecoveredKey, Fault> {
        self.keep.call(Recover { group: owned(group) })
    }

    /// Signs with shares that are here: those of `signers`, or as many as are needed.
    ///
    /// # Errors
    /// When there are too few, the group may not sign, or the record cannot be written.
    pub fn sign(
        &self,
        group: Option<&str>,
        what: ToSign,
        key: GroupKey,
        signers: Vec<u16>,
    ) -> Result<SignatureView, Fault> {
        self.keep.call(Sign { group: owned(group), what, key, signers })
    }

    /// Signs a Nostr event (NIP-01) in the group's name.
    ///
    /// # Errors
    /// As [`sign`](Self::sign).
    pub fn sign_event(&self, group: Option<&str>, template: EventTemplate) -> Result<Event, Fault> {
        Ok(self.keep.call(SignEvent { group: owned(group), template })?.0)
    }

    /// The owner's limits on what a group spends.
    ///
    /// # Errors
    /// As [`find`](Self::find); for a group that has no coins.
    pub fn limits(&self, group: Option<&str>) -> Result<LimitsView, Fault> {
        self.keep.call(GetLimits { of: LimitedKey::Group(owned(group)) })
    }

    /// Sets the owner's limits on what a group spends. They hold in this vault, for everybody who signs with its shares, the
    /// owner included; where there are any, 32 raw bytes are signed no more, for they may be a transaction.
    ///
    /// # Errors
    /// As [`limits`](Self::limits); for what is no address and no window.
    pub fn set_limits(&self, group: Option<&str>, limits: SpendLimits) -> Result<LimitsView, Fault> {
        self.keep.call(SetLimits { of: LimitedKey::Group(owned(group)), limits })
    }

    /// Signs every input of a PSBT that spends from `tr(XPUB/<0;1>/*)` with the group's xpub. What is signed is computed
    /// from the decoded transaction, its dangers are refused, and the owner's limits on the group hold.
    ///
    /// # Errors
    /// As [`sign`](Self::sign); the dangers of the transaction; when nothing in it is the group's, or a limit is reached.
    pub fn sign_psbt(
        &self,
        psbt: PsbtToSign,
        finalize: bool,
        signers: Vec<u16>,
    ) -> Result<SignedPsbtView, Fault> {
        self.keep.call(SignPsbt { psbt, finalize, signers })
    }

    /// What a transaction would do to the group; with a proposal, whose it is, and that it is about this very transaction.
    ///
    /// # Errors
    /// The dangers of the transaction; when nothing in it is the group's; when the proposal is about another one.
    pub fn analyze_psbt(&self, psbt: PsbtToSign, proposal: Option<&str>) -> Result<GroupSpendView, Fault> {
        self.keep.call(AnalyzePsbt { psbt, proposal: proposal.map(str::to_owned) })
    }

    /// Proposes to sign a transaction together with others, who have it too; the first message is the proposal, the others
    /// commitments.
    ///
    /// # Errors
    /// As [`propose`](Self::propose) and [`sign_psbt`](Self::sign_psbt).
    pub fn propose_psbt(&self, psbt: PsbtToSign, signers: Vec<u16>) -> Result<RoundView, Fault> {
        self.keep.call(ProposePsbt { psbt, signers })
    }

    /// Commits to a proposal about one's own transaction.
    ///
    /// # Errors
    /// As [`analyze_psbt`](Self::analyze_psbt).
    pub fn join_psbt(&self, psbt: PsbtToSign, proposal: &str, signers: Vec<u16>) -> Result<RoundView, Fault> {
        self.keep.call(JoinPsbt { psbt, proposal: proposal.to_owned(), signers })
    }

    /// As [`package`](Self::package), for a transaction.
    ///
    /// # Errors
    /// As [`package`](Self::package).
    pub fn package_psbt(
        &self,
        group: Option<&str>,
        proposal: &str,
        commitments: &[String],
    ) -> Result<RoundView, Fault> {
        let (proposal, commitments) = (proposal.to_owned(), commitments.to_vec());
        self.keep.call(MakePsbtPackage { group: owned(group), proposal, commitments })
    }

    /// As [`contribute`](Self::contribute), for a transaction: it is judged once, within the owner's limits on the group in
    /// this vault.
    ///
    /// # Errors
    /// As [`contribute`](Self::contribute) and [`sign_psbt`](Self::sign_psbt).
    pub fn contribute_psbt(
        &self,
        psbt: PsbtToSign,
        proposal: &str,
        package: &str,
        own: &[String],
    ) -> Result<RoundView, Fault> {
        let (proposal, package, own) = (proposal.to_owned(), package.to_owned(), own.to_vec());
        self.keep.call(ContributePsbt { psbt, proposal, package, own, granted: false })
    }

    /// As [`contribute_psbt`](Self::contribute_psbt) where nobody was asked, by the grant of the member who proposes it.
    ///
    /// # Errors
    /// As [`contribute_psbt`](Self::contribute_psbt); when there is no grant that covers it.
    pub fn contribute_psbt_granted(
        &self,
        psbt: PsbtToSign,
        proposal: &str,
        package: &str,
        own: &[String],
    ) -> Result<RoundView, Fault> {
        let (proposal, package, own) = (proposal.to_owned(), package.to_owned(), own.to_vec());
        self.keep.call(ContributePsbt { psbt, proposal, package, own, granted: true })
    }

    /// As [`finish`](Self::finish), for a transaction.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub fn finish_psbt(
        &self,
        psbt: PsbtToSign,
        finalize: bool,
        proposal: &str,
        commitments: &[String],
        shares: &[String],
    ) -> Result<SignedPsbtView, Fault> {
        let (commitments, shares) = (commitments.to_vec(), shares.to_vec());
        self.keep.call(FinishPsbt { psbt, proposal: proposal.to_owned(), commitments, shares, finalize })
    }

    /// Signs a file by its BLAKE2b-512 (see [`hash_file`]), in the format of minisign.
    ///
    /// # Errors
    /// As [`sign`](Self::sign); when a comment is too long or not printable.
    pub fn sign_file(
        &self,
        group: Option<&str>,
        release: OwnRelease,
        comment: Option<String>,
    ) -> Result<ReleaseView, Fault> {
        let OwnRelease { digest, trusted_comment } = release;
        self.keep.call(SignFile { group: owned(group), digest, trusted_comment, comment })
    }

    /// Proposes to sign together with others; the first message is the proposal, the others commitments.
    ///
    /// # Errors
    /// When this vault has no share, or the group has no roster.
    pub fn propose(
        &self,
        group: Option<&str>,
        what: ToSign,
        key: GroupKey,
        signers: Vec<u16>,
    ) -> Result<RoundView, Fault> {
        self.keep.call(Propose { group: owned(group), what, key, signers })
    }

    /// Reads a proposal without committing to anything.
    ///
    /// # Errors
    /// When it is damaged, not of a member's device, or about another group or epoch.
    pub fn inspect(&self, group: Option<&str>, proposal: &str) -> Result<ProposalView, Fault> {
        self.keep.call(Inspect { group: owned(group), proposal: proposal.to_owned() })
    }

    /// Commits to a proposal. The nonces wait in the memory of the process that holds the vault.
    ///
    /// # Errors
    /// As [`inspect`](Self::inspect); for a release, when it is not about one's own file and comment.
    pub fn join(
        &self,
        group: Option<&str>,
        proposal: &str,
        release: Option<OwnRelease>,
        signers: Vec<u16>,
    ) -> Result<RoundView, Fault> {
        self.keep.call(Join { group: owned(group), proposal: proposal.to_owned(), release, signers })
    }

    /// Fixes the signers, once enough have committed.
    ///
    /// # Errors
    /// When a commitment is not its member's, or of another session.
    pub fn package(
        &self,
        group: Option<&str>,
        proposal: &str,
        commitments: &[String],
    ) -> Result<RoundView, Fault> {
        let (proposal, commitments) = (proposal.to_owned(), commitments.to_vec());
        self.keep.call(MakePackage { group: owned(group), proposal, commitments })
    }

    /// Round 2: the signature shares of the shares that are here. `own` are this side's own commitments.
    ///
    /// # Errors
    /// When the nonces are gone or were used, the package is of another session, or the record cannot be written.
    pub fn contribute(
        &self,
        group: Option<&str>,
        proposal: &str,
        package: &str,
        own: &[String],
    ) -> Result<RoundView, Fault> {
        let (proposal, package, own) = (proposal.to_owned(), package.to_owned(), own.to_vec());
        self.keep.call(Contribute { group: owned(group), proposal, package, own, granted: false })
    }

    /// As [`contribute`](Self::contribute) where nobody was asked, by the grant of the member who proposes it.
    ///
    /// # Errors
    /// As [`contribute`](Self::contribute); when there is no grant that covers it.
    pub fn contribute_granted(
        &self,
        group: Option<&str>,
        proposal: &str,
        package: &str,
        own: &[String],
    ) -> Result<RoundView, Fault> {
        let (proposal, package, own) = (proposal.to_owned(), package.to_owned(), own.to_vec());
        self.keep.call(Contribute { group: owned(group), proposal, package, own, granted: true })
    }

    /// Makes the signature of all signature shares.
    ///
    /// # Errors
    /// When shares are missing or wrong; the members that sent wrong ones are named.
    pub fn finish(
        &self,
        group: Option<&str>,
        proposal: &str,
        commitments: &[String],
        shares: &[String],
    ) -> Result<SignatureView, Fault> {
        self.keep.call(to_finish(group, proposal, commitments, shares))
    }

    /// As [`finish`](Self::finish), for an event.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub fn finish_event(
        &self,
        group: Option<&str>,
        proposal: &str,
        commitments: &[String],
        shares: &[String],
    ) -> Result<Event, Fault> {
        let finish = to_finish(group, proposal, commitments, shares);
        Ok(self.keep.call(FinishEvent { finish })?.0)
    }

    /// Which of these texts are messages of a round of a signing session, and who has sent them. Nothing is done with them.
    ///
    /// # Errors
    /// When the group is not known, or what is `expected` is no message itself.
    pub fn sort_round(
        &self,
        group: Option<&str>,
        round: Round,
        expected: Expected,
        texts: Vec<String>,
    ) -> Result<RoundSorted, Fault> {
        self.keep.call(SortRound { group: owned(group), round, expected, texts })
    }

    /// Puts the two signatures of a release together.
    ///
    /// # Errors
    /// When one does not verify.
    pub fn finish_release(
        &self,
        group: Option<&str>,
        release: OwnRelease,
        comment: Option<String>,
        signature: String,
        global: String,
    ) -> Result<ReleaseView, Fault> {
        self.keep.call(FinishRelease { group: owned(group), release, comment, signature, global })
    }

    /// Renews all shares at once, where all that are kept are here.
    ///
    /// # Errors
    /// When a kept share is elsewhere, or fewer than the threshold are kept; while a renewal among vaults that was certified
    /// here is not done.
    pub fn refresh(&self, group: Option<&str>, drop: Vec<u16>) -> Result<GroupView, Fault> {
        self.keep.call(Refresh { group: owned(group), drop, abandon: false })
    }

    /// As [`refresh`](Self::refresh), giving up every renewal among vaults that is under way here. Others may go over to its end
    /// all the same, and their shares do not sign with those that are here then.
    ///
    /// # Errors
    /// As [`refresh`](Self::refresh).
    pub fn refresh_abandoning(&self, group: Option<&str>, drop: Vec<u16>) -> Result<GroupView, Fault> {
        self.keep.call(Refresh { group: owned(group), drop, abandon: true })
    }
}

fn to_finish(group: Option<&str>, proposal: &str, commitments: &[String], shares: &[String]) -> Finish {
    Finish {
        group: owned(group),
        proposal: proposal.to_owned(),
        commitments: commitments.to_vec(),
        shares: shares.to_vec(),
    }
}
