//! A request.

use keep_types::SecretText;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::loose::{Loose, Params, from_object};
use super::{CallId, MessageError, Method};
use crate::json::JsonWriter;

/// A request: `{"id", "method", "params"}`.
#[derive(Debug)]
pub struct Call {
    /// The id to echo.
    pub id: CallId,
    /// What is asked for.
    pub method: Method,
    /// SHA-256 over method and parameters: with the same client and id, the same digest means the same request sent
    /// again in a new event.
    pub digest: [u8; 32],
}

/// A request that cannot be understood. With an id it is answered with the error.
#[derive(Debug)]
pub struct BadCall {
    /// The id to echo, if there is one.
    pub id: Option<CallId>,
    /// What does not fit.
    pub error: MessageError,
}

#[derive(Deserialize)]
struct Wire {
    #[serde(default)]
    id: Loose,
    #[serde(default)]
    method: Loose,
    #[serde(default = "Params::empty")]
    params: Params,
    #[serde(default)]
    result: Loose,
    #[serde(default)]
    error: Loose,
}

#[derive(Deserialize)]
struct WireId {
    #[serde(default)]
    id: Loose,
}

impl Call {
    /// Reads a request as clients really send them: `params` may be absent or null, parameters may be of any type,
    /// unknown fields are ignored.
    ///
    /// # Errors
    /// [`BadCall`], with the id if one could be read.
    pub fn parse(json: &str) -> Result<Self, BadCall> {
        let Some(wire) = from_object::<Wire>(json) else {
            let id = from_object::<WireId>(json).and_then(|wire| CallId::from_loose(&wire.id));
            return Err(BadCall { id, error: MessageError::Json });
        };
        if wire.method.is_absent() && !(wire.result.is_absent() && wire.error.is_absent()) {
            return Err(BadCall { id: None, error: MessageError::NotACall });
        }
        let Some(id) = CallId::from_loose(&wire.id) else {
            return Err(BadCall { id: None, error: MessageError::NoId });
        };
        match read_method(wire.method, wire.params) {
            Ok((method, digest)) => Ok(Self { id, method, digest }),
            Err(error) => Err(BadCall { id: Some(id), error }),
        }
    }
}

fn read_method(name: Loose, params: Params) -> Result<(Method, [u8; 32]), MessageError> {
    let Loose::Text(name) = name else {
        return Err(MessageError::Missing("method"));
    };
    let params = params.0.ok_or(MessageError::Params)?;
    let digest = digest_of(name.expose(), &params);
    Ok((Method::read(name.expose(), params)?, digest))
}

/// SHA-256 over the name and each parameter, each with a mark for its type and its length.
fn digest_of(name: &str, params: &[Loose]) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut add = |mark: u8, bytes: &[u8]| {
        hash.update([mark]);
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    add(0, name.as_bytes());
    for param in params {
        match param {
            Loose::Absent => add(1, &[]),
            Loose::Text(text) => add(2, text.expose().as_bytes()),
            Loose::Other(value) => add(3, value.to_string().as_bytes()),
        }
    }
    hash.finalize().into()
}

/// The JSON of a request, for clients of ours.
pub fn write_call(id: &CallId, method: &str, params: &[&str]) -> SecretText {
    let mut json =
        JsonWriter::with_capacity(64 + method.len() + params.iter().map(|p| p.len()).sum::<usize>());
    id.write_to(json.raw("{\"id\":"));
    json.raw(",\"method\":").text(method).raw(",\"params\":[");
    for (at, param) in params.iter().enumerate() {
        json.raw(if at == 0 { "" } else { "," }).text(param);
    }
    json.raw("]}");
    json.finish()
}
