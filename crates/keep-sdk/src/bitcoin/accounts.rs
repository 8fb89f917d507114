//! Addresses and descriptors.

use std::str::FromStr;

use keep_bitcoin::Branch;
use keep_bitcoin::bitcoin::bip32::{ChildNumber, Xpub};
use keep_bitcoin::bitcoin::secp256k1::SECP256K1;
use keep_types::{ErrorCode, Fault};
use serde::{Deserialize, Serialize};

use super::wallet::wallets;
use super::{AddressView, AddressesView, DescriptorView, WalletSelector};
use crate::call::{Call, Class, Host};

/// How many addresses one call gives.
const MAX_ADDRESSES: u32 = 100_000;
/// The first index that does not exist (BIP-32: the unhardened ones are below).
const END_OF_INDEXES: u32 = 1 << 31;

/// Gives addresses: the next ones that nobody has got yet, or those from `index` on.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct GetAddresses {
    pub wallet: WalletSelector,
    pub branch: Branch,
    pub index: Option<u32>,
    pub count: u32,
}

impl Call for GetAddresses {
    const NAME: &'static str = "bitcoin.addresses";
    const CLASS: Class = Class::Use;
    type Reply = AddressesView;

    fn run(self, host: &Host) -> Result<AddressesView, Fault> {
        if self.count == 0 || self.count > MAX_ADDRESSES {
            let message = format!("the number of addresses must be from 1 to {MAX_ADDRESSES}");
            return Err(Fault::new(ErrorCode::Usage, message));
        }
        let opened = self.wallet.open(host)?;
        let indexes = match self.index {
            Some(index) => {
                let end = index.checked_add(self.count).filter(|end| *end <= END_OF_INDEXES);
                index..end.ok_or_else(|| {
                    Fault::new(ErrorCode::InvalidInput, "there are no addresses with such an index")
                        .with_hint("indexes are below 2147483648")
                })?
            }
            None => {
                host.check_intact()?;
                wallets(host).take(&opened.id, self.branch == Branch::Change, self.count)?
            }
        };
        let addresses = opened
            .account
            .addresses(self.branch, indexes)
            .map(|address| address.map(|address| AddressView::from(&address)))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(AddressesView {
            key: opened.key.name.to_string(),
            network: self.wallet.network,
            account: self.wallet.account,
            addresses,
        })
    }
}

/// Gives the descriptor of an account.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct GetDescriptor {
    pub wallet: WalletSelector,
}

impl Call for GetDescriptor {
    const NAME: &'static str = "bitcoin.descriptor";
    const CLASS: Class = Class::Use;
    type Reply = DescriptorView;

    fn run(self, host: &Host) -> Result<DescriptorView, Fault> {
        let opened = self.wallet.open(host)?;
        let account = &opened.account;
        Ok(DescriptorView {
            descriptor: account.descriptor(),
            receive: account.branch_descriptor(Branch::Receive),
            change: account.branch_descriptor(Branch::Change),
            fingerprint: account.fingerprint().to_string(),
            xpub: account.xpub().to_string(),
            network: account.network(),
            account: self.wallet.account,
            next_receive: opened.stored.next_receive,
            next_change: opened.stored.next_change,
        })
    }
}

impl DescriptorView {
    /// The extended public key so many unhardened steps below the account.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidInput`] for a step of 2³¹ or more.
    pub fn xpub_below(&self, steps: &[u32]) -> Result<String, Fault> {
        let wrong = |_| Fault::new(ErrorCode::InvalidInput, "there is no such key below the account");
        let path = steps.iter().map(|step| ChildNumber::from_normal_idx(*step));
        let path = path.collect::<Result<Vec<_>, _>>().map_err(wrong)?;
        let xpub = Xpub::from_str(&self.xpub).map_err(wrong)?;
        Ok(xpub.derive_pub(SECP256K1, &path).map_err(wrong)?.to_string())
    }
}
