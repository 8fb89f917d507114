//! The wallet of a key: what belongs to it, as the vault remembers it.

use keep_bitcoin::bitcoin::hashes::Hash as _;
use keep_bitcoin::{Account, InspectOptions, Inspection, Network, PsbtFile, Wallet};
use keep_signer::{AccountId, Wallets};
use keep_types::{Answer, Fault, Intent};
use keep_vault::{KeyRecord, WalletAccount};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::call::Host;
use crate::keys::{bug, record};

/// Unused addresses behind the next one that are recognised in PSBTs that name no keys: the gap that wallets search.
const GAP: u32 = 20;
/// Beyond this, addresses are recognised only where the PSBT names their keys.
const MAX_LOOKAHEAD: u32 = 1_000;
/// How far behind the next index a change output may be before it is warned about.
const FAR: u32 = 1_000;

/// Which wallet: the account of a key on a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WalletSelector {
    /// The key's name, npub or public key in hexadecimal; without it, the only key there is.
    pub key: Option<String>,
    /// The network.
    #[serde(default)]
    pub network: Network,
    /// The number of the account (BIP-86).
    #[serde(default)]
    pub account: u32,
}

/// The limits on fees above which signing is refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FeeLimits {
    /// The highest fee in satoshis; without it, 0.1 BTC.
    pub max_fee_sats: Option<u64>,
    /// The highest fee rate in satoshis per 1,000 virtual bytes; without it, 1,000 sat/vB.
    pub max_fee_rate_sats_per_kvb: Option<u64>,
    /// Whether signature types that leave the transaction open to change may be signed.
    #[serde(default)]
    pub allow_unusual_sighash: bool,
}

/// An open account with the key that it belongs to.
pub(crate) struct Opened {
    pub key: KeyRecord,
    pub id: AccountId,
    pub stored: WalletAccount,
    pub account: Account,
}

impl WalletSelector {
    /// Opens the account. The first time, its public side is derived with a permit, and recorded.
    pub(crate) fn open(&self, host: &Host) -> Result<Opened, Fault> {
        let key = record(host, self.key.as_deref())?;
        let id = AccountId { key: key.id, network: self.network.as_str().to_owned(), number: self.account };
        let wallets = wallets(host);
        let stored = match wallets.account(&id)? {
            Some(stored) => stored,
            None => {
                host.check_intact()?;
                let intent =
                    Intent::BitcoinAccount { coin_type: self.network.coin_type(), account: self.account };
                let Answer::BitcoinAccount(descriptor) = host.answer(key.id, intent)? else {
                    return Err(bug("opening an account gave something else than a descriptor"));
                };
                wallets.open(id.clone(), descriptor)?
            }
        };
        let account = Account::from_descriptor(&stored.descriptor, self.network)?;
        Ok(Opened { key, id, stored, account })
    }
}

impl Opened {
    /// Everything that is ours on the network: every open account of the key, and the key itself.
    pub(crate) fn wallet(&self, host: &Host) -> Result<Wallet, Fault> {
        let network = self.account.network();
        let mut wallet = Wallet::new(network);
        let mut next = 0;
        for stored in wallets(host).accounts(self.key.id, network.as_str())? {
            wallet = wallet.with_account(Account::from_descriptor(&stored.descriptor, network)?)?;
            next = next.max(stored.next_receive).max(stored.next_change);
        }
        let public = keep_bitcoin::bitcoin::key::XOnlyPublicKey::from_slice(&self.key.public_key)
            .map_err(|_| bug("the key's public key is none"))?;
        Ok(wallet.with_lookahead((next + GAP).min(MAX_LOOKAHEAD))?.with_identity(public))
    }

    /// Inspects a PSBT as the owner of this wallet.
    pub(crate) fn inspect(&self, host: &Host, file: PsbtFile, fees: &FeeLimits) -> Result<Inspection, Fault> {
        let wallet = self.wallet(host)?;
        let txid = file.unsigned_tx().compute_txid().to_byte_array();
        let plain = InspectOptions::default();
        let options = InspectOptions {
            max_fee_sats: fees.max_fee_sats.unwrap_or(plain.max_fee_sats),
            max_fee_rate_sats_per_kvb: fees
                .max_fee_rate_sats_per_kvb
                .unwrap_or(plain.max_fee_rate_sats_per_kvb),
            allow_unusual_sighash: fees.allow_unusual_sighash,
            index_horizon: self.stored.next_receive.max(self.stored.next_change).saturating_add(FAR),
            used: wallets(host).used_besides(self.key.id, txid)?,
        };
        Ok(Inspection::new(file, &wallet, &options))
    }
}

pub(crate) fn wallets(host: &Host) -> Wallets {
    Wallets::new(std::sync::Arc::clone(host.vault()))
}
