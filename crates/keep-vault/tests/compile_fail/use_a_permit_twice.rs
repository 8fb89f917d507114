//! A permit is for one use.

fn twice(vault: &keep_vault::Vault, permit: keep_policy::Permit) {
    let _ = vault.execute(permit);
    let _ = vault.execute(permit);
}

fn main() {}
