//! Secrets in calls and replies: `#[serde(with = "call::secret::text")]` and its siblings.
//!
//! Text is written as it is and read straight into a buffer that is wiped. Bytes are hexadecimal. The fields' JSON
//! schema is that of a string: `#[schemars(with = "String")]`.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

/// [`SecretText`](keep_types::SecretText).
pub mod text {
    use keep_types::SecretText;
    use serde::{Deserializer, Serializer};

    /// Writes it.
    ///
    /// # Errors
    /// Those of the serialiser.
    pub fn serialize<S: Serializer>(secret: &SecretText, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(secret.expose())
    }

    /// Reads it.
    ///
    /// # Errors
    /// When it is no string.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretText, D::Error> {
        super::read(deserializer)?.ok_or_else(|| super::not_a("string"))
    }
}

/// [`Option`] of [`SecretText`](keep_types::SecretText); `null` for none.
pub mod optional_text {
    use keep_types::SecretText;
    use serde::{Deserializer, Serializer};

    /// Writes it.
    ///
    /// # Errors
    /// Those of the serialiser.
    pub fn serialize<S: Serializer>(secret: &Option<SecretText>, serializer: S) -> Result<S::Ok, S::Error> {
        match secret {
            Some(secret) => serializer.serialize_str(secret.expose()),
            None => serializer.serialize_none(),
        }
    }

    /// Reads it.
    ///
    /// # Errors
    /// When it is neither a string nor `null`.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretText>, D::Error> {
        super::read(deserializer)
    }
}

/// [`SecretBytes`](keep_types::SecretBytes), in hexadecimal.
pub mod bytes {
    use keep_types::SecretBytes;
    use serde::{Deserializer, Serializer};
    use zeroize::Zeroizing;

    /// Writes it.
    ///
    /// # Errors
    /// Those of the serialiser.
    pub fn serialize<S: Serializer>(secret: &SecretBytes, serializer: S) -> Result<S::Ok, S::Error> {
        super::write_hex(secret.expose(), serializer)
    }

    /// Reads it.
    ///
    /// # Errors
    /// When it is no hexadecimal string.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretBytes, D::Error> {
        let text = super::text::deserialize(deserializer)?;
        let mut bytes = Zeroizing::new(vec![0; text.expose().len() / 2]);
        hex::decode_to_slice(text.expose(), &mut bytes).map_err(|_| super::not_a("hexadecimal string"))?;
        Ok(SecretBytes::new(std::mem::take(&mut bytes)))
    }
}

/// [`SecretKey32`](keep_types::SecretKey32), in hexadecimal.
pub mod key {
    use keep_types::SecretKey32;
    use serde::{Deserializer, Serializer};

    /// Writes it.
    ///
    /// # Errors
    /// Those of the serialiser.
    pub fn serialize<S: Serializer>(secret: &SecretKey32, serializer: S) -> Result<S::Ok, S::Error> {
        super::write_hex(secret.expose(), serializer)
    }

    /// Reads it.
    ///
    /// # Errors
    /// When it is not 64 hexadecimal digits.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretKey32, D::Error> {
        let text = super::text::deserialize(deserializer)?;
        let mut bytes = [0; 32];
        let read = hex::decode_to_slice(text.expose(), &mut bytes);
        let key = SecretKey32::take(&mut bytes);
        read.map(|()| key).map_err(|_| super::not_a("secret key of 64 hex digits"))
    }
}

fn write_hex<S: Serializer>(secret: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    let mut digits = Zeroizing::new(vec![0; secret.len() * 2]);
    hex::encode_to_slice(secret, &mut digits).map_err(serde::ser::Error::custom)?;
    let text = std::str::from_utf8(&digits).map_err(serde::ser::Error::custom)?;
    serializer.serialize_str(text)
}

/// Nothing of what was there: it may be the secret.
fn not_a<E: serde::de::Error>(what: &str) -> E {
    E::custom(format!("a secret is no {what}"))
}

/// A string or `null`, without the copy that a JSON reader makes of strings with escapes.
fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<keep_types::SecretText>, D::Error> {
    let raw: Box<RawValue> =
        Deserialize::deserialize(deserializer).map_err(|_| not_a::<D::Error>("string"))?;
    let raw = Zeroizing::new(String::from(Box::<str>::from(raw)));
    if raw.as_str() == "null" {
        return Ok(None);
    }
    let inner = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let text = inner.and_then(unescape).ok_or_else(|| D::Error::custom("a secret is no string"))?;
    Ok(Some(keep_types::SecretText::new(text)))
}

/// The text between the quotes of a JSON string (RFC 8259 §7). Never longer than what it is read from.
fn unescape(escaped: &str) -> Option<String> {
    let mut text = Zeroizing::new(String::with_capacity(escaped.len()));
    let mut chars = escaped.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            text.push(c);
            continue;
        }
        text.push(match chars.next()? {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => unicode(&mut chars)?,
            plain @ ('"' | '\\' | '/') => plain,
            _ => return None,
        });
    }
    Some(std::mem::take(&mut *text))
}

/// What `\u` is followed by: four digits, or a surrogate pair.
fn unicode(chars: &mut std::str::Chars<'_>) -> Option<char> {
    let first = code_unit(chars)?;
    if !(0xd800..0xdc00).contains(&first) {
        return char::from_u32(first);
    }
    if (chars.next()?, chars.next()?) != ('\\', 'u') {
        return None;
    }
    let low = code_unit(chars)?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
    char::from_u32(0x10000 + ((first - 0xd800) << 10) + low)
}

fn code_unit(chars: &mut std::str::Chars<'_>) -> Option<u32> {
    (0..4).try_fold(0, |sum, _| Some(sum * 16 + chars.next()?.to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use keep_types::{SecretBytes, SecretKey32, SecretText};
    use serde::{Deserialize, Serialize};

    #[derive(Debug, Serialize, Deserialize)]
    struct Holder {
        #[serde(with = "super::text")]
        text: SecretText,
        #[serde(with = "super::optional_text", default)]
        more: Option<SecretText>,
        #[serde(with = "super::bytes")]
        bytes: SecretBytes,
        #[serde(with = "super::key")]
        key: SecretKey32,
    }

    fn holder(text: &str) -> Holder {
        let text = SecretText::new(text.to_owned());
        let key = SecretKey32::take(&mut [7; 32]);
        Holder { text, more: None, bytes: SecretBytes::new(vec![1, 2]), key }
    }

    #[test]
    fn secrets_come_back_as_they_were() {
        for text in ["", "plain", "q\"uo\\te/\n\t\u{8}\u{1}", "žluť 🦀"] {
            let json = crate::call::to_wiped_json(&holder(text)).unwrap();
            let back: Holder = serde_json::from_slice(&json).unwrap();
            assert_eq!(back.text.expose(), text);
            assert!(back.more.is_none());
            assert_eq!(back.bytes.expose(), [1, 2]);
            assert_eq!(back.key.expose(), &[7; 32]);
        }
        let escaped: Holder = serde_json::from_str(
            "{\"text\":\"\\ud83e\\udd80\\u00e9\",\"more\":\"x\",\"bytes\":\"\",\"key\":\"0000000000000000000000000000000000000000000000000000000000000001\"}",
        )
        .unwrap();
        assert_eq!((escaped.text.expose(), escaped.more.unwrap().expose()), ("🦀é", "x"));
    }

    #[test]
    fn what_does_not_fit_is_not_repeated() {
        for json in [
            r#"{"text":12345,"bytes":"","key":""}"#,
            r#"{"text":"12345","bytes":"12345","key":""}"#,
            r#"{"text":"12345","bytes":"12","key":"12345"}"#,
            r#"{"text":"\ud83e12345","bytes":"","key":""}"#,
        ] {
            let error = serde_json::from_str::<Holder>(json).unwrap_err().to_string();
            assert!(!error.contains("12345"), "{error}");
        }
    }
}
