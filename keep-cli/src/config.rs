//! The settings of the command line: a flag, else the environment, else the file, else what is built in.

use std::ffi::OsString;
use std::path::PathBuf;

use keep_sdk::bitcoin::Network;
use keep_sdk::{ErrorCode, Fault};
use serde::{Deserialize, Serialize};

use crate::lifetime::Lifetime;

/// The longest file that is read, in bytes.
const MAX_LEN: u64 = 64 << 10;

/// What `keep config init` writes.
pub const TEMPLATE: &str = "\
# Settings of keep. A flag wins over the environment, the environment over this file.
# `keep config show` says what holds, and where it comes from.

# The key that commands use without --key (KEEP_KEY).
#key = \"main\"

# The relays that `keep serve` and `keep sign-event --publish` use without --relay (KEEP_RELAYS, with commas between).
#relays = [\"wss://relay.example\"]

# How long `keep unlock` unlocks without --for (KEEP_UNLOCK_FOR).
#unlock_for = \"15m\"

# The Bitcoin network that commands use without --network (KEEP_NETWORK).
#network = \"mainnet\"

# Whether `keep unlock` and `keep serve` ask about each use of a key by another program, as with --confirm (KEEP_CONFIRM=1).
#confirm = false

# Whether `keep serve` tells clients of a page on this machine where their requests can be decided, as with --auth-url
# (KEEP_AUTH_URL=1).
#auth_url = false
";

/// The file's content.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    key: Option<String>,
    relays: Option<Vec<String>>,
    unlock_for: Option<String>,
    network: Option<String>,
    confirm: Option<bool>,
    auth_url: Option<bool>,
}

/// Where a setting comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum From {
    Environment,
    File,
    Default,
}

/// A setting and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting<T> {
    pub value: T,
    pub from: From,
}

/// Every setting.
#[derive(Debug, Clone, Serialize)]
pub struct Config {
    pub key: Setting<Option<String>>,
    pub relays: Setting<Vec<String>>,
    pub unlock_for: Setting<String>,
    pub network: Setting<String>,
    pub confirm: Setting<bool>,
    pub auth_url: Setting<bool>,
}

impl Config {
    /// Where the file is: `KEEP_CONFIG`, else `keep/config.toml` in `XDG_CONFIG_HOME` or in `.config` of the home directory.
    pub fn path() -> Option<PathBuf> {
        let absolute = |path: PathBuf| path.is_absolute().then_some(path);
        if let Some(path) = named() {
            return Some(path);
        }
        let directory = std::env::var_os("XDG_CONFIG_HOME").and_then(|path| absolute(path.into()));
        let directory = directory.or_else(|| absolute(std::env::home_dir()?.join(".config")))?;
        Some(directory.join("keep/config.toml"))
    }

    /// Reads the settings.
    ///
    /// # Errors
    /// When the file cannot be read or says something that is no setting.
    pub fn load() -> Result<Self, Fault> {
        Self::of(read()?, |name| std::env::var_os(name))
    }

    fn of(file: File, variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, Fault> {
        let text = |name: &str| -> Result<Option<String>, Fault> {
            let value = variable(name).filter(|value| !value.is_empty());
            let unreadable = |_| Fault::new(ErrorCode::InvalidInput, format!("{name} is not UTF-8 text"));
            value.map(OsString::into_string).transpose().map_err(unreadable)
        };
        let split = |list: String| {
            let relays = list.split(',').map(str::trim).filter(|relay| !relay.is_empty());
            relays.map(str::to_owned).collect()
        };
        let yes = |name: &str| {
            Ok::<_, Fault>(text(name)?.map(|word| !matches!(word.as_str(), "0" | "false" | "no" | "off")))
        };
        let (confirm, auth_url) = (yes("KEEP_CONFIRM")?, yes("KEEP_AUTH_URL")?);
        let config = Self {
            key: choose(text("KEEP_KEY")?.map(Some), file.key.map(Some), None),
            relays: choose(text("KEEP_RELAYS")?.map(split), file.relays, Vec::new()),
            unlock_for: choose(text("KEEP_UNLOCK_FOR")?, file.unlock_for, "15m".to_owned()),
            network: choose(text("KEEP_NETWORK")?, file.network, "mainnet".to_owned()),
            confirm: choose(confirm, file.confirm, false),
            auth_url: choose(auth_url, file.auth_url, false),
        };
        config.lifetime()?;
        config.network()?;
        Ok(config)
    }

    /// The Bitcoin network.
    pub fn network(&self) -> Result<Network, Fault> {
        self.network.value.parse().map_err(|_| {
            let place = place(self.network.from, "KEEP_NETWORK");
            Fault::new(ErrorCode::InvalidInput, "the setting network is no Bitcoin network")
                .with_hint(format!("write mainnet, testnet3, testnet4, signet or regtest {place}"))
        })
    }

    /// How long `keep unlock` unlocks.
    pub fn lifetime(&self) -> Result<Lifetime, Fault> {
        self.unlock_for.value.parse().map_err(|error| {
            let place = place(self.unlock_for.from, "KEEP_UNLOCK_FOR");
            Fault::new(ErrorCode::InvalidInput, format!("the setting unlock_for is no duration: {error}"))
                .with_hint(format!("correct it {place}"))
        })
    }
}

/// Where a setting that does not hold is to be corrected.
fn place(from: From, variable: &str) -> String {
    match (from, Config::path()) {
        (From::File, Some(path)) => format!("in {}", path.display()),
        (From::File | From::Default, _) => "in the settings".to_owned(),
        (From::Environment, _) => format!("in {variable}"),
    }
}

fn choose<T>(environment: Option<T>, file: Option<T>, built_in: T) -> Setting<T> {
    match (environment, file) {
        (Some(value), _) => Setting { value, from: From::Environment },
        (None, Some(value)) => Setting { value, from: From::File },
        (None, None) => Setting { value: built_in, from: From::Default },
    }
}

/// The file that the environment names.
fn named() -> Option<PathBuf> {
    std::env::var_os("KEEP_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from)
}

fn read() -> Result<File, Fault> {
    let Some(path) = Config::path() else { return Ok(File::default()) };
    let shown = path.display();
    let bad = |what: String| {
        Fault::new(ErrorCode::InvalidInput, what)
            .with_hint("correct it, or see `keep config init` for its form")
    };
    match std::fs::metadata(&path) {
        // Settings that were meant and are not found are not to be taken for none.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && named().is_some() => {
            let message = format!("there is no file {shown}, which KEEP_CONFIG names");
            return Err(Fault::new(ErrorCode::NotFound, message)
                .with_hint("correct KEEP_CONFIG or take it away; `keep config init` writes the file"));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(File::default()),
        Ok(found) if found.len() > MAX_LEN => return Err(bad(format!("{shown} is too long for settings"))),
        Ok(_) | Err(_) => {}
    }
    let text =
        std::fs::read_to_string(&path).map_err(|error| bad(format!("cannot read {shown}: {error}")))?;
    toml::from_str(&text).map_err(|error| bad(format!("{shown}: {}", error.message())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(file: &str, environment: &[(&str, &str)]) -> Result<Config, Fault> {
        let file = toml::from_str(file).map_err(|e| Fault::new(ErrorCode::InvalidInput, e.message()))?;
        let variable = |name: &str| environment.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).into());
        Config::of(file, variable)
    }

    #[test]
    fn the_environment_wins_over_the_file_and_the_file_over_what_is_built_in() {
        let config = of("", &[]).unwrap();
        assert_eq!((config.key.value, config.key.from), (None, From::Default));
        assert_eq!(config.unlock_for.value, "15m");
        let file = "key = \"main\"\nrelays = [\"wss://a\"]\nunlock_for = \"1h\"\nconfirm = true";
        let config =
            of(file, &[("KEEP_KEY", "other"), ("KEEP_RELAYS", "wss://b, wss://c"), ("KEEP_CONFIRM", "0")])
                .unwrap();
        assert_eq!((config.key.value.as_deref(), config.key.from), (Some("other"), From::Environment));
        assert_eq!(config.relays.value, ["wss://b", "wss://c"]);
        assert_eq!((config.unlock_for.value.as_str(), config.unlock_for.from), ("1h", From::File));
        assert_eq!((config.confirm.value, config.confirm.from), (false, From::Environment));
        assert_eq!(of(file, &[("KEEP_KEY", "")]).unwrap().key.from, From::File);
        let relays = of("", &[("KEEP_RELAYS", ",wss://b, ,")]).unwrap().relays;
        assert_eq!(relays.value, ["wss://b"]);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let error = of("unlock_for = \"1h\"", &[("KEEP_UNLOCK_FOR", "soon")]).unwrap_err();
        assert!(error.hint().contains("KEEP_UNLOCK_FOR"), "{}", error.hint());
        assert_eq!(of("network = \"test\"", &[]).unwrap().network().unwrap(), Network::Testnet3);
        let error = of("", &[("KEEP_NETWORK", "moon")]).unwrap_err();
        assert!(error.hint().contains("KEEP_NETWORK"), "{}", error.hint());
    }

    #[test]
    fn what_is_no_setting_is_named() {
        for bad in
            ["colour = 1", "key = 7", "unlock_for = \"soon\"", "relays = \"wss://a\"", "network = \"moon\""]
        {
            assert_eq!(of(bad, &[]).unwrap_err().code(), ErrorCode::InvalidInput, "{bad}");
        }
    }

    #[test]
    fn the_template_is_valid_with_and_without_its_marks() {
        of(TEMPLATE, &[]).unwrap();
        let all = TEMPLATE.replace("#key", "key").replace("#relays", "relays");
        let all = all
            .replace("#unlock_for", "unlock_for")
            .replace("#confirm", "confirm")
            .replace("#network", "network");
        assert_eq!(of(&all, &[]).unwrap().key.value.as_deref(), Some("main"));
    }
}
