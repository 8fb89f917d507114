//! What each method of NIP-46 comes to.

use keep_nip46::message::{Connect, Method, Reply};
use keep_nip46::server::Ticket;
use keep_signer::{Arrival, Claims, Repeatable, SignerError};
use keep_types::{
    Answer, Blame, DisplayText, ErrorCode, Fault, Intent, Origin, Request, RequestId, SecretText, Timestamp,
    event_json,
};
use sha2::{Digest, Sha256};

use super::activity::Activity;
use super::endpoints::Served;
use super::service::Service;

/// What stands around a method: whose request it is, and what makes it repeatable.
pub struct Asking<'a> {
    pub ticket: &'a Ticket,
    pub digest: [u8; 32],
    pub asked_at: Timestamp,
    pub received: Vec<u8>,
    pub arrival: Arrival,
}

impl Asking<'_> {
    fn origin(&self) -> Origin {
        Origin::Nip46 { client: self.ticket.client, endpoint: self.ticket.endpoint }
    }

    /// Clients repeat short ids, so the same id is the same request only with the same method and parameters.
    fn repeatable(&mut self) -> Repeatable {
        let fingerprint = (!self.ticket.call_id.is_empty()).then(|| {
            let digest = Sha256::new()
                .chain_update(b"keep request v1")
                .chain_update(self.ticket.client.as_bytes())
                .chain_update(self.ticket.endpoint.as_bytes())
                .chain_update(self.digest)
                .chain_update(self.ticket.call_id.to_text())
                .finalize();
            hex::encode(digest)
        });
        Repeatable { received: std::mem::take(&mut self.received), fingerprint }
    }
}

/// Answers a method; `None` for a copy of a request that is being decided, which gets its answer there.
pub async fn answer(
    service: &Service,
    served: &Served,
    method: Method,
    asking: Asking<'_>,
    before_asking: impl FnOnce() -> Result<(), Fault> + Send,
) -> Option<Reply> {
    let (client, id) = (asking.ticket.client, asking.ticket.call_id.clone());
    let name = DisplayText::truncated(method.name(), 40);
    let outcome = match method {
        Method::Connect(connect) => {
            self::connect(service, connect, &asking).await.map(|()| Reply::ack(id.clone()))
        }
        Method::Ping => known(service, &asking).map(|()| Reply::pong(id.clone())),
        Method::SwitchRelays => known(service, &asking).map(|()| match served.moved() {
            Some(relays) => Reply::relays(id.clone(), relays),
            None => Reply::relays_unchanged(id.clone()),
        }),
        Method::Logout => logout(service, &asking).await.map(|()| Reply::ack(id.clone())),
        Method::Unknown(unknown) => {
            Err(Fault::new(ErrorCode::UnsupportedMethod, format!("there is no method \"{unknown}\"")))
        }
        Method::GetPublicKey
        | Method::SignEvent(_)
        | Method::Encrypt { .. }
        | Method::Decrypt { .. }
        | Method::Nip44V3(_) => {
            return use_key(service, served, method, asking, before_asking).await;
        }
    };
    Some(outcome.unwrap_or_else(|fault| {
        refused(service, client, name, &fault);
        Reply::failure(id, &public(fault))
    }))
}

/// What a client is told of a failure: nothing about the disk or the inside of the vault.
fn public(fault: Fault) -> Fault {
    match fault.code().blame() {
        Blame::Storage | Blame::Bug => Fault::new(fault.code(), "the signer cannot answer now"),
        Blame::Caller | Blame::Policy | Blame::Approval | Blame::Peer => fault,
    }
}

async fn connect(service: &Service, connect: Connect, asking: &Asking<'_>) -> Result<(), Fault> {
    let (client, endpoint) = (asking.ticket.client, asking.ticket.endpoint);
    let secret = connect.secret.map(|secret| secret.expose().to_owned());
    let said = |text: &Option<DisplayText>| text.as_ref().map(ToString::to_string);
    let claims = Claims { name: said(&connect.metadata.name), url: said(&connect.metadata.url) };
    let shown = connect.metadata.name.clone().unwrap_or_default();
    service.connections.connect(client, endpoint, secret, claims).await?;
    if !service.is_known(client, endpoint) {
        service.welcome(client, endpoint);
        service.tell(Activity::Connected { client, claims: shown });
    }
    Ok(())
}

/// What needs no key is still only for clients that are connected.
fn known(service: &Service, asking: &Asking<'_>) -> Result<(), Fault> {
    if service.is_known(asking.ticket.client, asking.ticket.endpoint) {
        return Ok(());
    }
    Err(keep_policy::Reason::NotConnected.into())
}

async fn logout(service: &Service, asking: &Asking<'_>) -> Result<(), Fault> {
    let (client, endpoint) = (asking.ticket.client, asking.ticket.endpoint);
    if service.connections.disconnect(client, endpoint, asking.origin()).await? {
        service.dismiss(client, endpoint);
        service.tell(Activity::LoggedOut { client });
    }
    Ok(())
}

async fn use_key(
    service: &Service,
    served: &Served,
    method: Method,
    mut asking: Asking<'_>,
    before_asking: impl FnOnce() -> Result<(), Fault> + Send,
) -> Option<Reply> {
    let (client, id) = (asking.ticket.client, asking.ticket.call_id.clone());
    let name = DisplayText::truncated(method.name(), 40);
    let intent = match intent(served, method) {
        Ok(intent) => intent,
        Err(fault) => {
            refused(service, client, name, &fault);
            return Some(Reply::failure(id, &fault));
        }
    };
    let kind = intent.kind().map(|kind| kind.as_u16());
    let request = Request {
        id: RequestId::from_bytes(asking.ticket.event_id.to_bytes()),
        origin: asking.origin(),
        key: served.record.key,
        intent,
        asked_at: asking.asked_at,
    };
    let (repeat, arrival) = (asking.repeatable(), asking.arrival);
    match service.signer.handle_with(request, Some(repeat), arrival, before_asking).await {
        Ok(answer) => {
            service.tell(Activity::Answered { client, method: name, kind });
            Some(Reply::success(id, text_of(answer)))
        }
        Err(SignerError::InProgress) => None,
        Err(error) => {
            let fault = Fault::from(error);
            refused(service, client, name, &fault);
            Some(Reply::failure(id, &public(fault)))
        }
    }
}

/// The typed intent of a method that uses the key.
fn intent(served: &Served, method: Method) -> Result<Intent, Fault> {
    match method {
        Method::GetPublicKey => Ok(Intent::GetPublicKey),
        Method::SignEvent(template)
            if template.author().is_some_and(|author| author == served.transport.public_key().to_hex()) =>
        {
            let message =
                "the application takes this bunker's key for the user's, as before November 2024 (NIP-46)";
            Err(Fault::new(ErrorCode::InvalidEvent, message)
                .with_hint("it needs a newer version of its library"))
        }
        Method::SignEvent(template) => Ok(Intent::SignEvent(template.into_unsigned(served.author)?)),
        Method::Encrypt { scheme, peer, plaintext } => Ok(Intent::Encrypt { scheme, peer, plaintext }),
        Method::Decrypt { scheme, peer, ciphertext } => Ok(Intent::Decrypt { scheme, peer, ciphertext }),
        Method::Nip44V3(usage) => Ok(Intent::Nip44V3(usage)),
        Method::Connect(_) | Method::Ping | Method::SwitchRelays | Method::Logout | Method::Unknown(_) => {
            Err(Fault::new(ErrorCode::Bug, "this method uses no key"))
        }
    }
}

/// The result as NIP-46 writes it.
fn text_of(answer: Answer) -> SecretText {
    match answer {
        Answer::PublicKey(key) => SecretText::new(key.to_hex()),
        Answer::Event(event) => SecretText::new(event_json("", &event, "")),
        Answer::Ciphertext(text) => SecretText::new(text),
        Answer::Plaintext(text) => text,
        // NIP-46 has no method for these, and secrets are denied to every client before this; an empty result becomes an
        // error.
        Answer::SecretKey(_)
        | Answer::BitcoinAccount(_)
        | Answer::Psbt(_)
        | Answer::MessageSignature(_)
        | Answer::Share(_)
        | Answer::Signature(_)
        | Answer::SignatureShares(_)
        | Answer::SpendShares(_)
        | Answer::Ceremony(_)
        | Answer::Done => SecretText::new(String::new()),
    }
}

fn refused(service: &Service, client: keep_types::PublicKey, method: DisplayText, fault: &Fault) {
    service.tell(Activity::Refused { client, method, reason: fault.message().into() });
}
