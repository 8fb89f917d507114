//! Shares and groups as other software, and Keep itself, writes them: one text may hold several.

use keep_frost::import::{
    Bip445Group, FrostrGroup, FrostrShare, Imported, ZfKeyPackage, ZfPublicKeyPackage, import_bip445,
    import_frostr, import_zf,
};
use keep_frost::wire::ShareExport;
use keep_frost::{Endorsement, FrostError, Group, Index};
use keep_types::{ErrorCode, Fault, SecretText};
use keep_vault::{GroupRecord, Holding, IncomingShares};
use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

#[derive(Default)]
struct Documents {
    exports: Vec<ShareExport>,
    zf: Vec<ZfKeyPackage>,
    zf_public: Option<ZfPublicKeyPackage>,
    frostr: Vec<FrostrShare>,
    frostr_group: Option<FrostrGroup>,
    bip445: Option<Bip445>,
    public: Option<PublicGroup>,
}

/// Key material of BIP-445, in the words of its test vectors. Identifiers count from 0.
#[derive(Deserialize)]
struct Bip445 {
    t: u16,
    thresh_pk: String,
    pubshares: Vec<String>,
    #[serde(default)]
    n: Option<usize>,
    #[serde(default)]
    ids: Option<Vec<u32>>,
    #[serde(default)]
    secshares: Vec<Zeroized>,
}

/// A string that is wiped.
struct Zeroized(Zeroizing<String>);

impl<'de> Deserialize<'de> for Zeroized {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

/// Whether a passphrase is needed to read this: shares that Keep sealed.
pub(super) fn is_sealed(text: &SecretText) -> bool {
    let text = text.expose();
    text.contains("\"kshare\"") || text.to_ascii_lowercase().contains("kshare1")
}

/// What one text holds, put together: a group and the shares that came with it.
pub(super) fn read(text: &SecretText, passphrase: Option<&SecretText>) -> Result<IncomingShares, Fault> {
    Documents::parse(text.expose())?.assemble(passphrase)
}

fn unknown(why: &str) -> Fault {
    Fault::new(ErrorCode::InvalidInput, format!("this is no share or group that Keep reads: {why}")).with_hint(
        "give kshare1… or its JSON, bfgroup1… with bfshare1…, a FROST KeyPackage, or BIP-445 key material",
    )
}

impl Documents {
    fn parse(text: &str) -> Result<Self, Fault> {
        let mut documents = Self::default();
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            rest = if rest.starts_with('{') { documents.json(rest)? } else { documents.word(rest)? };
            rest = rest.trim_start();
        }
        Ok(documents)
    }

    /// A JSON value at the beginning; what comes after it.
    fn json<'t>(&mut self, text: &'t str) -> Result<&'t str, Fault> {
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
        let raw = match values.next() {
            Some(Ok(raw)) => raw.get(),
            _ => return Err(unknown("its JSON is damaged or cut off")),
        };
        let rest = &text[values.byte_offset()..];
        // Only the names of fields are looked at here.
        let has = |field: &str| raw.contains(&format!("\"{field}\""));
        if has("kshare") {
            self.exports.push(ShareExport::from_json(raw)?);
        } else if has("signing_share") {
            self.zf.push(ZfKeyPackage::parse(raw)?);
        } else if has("verifying_shares") {
            self.zf_public = Some(ZfPublicKeyPackage::parse(raw)?);
        } else if has("thresh_pk") {
            let read = serde_json::from_str(raw)
                .map_err(|_| unknown("its BIP-445 key material has other fields"))?;
            self.bip445 = Some(read);
        } else if has("keep_group") {
            self.public = Some(PublicGroup::from_json(raw)?);
        } else {
            return Err(unknown("its JSON has other fields"));
        }
        Ok(rest)
    }

    /// A word at the beginning, with the lines into which a print-out has broken it; what comes after it.
    fn word<'t>(&mut self, text: &'t str) -> Result<&'t str, Fault> {
        let starts = |word: &str| {
            let word = word.to_ascii_lowercase();
            ["kshare1", "bfshare1", "bfgroup1", "{"].iter().any(|prefix| word.starts_with(prefix))
        };
        let mut end = 0;
        let mut joined = Zeroizing::new(String::with_capacity(text.len()));
        for word in text.split_ascii_whitespace() {
            if !joined.is_empty() && starts(word) {
                break;
            }
            joined.push_str(word);
            end = word.as_ptr() as usize - text.as_ptr() as usize + word.len();
        }
        let lower = joined.get(..9).unwrap_or_default().to_ascii_lowercase();
        if lower.starts_with("kshare1") {
            self.exports.push(ShareExport::from_bech32(&joined)?);
        } else if lower.starts_with("bfshare1") {
            self.frostr.push(FrostrShare::parse(&joined)?);
        } else if lower.starts_with("bfgroup1") {
            self.frostr_group = Some(FrostrGroup::parse(&joined)?);
        } else if joined.chars().all(|c| c.is_ascii_hexdigit()) {
            match ZfKeyPackage::parse(&joined) {
                Ok(package) => self.zf.push(package),
                Err(error) => {
                    self.zf_public = Some(ZfPublicKeyPackage::parse(&joined).map_err(|_| error)?);
                }
            }
        } else {
            return Err(unknown("it has none of the known beginnings"));
        }
        Ok(&text[end..])
    }

    fn assemble(self, passphrase: Option<&SecretText>) -> Result<IncomingShares, Fault> {
        if !self.exports.is_empty() {
            return opened(&self.exports, passphrase);
        }
        let imported = if let Some(group) = &self.frostr_group {
            import_frostr(group, self.frostr)?
        } else if !self.frostr.is_empty() {
            return Err(unknown("a bfshare1… needs the bfgroup1… beside it"));
        } else if let Some(bip445) = self.bip445 {
            bip445.import()?
        } else if let Some(public) = self.public {
            public.group.check()?;
            let PublicGroup { group, endorsement } = public;
            return Ok(IncomingShares { group, endorsement, holdings: Vec::new() });
        } else {
            import_zf(self.zf, self.zf_public.as_ref())?
        };
        let holdings = imported.shares.into_iter().map(|share| Holding { share, device: None }).collect();
        Ok(IncomingShares { group: imported.group, endorsement: None, holdings })
    }
}

fn opened(exports: &[ShareExport], passphrase: Option<&SecretText>) -> Result<IncomingShares, Fault> {
    let passphrase = passphrase.ok_or_else(|| {
        Fault::new(ErrorCode::Locked, "the share needs its passphrase")
            .with_hint("set KEEP_PASSPHRASE or pass --passphrase-file")
    })?;
    let mut incoming: Option<IncomingShares> = None;
    for export in exports {
        let enrolment = export.open(passphrase)?;
        let holding = Holding { share: enrolment.share, device: enrolment.device };
        match &mut incoming {
            None => {
                let (group, endorsement) = (enrolment.group, enrolment.endorsement);
                incoming = Some(IncomingShares { group, endorsement, holdings: vec![holding] });
            }
            Some(known) => {
                holding.share.belongs_to(&known.group)?;
                known.endorsement = known.endorsement.take().or(enrolment.endorsement);
                known.holdings.push(holding);
            }
        }
    }
    incoming.ok_or_else(|| unknown("it is empty"))
}

impl Bip445 {
    fn import(self) -> Result<Imported, Fault> {
        let bad = || unknown("its BIP-445 key material is no hexadecimal of the right length");
        let point = |text: &str| -> Result<[u8; 33], Fault> {
            let mut bytes = [0; 33];
            hex::decode_to_slice(text, &mut bytes).map_err(|_| bad())?;
            Ok(bytes)
        };
        let count = self.n.unwrap_or(self.pubshares.len());
        let group = Bip445Group {
            threshold: self.t,
            threshold_key: point(&self.thresh_pk)?,
            public_shares: self.pubshares.iter().take(count).map(|p| point(p)).collect::<Result<_, _>>()?,
        };
        let mut shares = Vec::with_capacity(self.secshares.len());
        for (position, secret) in self.secshares.iter().enumerate() {
            let id = match &self.ids {
                Some(ids) => *ids.get(position).ok_or_else(bad)?,
                None => u32::try_from(position).map_err(|_| bad())?,
            };
            if usize::try_from(id).is_ok_and(|id| id >= count) {
                continue;
            }
            let mut bytes = Zeroizing::new([0; 32]);
            hex::decode_to_slice(secret.0.as_bytes(), &mut *bytes).map_err(|_| bad())?;
            shares.push((id, bytes));
        }
        Ok(import_bip445(&group, shares)?)
    }
}

/// What is public about a group, as a file for a vault that has none of its shares (to be repaired, or to verify).
struct PublicGroup {
    group: Group,
    endorsement: Option<Endorsement>,
}

#[derive(serde::Serialize, Deserialize)]
struct PublicGroupJson {
    keep_group: u8,
    group: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    endorsement: Option<String>,
}

pub(super) fn public_to_json(record: &GroupRecord) -> Result<String, Fault> {
    let bytes = minicbor::to_vec(&record.group).map_err(|_| FrostError::Internal("group"))?;
    let endorsement = record.endorsement.as_ref().map(ToString::to_string);
    serde_json::to_string(&PublicGroupJson { keep_group: 1, group: hex::encode(bytes), endorsement })
        .map_err(|_| FrostError::Internal("group").into())
}

impl PublicGroup {
    fn from_json(text: &str) -> Result<Self, Fault> {
        let bad = || unknown("the group is damaged");
        let read: PublicGroupJson = serde_json::from_str(text).map_err(|_| bad())?;
        if read.keep_group != 1 {
            return Err(FrostError::NewerVersion { what: "group", version: read.keep_group.into() }.into());
        }
        let bytes = hex::decode(&read.group).map_err(|_| bad())?;
        let group = minicbor::decode(&bytes).map_err(|_| bad())?;
        let mut endorsement = None;
        if let Some(digits) = &read.endorsement {
            let bytes = hex::decode(digits).map_err(|_| bad())?;
            endorsement = Some(Endorsement::from_bytes(&bytes).map_err(|_| bad())?);
        }
        Ok(Self { group, endorsement })
    }
}

/// The members whose shares came.
pub(super) fn members(holdings: &[Holding]) -> Vec<u16> {
    let mut members: Vec<u16> = holdings.iter().map(|h| Index::get(h.share.index())).collect();
    members.sort_unstable();
    members
}
