//! A relay to try things with: `cargo run --example relay -- 127.0.0.1:7777`.
#![allow(clippy::print_stdout)]

use std::error::Error;

use keep_net::{EmbeddedRelay, RelayOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7777".to_owned());
    let relay = EmbeddedRelay::bind(address.parse()?, RelayOptions::default()).await?;
    println!("{}", relay.url());
    std::future::pending::<()>().await;
    Ok(())
}
