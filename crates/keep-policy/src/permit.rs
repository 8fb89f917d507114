//! The permit: what a secret is used for, once.

use keep_types::{GroupSign, GroupUse, Intent, JobId, KeyId, Origin, Request, RequestId};

use crate::PlaintextClasses;

/// Permission for one use of one secret. It owns the intent that was judged, so nothing else can be done with it, and
/// it is consumed by the use.
///
/// Only [`judge`](crate::judge) makes one:
///
/// ```compile_fail
/// # fn forge(request: keep_types::Request) -> keep_policy::Permit {
/// let (job, releases) = (keep_types::JobId::fresh(), keep_policy::PlaintextClasses::ALL);
/// keep_policy::Permit { request, job, repeat: false, releases }
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a permit that is not used was counted for nothing"]
pub struct Permit {
    request: Request,
    job: JobId,
    repeat: bool,
    releases: PlaintextClasses,
}

impl Permit {
    pub(crate) const fn new(request: Request, job: JobId, repeat: bool) -> Self {
        Self { request, job, repeat, releases: PlaintextClasses::ALL }
    }

    /// The same, for plaintexts of these classes only.
    pub(crate) const fn releasing(mut self, releases: PlaintextClasses) -> Self {
        self.releases = releases;
        self
    }

    /// Which plaintexts may be released, where this decrypts.
    pub const fn releases(&self) -> PlaintextClasses {
        self.releases
    }

    /// What makes the request the same request when it is repeated.
    pub const fn request_id(&self) -> &RequestId {
        &self.request.id
    }

    /// The pass through the write path under which this was judged.
    pub const fn job(&self) -> JobId {
        self.job
    }

    /// Who asked.
    pub const fn origin(&self) -> &Origin {
        &self.request.origin
    }

    /// Which key is to be used.
    pub const fn key(&self) -> KeyId {
        self.request.key
    }

    /// What for.
    pub const fn intent(&self) -> &Intent {
        &self.request.intent
    }

    /// Whether the same use was allowed and counted before.
    pub const fn is_repeat(&self) -> bool {
        self.repeat
    }

    /// Whether the record of this use must be durable before the secret is touched, not only before the result leaves.
    pub fn record_first(&self) -> bool {
        match &self.request.intent {
            Intent::Export | Intent::ExportMnemonic | Intent::RevealSecret | Intent::Backup => true,
            // A whole signature waits for its record as any other. Everything else that is done with shares changes the
            // vault, or gives others a part of a signature.
            Intent::Group(usage) => !matches!(&**usage, GroupUse::Sign(GroupSign { package: None, .. })),
            Intent::GetPublicKey
            | Intent::SignEvent(_)
            | Intent::Encrypt { .. }
            | Intent::Decrypt { .. }
            | Intent::Nip44V3(_)
            | Intent::BitcoinAccount { .. }
            | Intent::SignPsbt(_)
            | Intent::SignMessage(_) => false,
        }
    }

    /// Consumes the permit; the request that it allowed.
    pub fn into_request(self) -> Request {
        self.request
    }
}
