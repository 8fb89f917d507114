//! Many clients, over streamable HTTP on the loopback interface.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use keep_sdk::agent::RelayOffer;
use keep_sdk::{ErrorCode, Fault, SecretText};
use rmcp::transport::StreamableHttpServerConfig;
use rmcp::transport::streamable_http_server::StreamableHttpService;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use subtle::ConstantTimeEq;
use tokio::net::{TcpListener, TcpStream};

use crate::connections::{Connections, Known};
use crate::sessions::Sessions;
use crate::{Access, Server, fault};

/// Where and for whom it listens.
#[derive(Debug)]
pub struct HttpOptions {
    /// An address of the loopback interface; port 0 for a free one.
    pub address: SocketAddr,
    /// What clients must show as `Authorization: Bearer …`.
    pub bearer: SecretText,
    /// Web pages that may use it, by their origin; none, if it is empty.
    pub origins: Vec<String>,
    /// How long the head of a request may take, and then its body. A connection that asks nothing for so long is closed.
    pub patience: Duration,
}

impl HttpOptions {
    /// Long enough for everybody on the same machine.
    pub const PATIENCE: Duration = Duration::from_secs(20);
}

type Service = StreamableHttpService<Server, LocalSessionManager>;
/// What answers clients.
struct Served {
    service: Service,
    sessions: Sessions,
}

type Answer = Response<BoxBody<Bytes, Infallible>>;

/// The longest body of a request, in bytes: an event with a content of 1 MB fits, however it is escaped.
const MAX_BODY: usize = 8 << 20;
/// The path of the endpoint.
const PATH: &str = "/mcp";

/// A server that listens.
pub struct HttpServer {
    listener: TcpListener,
    service: Arc<Served>,
    bearer: Arc<SecretText>,
    address: SocketAddr,
    patience: Duration,
}

impl std::fmt::Debug for HttpServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpServer").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Listens. Each client that initialises has a session of its own, as far as sessions are made here.
///
/// # Errors
/// [`ErrorCode::Usage`] when the address is not on the loopback interface; when it cannot be listened on.
pub async fn serve_http(
    access: Arc<Access>,
    relays: Arc<RelayOffer>,
    options: HttpOptions,
) -> Result<HttpServer, Fault> {
    if !options.address.ip().is_loopback() {
        return Err(Fault::new(ErrorCode::Usage, format!("{} is not on this machine only", options.address))
            .with_hint("listen on 127.0.0.1; others reach it through a tunnel of theirs"));
    }
    let failed = |error: std::io::Error| {
        Fault::new(ErrorCode::Usage, format!("cannot listen on {}: {error}", options.address))
    };
    let listener = TcpListener::bind(options.address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let mut config = StreamableHttpServerConfig::default().enforce_origin_validation();
    config.allowed_origins = options.origins;
    config.max_request_body_bytes = MAX_BODY;
    let make = move || Ok(Server::new(Arc::clone(&access), Arc::clone(&relays)));
    let sessions = Sessions::default();
    let service = Service::new(make, sessions.manager(), config);
    let service = Arc::new(Served { service, sessions });
    let (bearer, patience) = (Arc::new(options.bearer), options.patience);
    Ok(HttpServer { listener, service, bearer, address, patience })
}

impl HttpServer {
    /// The address of the endpoint.
    pub fn url(&self) -> String {
        format!("http://{}{PATH}", self.address)
    }

    /// Serves until it is dropped.
    pub async fn run(self) {
        let connections = Arc::new(Connections::default());
        loop {
            connections.room().await;
            let Ok((stream, _)) = self.listener.accept().await else {
                // There is no file descriptor left, say: trying again at once would only burn the processor.
                connections.make_way();
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let (service, bearer, patience) =
                (Arc::clone(&self.service), Arc::clone(&self.bearer), self.patience);
            connections.admit(|known| attend(stream, service, bearer, patience, known));
        }
    }
}

async fn attend(
    stream: TcpStream,
    service: Arc<Served>,
    bearer: Arc<SecretText>,
    patience: Duration,
    known: Known,
) {
    let _ = stream.set_nodelay(true);
    let known = Arc::new(known);
    let answer = service_fn(move |request: Request<Incoming>| {
        let (service, bearer, known) = (Arc::clone(&service), Arc::clone(&bearer), Arc::clone(&known));
        async move { Ok::<_, Infallible>(answer(&service, &bearer, patience, &known, request).await) }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(patience);
    if let Err(error) = http.serve_connection(TokioIo::new(stream), answer).await {
        tracing::debug!(%error, "a connection of MCP failed");
    }
}

async fn answer(
    served: &Served,
    bearer: &SecretText,
    patience: Duration,
    known: &Known,
    request: Request<Incoming>,
) -> Answer {
    if request.uri().path() != PATH {
        return refuse(StatusCode::NOT_FOUND, "there is nothing here; the endpoint is /mcp");
    }
    if !shows(request.headers(), bearer) {
        return refuse(StatusCode::UNAUTHORIZED, "this needs the bearer token that was printed at the start");
    }
    if !known.is_client() {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "there are too many connections");
    }
    let (head, body) = request.into_parts();
    match tokio::time::timeout(patience, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(body)) => {
            served.sessions.asked(&head.headers);
            let answer = served.service.handle(Request::from_parts(head, Full::new(body.to_bytes()))).await;
            served.sessions.answered(answer.headers()).await;
            answer
        }
        Ok(Err(_)) => refuse(StatusCode::PAYLOAD_TOO_LARGE, "the request is too long, or was cut off"),
        Err(_) => refuse(StatusCode::REQUEST_TIMEOUT, "the request came too slowly"),
    }
}

fn shows(headers: &HeaderMap, bearer: &SecretText) -> bool {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    given.as_bytes().ct_eq(bearer.expose().as_bytes()).into()
}

fn refuse(status: StatusCode, message: &'static str) -> Answer {
    let fault = Fault::new(ErrorCode::RefusedByPolicy, message);
    let mut response = Response::new(Full::new(Bytes::from(fault::text(&fault))).boxed());
    *response.status_mut() = status;
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    // Whoever is refused has no connection to keep.
    response.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
    }
    response
}
