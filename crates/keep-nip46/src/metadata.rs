//! What a client says about itself.

use keep_types::DisplayText;
use serde::Deserialize;
use serde_json::Value;

/// The longest name, in characters.
const MAX_NAME: usize = 64;
/// The longest address, in characters.
const MAX_URL: usize = 256;

/// Name, web page and picture of a client, as it claims. Nothing of it is authenticated: it is shown to people, and
/// must not decide anything (NIP-46, client metadata).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientMetadata {
    /// What the client calls itself, cut at 64 characters.
    pub name: Option<DisplayText>,
    /// Its web page, cut at 256 characters.
    pub url: Option<DisplayText>,
    /// A picture for it, cut at 256 characters.
    pub image: Option<DisplayText>,
}

/// The JSON forms: that of `connect`, and the older one of `nostrconnect://…?metadata=` with a list of icons.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Wire {
    name: Value,
    url: Value,
    image: Value,
    icons: Value,
}

impl ClientMetadata {
    /// From plain values; empty ones count as absent.
    pub fn new(name: Option<&str>, url: Option<&str>, image: Option<&str>) -> Self {
        let shown = |text: Option<&str>, max| {
            text.map(str::trim).filter(|text| !text.is_empty()).map(|text| DisplayText::truncated(text, max))
        };
        Self { name: shown(name, MAX_NAME), url: shown(url, MAX_URL), image: shown(image, MAX_URL) }
    }

    /// From a JSON object with `name`, `url`, `image` or `icons`. What is not as expected is left out, because
    /// nothing depends on it.
    pub fn from_json(json: &str) -> Self {
        let wire: Wire = serde_json::from_str(json).unwrap_or_default();
        let image = wire.image.as_str().or_else(|| wire.icons.get(0).and_then(Value::as_str));
        Self::new(wire.name.as_str(), wire.url.as_str(), image)
    }

    /// The JSON object for the fourth parameter of `connect`.
    pub fn to_json(&self) -> String {
        let mut object = serde_json::Map::new();
        for (key, value) in [("name", &self.name), ("url", &self.url), ("image", &self.image)] {
            if let Some(text) = value {
                object.insert(key.to_owned(), text.as_str().into());
            }
        }
        Value::Object(object).to_string()
    }

    /// Whether the client says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_json_forms_are_read() {
        let now =
            ClientMetadata::from_json(r#"{"name":"My Client","url":"https://c.example","image":"i.png"}"#);
        assert_eq!(now, ClientMetadata::new(Some("My Client"), Some("https://c.example"), Some("i.png")));
        assert_eq!(ClientMetadata::from_json(&now.to_json()), now);
        let old = ClientMetadata::from_json(r#"{"name":"Old","description":"x","icons":["a.png","b.png"]}"#);
        assert_eq!(old, ClientMetadata::new(Some("Old"), None, Some("a.png")));
    }

    #[test]
    fn nonsense_is_left_out_and_tricks_are_neutralised() {
        for json in ["", "null", "[]", "{", r#"{"name":7,"icons":{}}"#, r#"{"name":"  "}"#] {
            assert!(ClientMetadata::from_json(json).is_empty(), "{json}");
        }
        let sly = ClientMetadata::from_json(&format!(r#"{{"name":"Keep\u202e{}"}}"#, "x".repeat(100)));
        let name = sly.name.unwrap();
        assert!(name.as_str().starts_with("Keep\\u{202e}x") && name.as_str().ends_with('…'));
    }
}
