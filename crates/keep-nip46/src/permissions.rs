//! Permission strings: `method[:param]`, separated by commas.

use std::fmt;
use std::str::FromStr;

use keep_types::{DisplayText, Operation};
use serde::{Deserialize, Serialize};

/// The most entries that are read from a client's wish.
const MAX_ENTRIES: usize = 64;
/// The longest method or parameter, in bytes.
const MAX_PART: usize = 64;

/// Why a text is not a permission.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PermissionError {
    /// Not `method` or `method:param`.
    #[error("\"{0}\" is not a permission; write it as in sign_event:1 or nip44_encrypt")]
    Form(DisplayText),
    /// `sign_event` with a parameter that is no kind.
    #[error("\"{0}\" does not name an event kind from 0 to 65535")]
    Kind(DisplayText),
    /// Too many entries.
    #[error("more than {MAX_ENTRIES} permissions")]
    TooMany,
}

/// One permission, as NIP-46 writes it. NIP-46 defines a parameter for `sign_event` only: the kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Permission {
    method: String,
    param: Option<String>,
}

impl Permission {
    /// The method.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// What follows the colon.
    pub fn param(&self) -> Option<&str> {
        self.param.as_deref()
    }

    /// The operation that the method names, if Keep knows it.
    pub fn operation(&self) -> Option<Operation> {
        self.method.parse().ok()
    }

    /// The event kind, for `sign_event:<kind>`. `sign_event` alone names none, and so all of them: grant that only
    /// where it is meant.
    pub fn kind(&self) -> Option<u16> {
        if self.method == Operation::SignEvent.as_str() { self.param.as_deref()?.parse().ok() } else { None }
    }
}

impl FromStr for Permission {
    type Err = PermissionError;

    fn from_str(text: &str) -> Result<Self, PermissionError> {
        let form = || PermissionError::Form(DisplayText::truncated(text, 40));
        let (method, param) = match text.split_once(':') {
            Some((method, param)) => (method, Some(param)),
            None => (text, None),
        };
        let is_word = |part: &str| {
            (1..=MAX_PART).contains(&part.len())
                && part.bytes().all(|b| b.is_ascii_graphic() && b != b',' && b != b':')
        };
        if !is_word(method) || param.is_some_and(|param| !is_word(param)) {
            return Err(form());
        }
        let permission = Self { method: method.to_owned(), param: param.map(str::to_owned) };
        if method == Operation::SignEvent.as_str() && param.is_some() && permission.kind().is_none() {
            return Err(PermissionError::Kind(DisplayText::truncated(text, 40)));
        }
        Ok(permission)
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.method)?;
        self.param.as_ref().map_or(Ok(()), |param| write!(f, ":{param}"))
    }
}

/// A list of permissions, without repetitions, in the order given. What a client asks for is a wish, never a grant.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Permissions(Vec<Permission>);

impl Permissions {
    /// Reads a list strictly: an entry that is none is an error. Empty entries count for nothing.
    ///
    /// # Errors
    /// [`PermissionError`] with the first entry that does not fit.
    pub fn parse(list: &str) -> Result<Self, PermissionError> {
        let mut permissions = Vec::new();
        for entry in list.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let permission = entry.parse()?;
            if permissions.contains(&permission) {
                continue;
            }
            if permissions.len() == MAX_ENTRIES {
                return Err(PermissionError::TooMany);
            }
            permissions.push(permission);
        }
        Ok(Self(permissions))
    }

    /// Reads what a client wishes: entries that are no permissions are left out, and so is everything after the first
    /// 64. A wish that cannot be read must not keep a client from connecting.
    pub fn from_wish(list: &str) -> Self {
        let mut permissions = Vec::new();
        for entry in list.split(',').take(4 * MAX_ENTRIES) {
            match entry.trim().parse() {
                Ok(permission) if permissions.len() < MAX_ENTRIES && !permissions.contains(&permission) => {
                    permissions.push(permission);
                }
                Ok(_) | Err(_) => {}
            }
        }
        Self(permissions)
    }

    /// The permissions.
    pub fn iter(&self) -> std::slice::Iter<'_, Permission> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> IntoIterator for &'a Permissions {
    type Item = &'a Permission;
    type IntoIter = std::slice::Iter<'a, Permission>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        let mut list = Vec::new();
        for permission in permissions {
            if !list.contains(&permission) {
                list.push(permission);
            }
        }
        Self(list)
    }
}

impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, permission) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{permission}")?;
        }
        Ok(())
    }
}

impl TryFrom<String> for Permissions {
    type Error = PermissionError;

    fn try_from(list: String) -> Result<Self, PermissionError> {
        Self::parse(&list)
    }
}

impl From<Permissions> for String {
    fn from(permissions: Permissions) -> Self {
        permissions.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_round_trip() {
        let list = "nip44_encrypt,sign_event:4,sign_event,nip44v3_decrypt:7";
        let permissions = Permissions::parse(list).unwrap();
        assert_eq!(permissions.to_string(), list);
        let kinds: Vec<_> = permissions.iter().map(|p| (p.operation(), p.kind())).collect();
        assert_eq!(kinds[1], (Some(Operation::SignEvent), Some(4)));
        assert_eq!(kinds[2], (Some(Operation::SignEvent), None));
        assert_eq!(kinds[3], (Some(Operation::Nip44V3Decrypt), None));
        assert_eq!(Permissions::parse(" ping , ping,,").unwrap().to_string(), "ping");
        assert!(Permissions::parse("").unwrap().is_empty());
    }

    #[test]
    fn a_strict_list_names_what_does_not_fit() {
        for (list, part) in [("ping,sign event", "sign event"), ("sign_event:", "sign_event:"), (":1", ":1")]
        {
            assert_eq!(Permissions::parse(list), Err(PermissionError::Form(part.into())));
        }
        for kind in ["x", "65536", "-1", "1.0"] {
            let entry = format!("sign_event:{kind}");
            assert_eq!(Permissions::parse(&entry), Err(PermissionError::Kind(entry.as_str().into())));
        }
        let many: Vec<String> = (0..65).map(|kind| format!("sign_event:{kind}")).collect();
        assert_eq!(Permissions::parse(&many.join(",")), Err(PermissionError::TooMany));
    }

    #[test]
    fn a_wish_keeps_what_fits() {
        let wish = "ping,sign event,sign_event:x,\u{202e},sign_event:1";
        assert_eq!(Permissions::from_wish(wish).to_string(), "ping,sign_event:1");
        let many: Vec<String> = (0..1000).map(|kind| format!("sign_event:{kind}")).collect();
        assert_eq!(Permissions::from_wish(&many.join(",")).len(), 64);
    }
}
