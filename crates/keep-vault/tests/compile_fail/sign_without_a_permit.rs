//! A secret is used for a permit, not for a request.

fn sign(vault: &keep_vault::Vault, request: keep_types::Request) {
    let _ = vault.execute(request);
}

fn main() {}
