//! Documents of backups, taken apart and put together otherwise.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keep_cipher::age::{self, Identity, Lock, Recipient, Unlock};
use serde_json::Value;

use crate::{RECIPIENT, text};

/// The members of a document that come before its records, and the records.
pub struct Parts {
    pub members: Vec<(&'static str, Value)>,
    pub records: Vec<Value>,
}

impl Parts {
    pub fn of(file: &[u8]) -> Self {
        let plain = opened(file);
        let document: Value = serde_json::from_slice(&plain).unwrap();
        let members = ["format", "version", "created_at", "vault", "head"];
        Self {
            members: members.map(|name| (name, document[name].clone())).to_vec(),
            records: document["records"].as_array().unwrap().clone(),
        }
    }

    pub fn member(&mut self, name: &str) -> &mut Value {
        &mut self.members.iter_mut().find(|(known, _)| *known == name).unwrap().1
    }

    /// Where the records of a collection are.
    pub fn of_kind(&self, kind: &str) -> Vec<usize> {
        (0..self.records.len()).filter(|&at| self.records[at]["type"] == kind).collect()
    }

    pub fn text(&self) -> String {
        let members: String =
            self.members.iter().map(|(name, value)| format!("\"{name}\": {value} ,\n")).collect();
        format!("{{ {members} \"records\" : {} }}", Value::from(self.records.clone()))
    }
}

/// The secret key of [`RECIPIENT`]. Made for tests.
pub const IDENTITY: &str = "AGE-SECRET-KEY-1HXPS8SM5ENPD39GZQHHLF432PP5AQ9NADNG75CLZTJPGJ6HP9RQS78ZZ6U";

pub fn opened(file: &[u8]) -> zeroize::Zeroizing<Vec<u8>> {
    let identities = [Identity::parse(&text(IDENTITY)).unwrap()];
    age::decrypt(&Unlock::Identities(&identities), file).unwrap()
}

pub fn sealed(document: &[u8]) -> Vec<u8> {
    age::encrypt(&Lock::Recipients(&[Recipient::parse(RECIPIENT).unwrap()]), document).unwrap()
}

/// The head of an archive, as `docs/formats/vault.md` describes it.
#[derive(minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct Head {
    #[n(0)]
    pub revision: u64,
    #[n(1)]
    pub epoch: u64,
    #[cbor(n(2), with = "minicbor::bytes")]
    pub header_hash: [u8; 32],
    #[n(3)]
    pub max_time: u64,
    #[n(4)]
    pub audit: keep_audit::Chain,
    #[n(5)]
    pub tallies: Vec<u64>,
    #[n(6)]
    pub log: Option<Mark>,
    #[n(7)]
    pub carried: Option<minicbor::bytes::ByteVec>,
}

#[derive(minicbor::Encode, minicbor::Decode, Clone, Copy)]
#[cbor(map)]
pub struct Mark {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub base: [u8; 32],
    #[n(1)]
    pub next: u64,
    #[cbor(n(2), with = "minicbor::bytes")]
    pub hash: [u8; 32],
}

impl Parts {
    pub fn change_head(&mut self, change: impl Fn(&mut Head)) {
        let head = self.member("head");
        let bytes = STANDARD.decode(head.as_str().unwrap()).unwrap();
        let mut decoded: Head = minicbor::decode(&bytes).unwrap();
        change(&mut decoded);
        *head = STANDARD.encode(minicbor::to_vec(&decoded).unwrap()).into();
    }

    /// Two records of a collection change what each of them has under this name.
    pub fn swap(&mut self, kind: &str, members: &[&str]) {
        let at = self.of_kind(kind);
        let named: Vec<usize> =
            at.into_iter().filter(|&at| self.records[at].get("name_index").is_some()).collect();
        for member in members {
            let one = self.records[named[0]][member].take();
            let other = std::mem::replace(&mut self.records[named[1]][member], one);
            self.records[named[0]][member] = other;
        }
    }

    pub fn insert(&mut self, collection: u8, cbor: &[u8]) {
        self.insert_at(collection, &[0; 16], cbor);
    }

    pub fn insert_at(&mut self, collection: u8, id: &[u8; 16], cbor: &[u8]) {
        let (id, cbor) = (hex::encode(id), STANDARD.encode(cbor));
        self.records.push(serde_json::json!({ "collection": collection, "id": id, "cbor": cbor }));
        self.sort();
    }

    /// The first record of a collection is somewhere else.
    pub fn move_away(&mut self, kind: &str) {
        let at = *self.of_kind(kind).first().unwrap_or_else(|| panic!("there are no {kind}"));
        let id = self.records[at]["id"].as_str().unwrap().to_owned();
        let other = if id.ends_with('0') { "1" } else { "0" };
        self.records[at]["id"] = format!("{}{other}", &id[..31]).into();
        self.sort();
    }

    /// The order of an archive.
    pub fn sort(&mut self) {
        self.records
            .sort_by_key(|record| (record["collection"].as_u64(), record["id"].as_str().map(str::to_owned)));
    }
}

/// The counts of a log's segments, as `docs/formats/vault.md` describes them.
#[derive(minicbor::Encode)]
#[cbor(map)]
pub struct AllCounts {
    #[n(0)]
    pub counts: Vec<keep_audit::Count>,
}

/// A secret, as `docs/formats/vault.md` describes it.
#[derive(minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct Secret {
    #[n(0)]
    pub kind: u8,
    #[cbor(n(1), with = "minicbor::bytes")]
    pub secret: Vec<u8>,
    #[n(2)]
    pub public: Option<String>,
}

impl Parts {
    /// Changes the secrets of this kind, as `change` does that gets the number of each.
    pub fn change_secrets(&mut self, kind: u8, change: impl Fn(usize, &mut Secret)) {
        let mut number = 0;
        for at in self.of_kind("secrets") {
            let cbor = &mut self.records[at]["cbor"];
            let bytes = STANDARD.decode(cbor.as_str().unwrap()).unwrap();
            let mut secret: Secret = minicbor::decode(&bytes).unwrap();
            if secret.kind == kind {
                change(number, &mut secret);
                *cbor = STANDARD.encode(minicbor::to_vec(&secret).unwrap()).into();
                number += 1;
            }
        }
        assert!(number > 0, "there is no secret of kind {kind}");
    }

    pub fn secrets(&mut self, kind: u8) -> Vec<Vec<u8>> {
        let found = std::cell::RefCell::new(Vec::new());
        self.change_secrets(kind, |_, secret| found.borrow_mut().push(secret.secret.clone()));
        found.into_inner()
    }
}

/// Where the bytes of a share end in what is held of a member: an array of them and the device key.
pub fn share_end(holding: &[u8]) -> usize {
    let mut decoder = minicbor::Decoder::new(holding);
    decoder.array().unwrap();
    decoder.bytes().unwrap();
    decoder.position()
}
