//! Vaults with threshold keys.
#![allow(dead_code, reason = "each test file uses some of it")]

use keep_sdk::frost::{
    Frost, GroupKey, GroupView, ImportOptions, PublicInput, ShareForm, Suite, ToSign, verify_message,
};
use keep_sdk::{ErrorCode, Fault, Home, KdfCost, Keep, Name, Options, SecretText};

pub const CHEAP: KdfCost = KdfCost::Custom { memory_kib: 64, iterations: 1, lanes: 1 };
pub const REPLACE: ImportOptions =
    ImportOptions { replace: true, unproved: false, trust_roster: false, abandon: false };
pub const EXPORT: Option<(u32, u8, u8)> = Some((8192, 1, 1));

pub struct World(pub tempfile::TempDir);

impl World {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn vault(&self, name: &str) -> Keep {
        let home = Home::new(self.0.path().join(name)).unwrap();
        let options = Options::default().allow_weak_kdf().kdf_cost(CHEAP);
        if Keep::exists(&home) {
            Keep::open(home, &passphrase(), &options).unwrap()
        } else {
            Keep::create(home, &passphrase(), &options).unwrap()
        }
    }
}

pub fn passphrase() -> SecretText {
    SecretText::from("correct horse".to_owned())
}

pub fn share_passphrase() -> SecretText {
    SecretText::from("battery staple".to_owned())
}

pub fn name(text: &str) -> Option<Name> {
    Some(Name::new(text).unwrap())
}

pub fn raw(bytes: &[u8]) -> ToSign {
    ToSign::Raw(hex::encode(bytes))
}

pub fn plain() -> GroupKey {
    GroupKey::default()
}

pub fn export(from: &Frost, group: &GroupView, index: u16) -> String {
    from.export_share(Some(&group.pubkey), index, ShareForm::Bech32, &share_passphrase(), EXPORT)
        .unwrap()
        .share
}

pub fn import(into: &Frost, text: &str) -> Result<GroupView, Fault> {
    let imported = into.import(
        text.to_owned().into(),
        Some(share_passphrase()),
        name("moved"),
        ImportOptions::default(),
    );
    imported.map(|view| view.group)
}

/// A group whose three shares are in three vaults.
pub fn scattered(world: &World, suite: Suite) -> (Vec<Keep>, GroupView) {
    let dealer = world.vault("dealer");
    let group = dealer.frost().generate(name("family"), suite, 2, 3).unwrap();
    let vaults: Vec<Keep> = (1..=3_u16)
        .map(|index| {
            let keep = world.vault(&format!("v{index}"));
            import(&keep.frost(), &export(&dealer.frost(), &group, index)).unwrap();
            keep
        })
        .collect();
    for index in 1..=3 {
        dealer.frost().delete_share(Some("family"), index).unwrap();
    }
    (vaults, group)
}

pub fn verified(group: &GroupView, message: &[u8], signature: &str) {
    let key = PublicInput::parse(&group.npub).unwrap();
    let view = verify_message(&key, message, signature).unwrap();
    assert_eq!(view.suite, group.suite);
    let other = [message, b"x"].concat();
    assert_eq!(verify_message(&key, &other, signature).unwrap_err().code(), ErrorCode::InvalidInput);
}

pub fn texts(messages: &[keep_sdk::frost::StepMessage]) -> Vec<String> {
    messages.iter().map(|message| message.text.clone()).collect()
}
