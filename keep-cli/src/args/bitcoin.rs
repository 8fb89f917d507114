//! The grammar of the Bitcoin commands.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use keep_sdk::bitcoin::Network;

/// Which wallet.
#[derive(Debug, Args)]
pub struct Wallet {
    /// The network: mainnet, testnet3, testnet4, signet or regtest; without it, the configured one, or mainnet
    #[arg(long, value_name = "NETWORK")]
    pub network: Option<Network>,
    /// The number of the account (BIP-86)
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub account: u32,
}

/// What is looked up in the chain.
#[derive(Debug, Args)]
pub struct Lookup {
    /// Look previous transactions and balances up at this Esplora server, which learns what is asked; nothing is
    /// contacted without it
    #[arg(long, value_name = "URL")]
    pub esplora: Option<String>,
    /// Give the server up when one answer takes longer than this many seconds; without it, 20
    #[arg(long, value_name = "SECONDS", requires = "esplora")]
    pub timeout: Option<u64>,
}

/// Limits on fees.
#[derive(Debug, Args)]
pub struct Fees {
    /// Refuse a fee above this many satoshis; without it, 10000000
    #[arg(long, value_name = "SATS")]
    pub max_fee: Option<u64>,
    /// Refuse a fee rate above this many satoshis per virtual byte; without it, 1000
    #[arg(long, value_name = "SAT/VB")]
    pub max_fee_rate: Option<f64>,
    /// Also sign with signature types that leave the transaction open to change
    #[arg(long)]
    pub allow_unusual_sighash: bool,
}

#[derive(Debug, Subcommand)]
pub enum Bitcoin {
    /// Give the next address that nobody has got yet, or those from an index on
    ///
    /// Each address is given once; which is next is remembered in the vault. Wallets that restore from the same key or
    /// mnemonic look 20 addresses beyond the last that was used.
    Address {
        #[command(flatten)]
        wallet: Wallet,
        /// An address for change
        #[arg(long)]
        change: bool,
        /// So many addresses
        #[arg(long, value_name = "N", default_value_t = 1)]
        count: u32,
        /// From this index on, whether or not somebody has got them
        #[arg(long, value_name = "I")]
        index: Option<u32>,
        /// Also as QR codes
        #[arg(long)]
        qr: bool,
    },
    /// Give the descriptor of an account, for other wallets to watch
    Descriptor {
        #[command(flatten)]
        wallet: Wallet,
        /// Also as QR code
        #[arg(long)]
        qr: bool,
    },
    /// Say what a PSBT would do, without signing anything
    Analyze {
        #[command(flatten)]
        wallet: Wallet,
        /// The PSBT, of version 0 or 2, in base64, hex or binary; - is stdin
        #[arg(long, value_name = "FILE")]
        psbt: PathBuf,
        #[command(flatten)]
        fees: Fees,
        #[command(flatten)]
        lookup: Lookup,
    },
    /// Sign every input of a PSBT that is ours
    Sign {
        #[command(flatten)]
        wallet: Wallet,
        /// The PSBT, of version 0 or 2, in base64, hex or binary; - is stdin
        #[arg(long, value_name = "FILE")]
        psbt: PathBuf,
        /// Write to this file; without it, to stdout
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Overwrite the file
        #[arg(long, requires = "output")]
        force: bool,
        /// Give the transaction in hex, ready to be sent
        #[arg(long)]
        finalize: bool,
        #[command(flatten)]
        fees: Fees,
        #[command(flatten)]
        lookup: Lookup,
    },
    /// Sign a message in the name of an address (BIP-322)
    SignMessage {
        #[command(flatten)]
        wallet: Wallet,
        /// One of the key's addresses; without it, the first of the account
        #[arg(long, value_name = "ADDRESS")]
        address: Option<String>,
        #[command(flatten)]
        message: Message,
        /// Prove control of a coin too; may be given several times
        #[arg(long = "coin", value_name = "TXID:VOUT:SATS:ADDRESS")]
        coins: Vec<String>,
        /// Write the whole virtual transaction (ful…) instead of its witness (smp…)
        #[arg(long)]
        full: bool,
    },
    /// Verify that an address signed a message (BIP-322)
    VerifyMessage {
        /// The address
        #[arg(long, value_name = "ADDRESS")]
        address: String,
        /// The network of the address; without it, the configured one, or mainnet
        #[arg(long, value_name = "NETWORK")]
        network: Option<Network>,
        #[command(flatten)]
        message: Message,
        /// The signature
        #[arg(long, value_name = "SIGNATURE")]
        signature: String,
    },
    /// Tell what the account has, from an Esplora server
    Balance {
        #[command(flatten)]
        wallet: Wallet,
        /// The server, which learns the addresses
        #[arg(long, value_name = "URL")]
        esplora: String,
        /// Give the server up when one answer takes longer than this many seconds; without it, 20
        #[arg(long, value_name = "SECONDS")]
        timeout: Option<u64>,
    },
    /// Show or change the limits on spending with a key or a group
    ///
    /// They hold for everybody who uses it, you included. What is not named stays as it is.
    Limits {
        /// The threshold key that is limited, instead of a key: its name, npub or public key in hex
        #[arg(long, value_name = "GROUP")]
        group: Option<String>,
        /// The most that may leave with one transaction, fee included; none lifts the limit
        #[arg(long, value_name = "SATS")]
        per_transaction: Option<Amount>,
        /// The most that may leave in a window of time: 1000000/24h; may be given several times, and replaces what stood
        #[arg(long = "budget", value_name = "SATS/WINDOW")]
        budgets: Vec<String>,
        /// Only pay to this address; may be given several times, and adds to what stood
        #[arg(long, value_name = "ADDRESS")]
        allow: Vec<String>,
        /// Never pay to this address; may be given several times, and adds to what stood
        #[arg(long, value_name = "ADDRESS")]
        block: Vec<String>,
        /// The highest fee; none lifts the limit
        #[arg(long, value_name = "SATS")]
        max_fee: Option<Amount>,
        /// The highest fee rate; none lifts the limit
        #[arg(long, value_name = "SAT/VB")]
        max_fee_rate: Option<Amount>,
        /// Ask a person about what clients want to spend above this; none lifts it
        #[arg(long, value_name = "SATS")]
        ask_above: Option<Amount>,
        /// Begin with no limits
        #[arg(long)]
        clear: bool,
    },
}

/// A number of satoshis, or `none`.
#[derive(Debug, Clone, Copy)]
pub struct Amount(pub Option<u64>);

impl std::str::FromStr for Amount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self(None)),
            _ => text.parse().map(|sats| Self(Some(sats))).map_err(|_| "a whole number, or none".to_owned()),
        }
    }
}

/// A message.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Message {
    /// The message
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub message: Option<String>,
    /// The message, in a file, with every character of it; - is stdin
    #[arg(long, value_name = "FILE")]
    pub message_file: Option<PathBuf>,
}

/// The external signer protocol of HWI, as Bitcoin Core and other wallets call it.
#[derive(Debug, Args)]
pub struct Hwi {
    /// Which key: the fingerprint of its tree
    #[arg(long, short, value_name = "FINGERPRINT")]
    pub fingerprint: Option<String>,
    /// The chain: main, test, testnet4, signet or regtest
    #[arg(long, value_name = "CHAIN")]
    pub chain: Option<Network>,
    /// Read the command from stdin
    #[arg(long)]
    pub stdin: bool,
    /// Only for other devices
    #[arg(long, short = 't', value_name = "TYPE")]
    pub device_type: Option<String>,
    /// Only for other devices
    #[arg(long, short = 'd', value_name = "PATH")]
    pub device_path: Option<String>,
    /// Only for other devices
    #[arg(long)]
    pub emulators: bool,
    /// Only for other devices
    #[arg(long)]
    pub expert: bool,
    #[command(subcommand)]
    pub command: Option<HwiCommand>,
}

#[derive(Debug, Subcommand)]
pub enum HwiCommand {
    /// List the keys
    Enumerate,
    /// The descriptors of an account
    Getdescriptors {
        /// The number of the account
        #[arg(long, default_value_t = 0)]
        account: u32,
    },
    /// The extended public key of an account
    Getmasterxpub {
        /// The number of the account
        #[arg(long, default_value_t = 0)]
        account: u32,
        /// The type of its addresses
        #[arg(long, value_enum, ignore_case = true, default_value = "tap")]
        addr_type: AddressType,
    },
    /// The extended public key at a path, m/86h/coinh/accounth or below
    Getxpub {
        /// The path
        path: String,
    },
    /// Derive an address anew and tell it
    Displayaddress {
        /// Its descriptor
        #[arg(long, conflicts_with = "path", required_unless_present = "path")]
        desc: Option<String>,
        /// The path of its key
        #[arg(long)]
        path: Option<String>,
        /// The type of the address
        #[arg(long, value_enum, ignore_case = true, default_value = "tap")]
        addr_type: AddressType,
    },
    /// Sign a message in the name of the address at a path (BIP-322)
    Signmessage {
        /// The message
        #[arg(allow_hyphen_values = true)]
        message: String,
        /// The path, m/86h/coinh/accounth/branch/index
        path: String,
    },
    /// Sign a PSBT in base64
    Signtx {
        /// The PSBT
        psbt: String,
    },
}

/// The only type of address that Keep has.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum AddressType {
    /// Taproot
    Tap,
}
