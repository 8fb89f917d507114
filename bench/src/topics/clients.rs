//! What a connected client takes of the bunker's memory.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use keep_nip46::server::{Limits as ServerLimits, Rate};
use keep_sdk::{
    Bunker, BunkerOptions, BunkerUri, EventTemplate, Headless, Limits, RemoteSigner, TokenTerms, Transport,
};

use super::fixture::Place;
use super::relayed::{relay, unbounded};
use crate::table::{Quantity, Row};

pub fn rows() -> Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    Ok(vec![runtime.block_on(measure())?])
}

/// Clients whose memory is measured, and those that come before, so that what is made once is there: by then SQLite has the pages in
/// its cache that it keeps.
const CLIENTS: u32 = 1_000;
const WARM: u32 = 3_000;
/// What a connected client may take, in bytes.
const CLIENT_GOAL: u64 = 4 << 10;

/// What each of a thousand connected clients, with a grant and a signature, adds to the process.
async fn measure() -> Result<Row> {
    let place = Place::new()?;
    let (keep, key) = place.keep("clients")?;
    let relay = relay().await?;
    let terms = TokenTerms {
        key: None,
        policy: "full".to_owned(),
        name: None,
        uses: CLIENTS + WARM,
        seconds: None,
        relays: vec![relay.url().clone()],
        limits: Limits::default(),
    };
    let uri = BunkerUri::parse(&keep.nip46().create_token(terms)?.bunker_url)?;
    let rate = Rate { per_second: 1 << 20, burst: 1 << 30 };
    let limits = ServerLimits { strangers: rate, ..unbounded() };
    let options = BunkerOptions { limits, ..BunkerOptions::default() };
    let wire = || Arc::new(relay.local(Bunker::inbox_limits()));
    let _serving = keep.bunker(Arc::new(Headless)).serve_over(&key, wire(), options).await?;
    let transport: Arc<dyn Transport> = wire();
    let mut before = 0;
    for number in 0..WARM + CLIENTS {
        if number == WARM {
            before = resident()?;
        }
        // The client itself is gone again at once.
        let client = RemoteSigner::connect(&uri, Arc::clone(&transport), "bench").await?;
        client.sign_event(EventTemplate::new(1, "hello", Vec::new(), 1_700_000_000)).await?;
    }
    let each = resident()?.saturating_sub(before) / u64::from(CLIENTS);
    let what = format!("memory of each of {CLIENTS} connected clients");
    Ok(Row::new(what, Quantity::Bytes(each), "the goal", Quantity::Bytes(CLIENT_GOAL)))
}

/// The memory of this process that is in use, in bytes.
fn resident() -> Result<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = statm.split(' ').nth(1).ok_or_else(|| anyhow!("no size in statm"))?.parse()?;
    Ok(pages * u64::try_from(rustix::param::page_size())?)
}
