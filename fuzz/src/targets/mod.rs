//! The table of targets. A new one is a line here, a function in the file of its crate, and seeds in `seeds/`.

mod audit;
mod bitcoin;
mod cipher;
mod frost;
mod net;
mod nip46;
mod types;
mod vault;

/// A function that reads bytes from outside.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Also the name of its directory of seeds.
    pub name: &'static str,
    /// Reads the bytes; panics when something that must hold does not.
    pub run: fn(&[u8]),
}

macro_rules! targets {
    ($($name:ident => $run:path,)*) => {
        /// Every target.
        pub const TARGETS: &[Target] = &[$(Target { name: stringify!($name), run: $run },)*];

        #[cfg(test)]
        mod survives {
            $(
                #[test]
                fn $name() {
                    crate::survive::survive(stringify!($name));
                }
            )*
        }
    };
}

targets! {
    event_template => types::event_template,
    name => types::name,
    display_text => types::display_text,
    ncryptsec => cipher::ncryptsec,
    nip44_payload => cipher::nip44_payload,
    nip04_payload => cipher::nip04_payload,
    nip46_uri => nip46::nip46_uri,
    nip46_permissions => nip46::nip46_permissions,
    nip46_call => nip46::nip46_call,
    nip46_reply => nip46::nip46_reply,
    relay_event => net::relay_event,
    relay_filter => net::relay_filter,
    relay_url => net::relay_url,
    audit_export => audit::audit_export,
    audit_batch => audit::audit_batch,
    kshare => frost::kshare,
    frost_envelope => frost::frost_envelope,
    frost_import => frost::frost_import,
    minisign => frost::minisign,
    psbt => bitcoin::psbt,
    descriptor => bitcoin::descriptor,
    message_signature => bitcoin::message_signature,
    vault_header => vault::vault_header,
    vault_record => vault::vault_record,
}

/// The target with this name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
