//! Looking things up at an Esplora server: previous transactions and balances. The server learns what it is asked.

use std::time::Duration;

use keep_bitcoin::{Branch, PsbtFile};
use keep_net::{HttpAnswer, HttpClient};
use keep_types::{DisplayText, ErrorCode, Fault};
use serde::Deserialize;

use super::{AddressBalanceView, BalanceView, Bitcoin, WalletSelector};

/// The longest that one answer may take, unless somebody says otherwise.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The largest answer in bytes: no block holds a larger transaction.
const MAX_ANSWER: usize = 4 << 20;
/// After so many unused addresses nobody looks further (BIP-44).
const GAP: u32 = 20;
/// How many addresses beyond those that were handed out are looked at: a server that calls every one used has no end.
const MAX_BEYOND: u32 = 10_000;

/// An Esplora server. It is asked from this process; a daemon contacts nobody.
#[derive(Debug, Clone)]
pub struct Esplora {
    client: HttpClient,
}

/// An address as the server has it.
#[derive(Deserialize)]
struct Stats {
    chain_stats: Sums,
    mempool_stats: Sums,
}

#[derive(Deserialize)]
struct Sums {
    funded_txo_sum: u64,
    spent_txo_sum: u64,
    tx_count: u64,
}

impl Sums {
    /// What came minus what went.
    fn left(&self) -> Result<i64, Fault> {
        let signed = |sats: u64| i64::try_from(sats).ok();
        let left =
            signed(self.funded_txo_sum).zip(signed(self.spent_txo_sum)).map(|(came, went)| came - went);
        left.ok_or_else(|| answered("amounts that cannot be"))
    }
}

impl Esplora {
    /// The server at `url`, for example `https://mempool.space/api`.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidUri`].
    pub fn new(url: &str) -> Result<Self, Fault> {
        Self::patient(url, TIMEOUT)
    }

    /// The same, where one answer may take `timeout`.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidUri`]; [`ErrorCode::Usage`] for no time at all.
    pub fn patient(url: &str, timeout: Duration) -> Result<Self, Fault> {
        if timeout.is_zero() {
            return Err(Fault::new(ErrorCode::Usage, "an answer takes at least a second"));
        }
        Ok(Self { client: HttpClient::new(url, timeout, MAX_ANSWER)? })
    }

    /// Adds the previous transactions that a PSBT lacks; says how many inputs got one. What the server gives is checked
    /// against the ids that the PSBT names.
    ///
    /// # Errors
    /// [`ErrorCode::Peer`] when the server does not answer, or does not know a transaction.
    pub fn complete(&self, psbt: &mut PsbtFile) -> Result<usize, Fault> {
        let mut filled = 0;
        for txid in psbt.missing_previous() {
            let raw = self.fetch(&format!("/tx/{txid}/raw"))?;
            let added = psbt.add_previous(&raw).map_err(|_| answered("something that is no transaction"))?;
            if added == 0 {
                return Err(answered("another transaction than it was asked for"));
            }
            filled += added;
        }
        Ok(filled)
    }

    /// What the account has: every address that was handed out, and on to the first 20 unused ones.
    ///
    /// # Errors
    /// [`ErrorCode::Peer`] when the server does not answer; otherwise as [`Bitcoin::addresses`].
    pub fn balance(&self, bitcoin: &Bitcoin, wallet: &WalletSelector) -> Result<BalanceView, Fault> {
        let known = bitcoin.descriptor(wallet)?;
        let mut view = BalanceView {
            key: String::new(),
            network: wallet.network,
            account: wallet.account,
            confirmed_sats: 0,
            pending_sats: 0,
            used: Vec::new(),
        };
        for (branch, next) in [(Branch::Receive, known.next_receive), (Branch::Change, known.next_change)] {
            self.scan(bitcoin, wallet, branch, next, &mut view)?;
        }
        Ok(view)
    }

    fn scan(
        &self,
        bitcoin: &Bitcoin,
        wallet: &WalletSelector,
        branch: Branch,
        handed_out: u32,
        view: &mut BalanceView,
    ) -> Result<(), Fault> {
        let (mut index, mut end) = (0, handed_out.saturating_add(GAP));
        let last = handed_out.saturating_add(MAX_BEYOND);
        while index < end {
            if index >= last {
                return Err(answered("that every address is used, without end"));
            }
            let page = bitcoin.addresses(wallet, branch, index, GAP.min(end - index))?;
            view.key = page.key;
            for address in page.addresses {
                index = address.index + 1;
                let stats: Stats =
                    serde_json::from_slice(&self.fetch(&format!("/address/{}", address.address))?)
                        .map_err(|_| answered("something that is no address"))?;
                if stats.chain_stats.tx_count == 0 && stats.mempool_stats.tx_count == 0 {
                    continue;
                }
                end = end.max(index.saturating_add(GAP));
                let confirmed = u64::try_from(stats.chain_stats.left()?);
                let confirmed_sats = confirmed.map_err(|_| answered("amounts that cannot be"))?;
                let pending_sats = stats.mempool_stats.left()?;
                view.confirmed_sats = view.confirmed_sats.saturating_add(confirmed_sats);
                view.pending_sats = view.pending_sats.saturating_add(pending_sats);
                view.used.push(AddressBalanceView {
                    address: address.address,
                    branch,
                    index: address.index,
                    confirmed_sats,
                    pending_sats,
                });
            }
        }
        Ok(())
    }

    fn fetch(&self, path: &str) -> Result<Vec<u8>, Fault> {
        let HttpAnswer { status, body } = self.client.get(path)?;
        match status {
            200 => Ok(body),
            404 => Err(answered(&format!("that it does not know {}", DisplayText::truncated(path, 120)))
                .with_hint("check that the server is one of the right network")),
            _ => {
                let said = DisplayText::truncated(&String::from_utf8_lossy(&body), 120);
                Err(answered(&format!("{status} {said}")))
            }
        }
    }
}

fn answered(what: &str) -> Fault {
    Fault::new(ErrorCode::Peer, format!("the Esplora server answered {what}"))
        .with_hint("try again later, or another server")
}
