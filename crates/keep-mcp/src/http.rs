//! Many clients, over streamable HTTP on the loopback interface.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use keep_sdk::{ErrorCode, Fault, SecretText};
use rmcp::transport::StreamableHttpServerConfig;
use rmcp::transport::streamable_http_server::StreamableHttpService;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use subtle::ConstantTimeEq;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

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
}

type Service = StreamableHttpService<Server, LocalSessionManager>;
type Answer = Response<BoxBody<Bytes, Infallible>>;

/// How many connections there may be at a time.
const MAX_CONNECTIONS: usize = 128;
/// The path of the endpoint.
const PATH: &str = "/mcp";

/// A server that listens.
pub struct HttpServer {
    listener: TcpListener,
    service: Arc<Service>,
    bearer: Arc<SecretText>,
    address: SocketAddr,
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
    relays: Arc<Vec<String>>,
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
    let make = move || Ok(Server::new(Arc::clone(&access), Arc::clone(&relays)));
    let service = Arc::new(Service::new(make, Arc::default(), config));
    Ok(HttpServer { listener, service, bearer: Arc::new(options.bearer), address })
}

impl HttpServer {
    /// The address of the endpoint.
    pub fn url(&self) -> String {
        format!("http://{}{PATH}", self.address)
    }

    /// Serves until it is dropped.
    pub async fn run(self) {
        let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
            let Ok((stream, _)) = self.listener.accept().await else { continue };
            let (service, bearer) = (Arc::clone(&self.service), Arc::clone(&self.bearer));
            tokio::spawn(async move {
                attend(stream, service, bearer).await;
                drop(slot);
            });
        }
    }
}

async fn attend(stream: TcpStream, service: Arc<Service>, bearer: Arc<SecretText>) {
    let _ = stream.set_nodelay(true);
    let answer = service_fn(move |request: Request<Incoming>| {
        let (service, bearer) = (Arc::clone(&service), Arc::clone(&bearer));
        async move { Ok::<_, Infallible>(answer(&service, &bearer, request).await) }
    });
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection of MCP failed");
    }
}

async fn answer(service: &Service, bearer: &SecretText, request: Request<Incoming>) -> Answer {
    if request.uri().path() != PATH {
        return refuse(StatusCode::NOT_FOUND, "there is nothing here; the endpoint is /mcp");
    }
    if !shows(request.headers(), bearer) {
        return refuse(StatusCode::UNAUTHORIZED, "this needs the bearer token that was printed at the start");
    }
    service.handle(request).await
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
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
    }
    response
}
