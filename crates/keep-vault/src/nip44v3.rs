//! Uses of NIP-44 version 3 (draft).

use keep_cipher::nip44v3::{self, Context};
use keep_policy::{PlaintextClass, PlaintextClasses};
use keep_types::{Answer, RequestId, Timestamp, V3Use};
use secp256k1::Keypair;
use sha2::{Digest, Sha256};

use crate::VaultError;
use crate::secrets::{payload, shared_x};
use crate::subkeys::AnswerKey;

/// Encrypts or decrypts. As with version 2, the nonce follows from request and plaintext; bytes are base64 in the answer.
pub(crate) fn answer(
    keys: &AnswerKey,
    pair: &Keypair,
    request: &RequestId,
    asked_at: Timestamp,
    usage: V3Use,
    releases: PlaintextClasses,
) -> Result<Answer, VaultError> {
    match usage {
        V3Use::Encrypt { peer, kind, scope, plaintext } => {
            let digest = Sha256::digest(plaintext.expose());
            let parts: [&[u8]; 6] = [
                request.as_bytes(),
                &asked_at.as_secs().to_be_bytes(),
                &peer.to_bytes(),
                &kind.to_be_bytes(),
                &Sha256::digest(&scope),
                &digest,
            ];
            let nonce = keys.derive(b"n443", &parts);
            let shared = shared_x(pair, &peer)?;
            let context = Context { kind, scope: &scope };
            let sealed = nip44v3::encrypt(&shared, context, plaintext.expose(), &nonce).map_err(payload)?;
            Ok(Answer::Ciphertext(sealed))
        }
        V3Use::Decrypt { peer, kind, scope, payload: sealed } => {
            let shared = shared_x(pair, &peer)?;
            let plain =
                nip44v3::decrypt(&shared, Context { kind, scope: &scope }, &sealed).map_err(payload)?;
            let class = std::str::from_utf8(plain.expose()).map_or(PlaintextClass::Text, PlaintextClass::of);
            if !releases.contains(class) {
                return Err(VaultError::Withheld(class));
            }
            Ok(Answer::Plaintext(nip44v3::to_base64(&plain)))
        }
    }
}
