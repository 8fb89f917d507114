//! Methods of NIP-46 by their names.

use keep_nip46::client::V3Context;
use keep_types::{Blame, ErrorCode, EventTemplate, Fault, Intent, PublicKey, Scheme, SecretText, V3Use};

use super::RemoteSigner;

impl RemoteSigner {
    /// Calls a method by its name; the other side of a message may be `self`.
    ///
    /// # Errors
    /// [`ErrorCode::Usage`] without such a method, or with too few parameters; what the bunker answers, with its own code
    /// where that is one of the table, else as [`ErrorCode::RefusedByPolicy`].
    pub async fn call(&self, method: &str, params: &[String]) -> Result<serde_json::Value, Fault> {
        ask(self, method, params).await.map_err(refusal)
    }

    /// A failure with the code of what the bunker answered, where it answered with an error: that is a refusal, and no
    /// trouble with the network.
    pub fn refusal(fault: Fault) -> Fault {
        refusal(fault)
    }
}

/// What a bunker's error answer counts as: what its first word says, where that is one of our table; else that it refuses.
fn refusal(fault: Fault) -> Fault {
    let Some(said) = fault.message().strip_prefix("the signer answered: ") else { return fault };
    if fault.code() != ErrorCode::Peer {
        return fault;
    }
    let word = said.split_once(": ").and_then(|(word, _)| ErrorCode::from_word(word));
    let code = word.filter(|code| !matches!(code.blame(), Blame::Storage | Blame::Bug));
    Fault::new(code.unwrap_or(ErrorCode::RefusedByPolicy), fault.message())
        .with_hint("whoever runs that bunker decides what it answers")
}

/// Calls a method by its name, with parameters as people write them.
pub async fn ask(signer: &RemoteSigner, method: &str, params: &[String]) -> Result<serde_json::Value, Fault> {
    let text = |text: &str| serde_json::Value::from(text);
    let param = |at: usize, what: &str| {
        params.get(at).cloned().ok_or_else(|| {
            Fault::new(ErrorCode::Usage, format!("{method} needs {what}"))
                .with_hint("see `keep nip46 call --help`")
        })
    };
    let peer = || match param(0, "the other side's public key")?.as_str() {
        "self" => Ok(*signer.public_key()),
        given => PublicKey::parse(given)
            .map_err(|_| Fault::new(ErrorCode::InvalidInput, "the other side is no public key")),
    };
    Ok(match method {
        "connect" => text("ack"),
        "ping" => {
            signer.ping().await?;
            text("pong")
        }
        "get_public_key" => text(&signer.public_key().to_hex()),
        "sign_event" => {
            let template = EventTemplate::from_json(&param(0, "the event as JSON")?)?;
            let event = signer.sign_event(template).await?;
            serde_json::to_value(event)
                .map_err(|_| Fault::new(ErrorCode::Bug, "an event has no JSON form"))?
        }
        "nip44_encrypt" | "nip04_encrypt" => {
            let message = SecretText::new(param(1, "the text")?);
            text(&signer.encrypt(scheme(method), peer()?, message).await?)
        }
        "nip44_decrypt" | "nip04_decrypt" => {
            let plain = signer.decrypt(scheme(method), peer()?, param(1, "the encrypted text")?).await?;
            text(plain.expose())
        }
        "nip44v3_encrypt" | "nip44v3_decrypt" => {
            let kind = param(1, "the kind")?.parse();
            let kind = kind.map_err(|_| Fault::new(ErrorCode::Usage, "the second parameter is a kind"))?;
            let context =
                V3Context { peer: peer()?, kind, scope: param(2, "the scope, which may be empty")? };
            if method == "nip44v3_encrypt" {
                let base64 = SecretText::new(param(3, "the bytes in base64")?);
                text(&signer.encrypt_v3(context, base64).await?)
            } else {
                text(signer.decrypt_v3(context, param(3, "the encrypted payload")?).await?.expose())
            }
        }
        "switch_relays" => match signer.switch_relays().await? {
            Some(relays) => relays.iter().map(ToString::to_string).collect::<Vec<_>>().into(),
            None => serde_json::Value::Null,
        },
        "logout" => {
            signer.log_out().await?;
            text("ack")
        }
        _ => {
            let methods = "connect, ping, get_public_key, sign_event, nip44_encrypt, nip44_decrypt, nip04_encrypt, \
                           nip04_decrypt, nip44v3_encrypt, nip44v3_decrypt, switch_relays, logout";
            return Err(Fault::new(ErrorCode::Usage, "there is no such method")
                .with_hint(format!("there are {methods}")));
        }
    })
}

fn scheme(method: &str) -> Scheme {
    if method.starts_with("nip04") { Scheme::Nip04 } else { Scheme::Nip44 }
}

/// What a call does with the key, for whoever is asked about it; nothing where the key is not used.
pub fn intent(user: &PublicKey, method: &str, params: &[String]) -> Result<Option<Intent>, Fault> {
    let param = |at: usize| params.get(at).cloned().unwrap_or_default();
    let peer = || match param(0).as_str() {
        "self" => Ok(*user),
        given => PublicKey::parse(given)
            .map_err(|_| Fault::new(ErrorCode::InvalidInput, "the other side is no public key")),
    };
    Ok(Some(match method {
        "sign_event" => Intent::SignEvent(EventTemplate::from_json(&param(0))?.into_unsigned(*user)?),
        "nip44_encrypt" | "nip04_encrypt" => {
            Intent::Encrypt { scheme: scheme(method), peer: peer()?, plaintext: SecretText::new(param(1)) }
        }
        "nip44_decrypt" | "nip04_decrypt" => {
            Intent::Decrypt { scheme: scheme(method), peer: peer()?, ciphertext: param(1) }
        }
        "nip44v3_encrypt" | "nip44v3_decrypt" => {
            let kind = param(1).parse();
            let kind = kind.map_err(|_| Fault::new(ErrorCode::Usage, "the second parameter is a kind"))?;
            let (peer, scope) = (peer()?, param(2));
            Intent::Nip44V3(Box::new(if method == "nip44v3_encrypt" {
                let plaintext = keep_cipher::nip44v3::from_base64(&param(3))
                    .map_err(|_| Fault::new(ErrorCode::InvalidInput, "the fourth parameter is no base64"))?;
                V3Use::Encrypt { peer, kind, scope, plaintext }
            } else {
                V3Use::Decrypt { peer, kind, scope, payload: param(3) }
            }))
        }
        _ => return Ok(None),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bunkers_no_is_a_refusal_and_silence_is_none() {
        let said =
            |text: &str| refusal(Fault::new(ErrorCode::Peer, format!("the signer answered: {text}"))).code();
        assert_eq!(said("refused_by_person: the owner declined this request"), ErrorCode::RefusedByPerson);
        assert_eq!(said("no permission"), ErrorCode::RefusedByPolicy);
        assert_eq!(said("storage: the signer cannot answer now"), ErrorCode::RefusedByPolicy);
        assert_eq!(said("invalid_input: not an event").exit_code(), 5);
        assert_eq!(refusal(Fault::new(ErrorCode::Peer, "not an answer")).code(), ErrorCode::Peer);
        assert_eq!(refusal(Fault::new(ErrorCode::TimedOut, "late")).code().exit_code(), 6);
    }
}
