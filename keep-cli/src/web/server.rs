//! Answering browsers.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use keep_sdk::{Approvals, Breadth, ErrorCode, Fault, Keep, PendingView, SecretText, Surface, counted};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::form::{decision, fields};
use super::page;
use super::pages::{Page, Pages, same};

/// How many connections there may be at a time.
const MAX_CONNECTIONS: usize = 16;
/// The longest form, in bytes.
const MAX_FORM: usize = 4 << 10;
/// How long a browser may take for its request.
const PATIENCE: Duration = Duration::from_secs(10);

type Answer = Response<Full<Bytes>>;

/// The pages while they can be seen.
pub struct Server(JoinHandle<()>);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Shared {
    pages: Arc<Pages>,
    keep: Keep,
    queue: Arc<Approvals>,
    host: String,
}

/// Listens on this machine alone; `port` 0 for a free one. Needs the runtime.
///
/// # Errors
/// When it cannot be listened on.
pub async fn listen(
    pages: Arc<Pages>,
    keep: Keep,
    queue: Arc<Approvals>,
    port: u16,
) -> Result<Server, Fault> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let failed = |error: std::io::Error| {
        Fault::new(ErrorCode::Usage, format!("cannot listen on {address}: {error}"))
            .with_hint("choose another port with --auth-port")
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let host = listener.local_addr().map_err(failed)?.to_string();
    pages.are_at(format!("http://{host}"));
    let shared = Arc::new(Shared { pages, keep, queue, host });
    Ok(Server(tokio::spawn(accept(listener, shared))))
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            // Whoever only keeps a connection open loses it.
            let _ = tokio::time::timeout(3 * PATIENCE, attend(stream, shared)).await;
            drop(slot);
        });
    }
}

async fn attend(stream: TcpStream, shared: Arc<Shared>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(answer(&shared, request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection of a browser failed");
    }
}

async fn answer(shared: &Arc<Shared>, request: Request<Incoming>) -> Answer {
    // A name that was made to lead here, by somebody else's DNS, is not ours.
    if header_of(request.headers(), &header::HOST) != Some(&shared.host) {
        return said(StatusCode::MISDIRECTED_REQUEST, "Not here", "This server has another name.");
    }
    let token = request.uri().path().trim_start_matches('/').to_owned();
    let Some(page) = shared.pages.find(&token) else { return gone() };
    match *request.method() {
        Method::GET => {
            let is_whole = request.uri().query() == Some(page::WHOLE);
            show(shared, page, is_whole, None).await
        }
        Method::POST => match decided(shared, &page, request).await {
            Ok(answer) => answer,
            Err(Unheard { is_whole, fault }) => {
                show(shared, page, is_whole, Some(fault.message().to_owned())).await
            }
        },
        _ => said(StatusCode::METHOD_NOT_ALLOWED, "Not so", "This page is looked at, and its form is sent."),
    }
}

/// Runs what may wait for the disk elsewhere.
async fn with_keep<T: Send + 'static>(
    shared: &Arc<Shared>,
    work: impl FnOnce(&Keep) -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    let keep = shared.keep.clone();
    tokio::task::spawn_blocking(move || work(&keep))
        .await
        .map_err(|_| Fault::new(ErrorCode::Bug, "the decision was not carried out"))?
}

/// The request of a page, if it still waits.
async fn pending(shared: &Arc<Shared>, page: &Page, is_whole: bool) -> Option<PendingView> {
    let id = shared.queue.id_of(page.request)?;
    if is_whole {
        return with_keep(shared, move |keep| keep.inbox().show(&id)).await.ok();
    }
    let all = with_keep(shared, |keep| keep.inbox().pending()).await.ok()?;
    all.into_iter().find(|one| one.id == id)
}

async fn show(shared: &Arc<Shared>, page: Page, is_whole: bool, error: Option<String>) -> Answer {
    match pending(shared, &page, is_whole).await {
        Some(pending) => {
            let status = if error.is_some() { StatusCode::FORBIDDEN } else { StatusCode::OK };
            html(status, page::request(&page, &pending, is_whole, error.as_deref()))
        }
        None => {
            shared.pages.close(&page.token);
            gone()
        }
    }
}

fn gone() -> Answer {
    let text = "It was decided, it ran out, or this address never was one. This window can be closed.";
    said(StatusCode::NOT_FOUND, "Nothing waits here", text)
}

/// A form that decided nothing.
struct Unheard {
    /// Whether it was on the page that leaves nothing out.
    is_whole: bool,
    fault: Fault,
}

async fn decided(shared: &Arc<Shared>, page: &Page, request: Request<Incoming>) -> Result<Answer, Unheard> {
    let mut is_whole = false;
    let decided = decide(shared, page, request, &mut is_whole).await;
    decided.map_err(|fault| Unheard { is_whole, fault })
}

async fn decide(
    shared: &Arc<Shared>,
    page: &Page,
    request: Request<Incoming>,
    is_whole: &mut bool,
) -> Result<Answer, Fault> {
    let refuse = |message: &str| Fault::new(ErrorCode::RefusedByPolicy, message);
    let origin = header_of(request.headers(), &header::ORIGIN);
    let own = format!("http://{}", shared.host);
    if origin != Some(&own) {
        return Err(refuse("the form was sent from another page"));
    }
    let body = Limited::new(request.into_body(), MAX_FORM).collect();
    let body = tokio::time::timeout(PATIENCE, body).await.ok().and_then(Result::ok);
    let fields = fields(&body.ok_or_else(|| refuse("the form did not arrive"))?.to_bytes());
    let field = |name: &str| fields.get(name).map_or("", String::as_str).to_owned();
    *is_whole = same(&page.whole, &field("seal"));
    if !*is_whole && !same(&page.seal, &field("seal")) {
        return Err(refuse("the form is not that of this page: load it again"));
    }
    let (approve, lasting) =
        decision(&field("action"), &field("scope")).ok_or_else(|| refuse("nothing was decided"))?;
    let id = shared.queue.id_of(page.request).ok_or_else(|| refuse("this request is gone"))?;
    if approve && !*is_whole {
        let shown = pending(shared, page, false).await.ok_or_else(|| refuse("this request is gone"))?;
        if shown.not_shown > 0 {
            return Err(refuse(
                "some of this request was not shown: look at all of it, then approve it there",
            ));
        }
    }
    let person = field("person");
    let vote = if person.trim().is_empty() {
        shared.pages.check(&field("code"))?;
        let is_wide = approve && lasting.is_some_and(|lasting| lasting.breadth == Breadth::Client);
        if is_wide && field("sure") != "yes" {
            let pending =
                pending(shared, page, *is_whole).await.ok_or_else(|| refuse("this request is gone"))?;
            return Ok(html(StatusCode::OK, page::confirm(page, &pending, *is_whole, &field("action"))));
        }
        with_keep(shared, move |keep| keep.inbox().decide_at(Surface::Page, &id, approve, lasting)).await?
    } else {
        let code = SecretText::new(field("code"));
        with_keep(shared, move |keep| keep.inbox().vote(&id, approve, person.trim(), code)).await?
    };
    let (title, text) = match (vote.settled, vote.approved) {
        (true, true) => ("Approved", "The application has its answer. This window can be closed.".to_owned()),
        (true, false) => ("Denied", "The application was told. This window can be closed.".to_owned()),
        (false, _) => ("Noted", format!("It takes {}.", counted(vote.needs, "more person"))),
    };
    if vote.settled {
        shared.pages.close(&page.token);
    }
    Ok(said(StatusCode::OK, title, &text))
}

fn header_of<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    let mut all = headers.get_all(name).iter();
    let first = all.next()?.to_str().ok()?;
    all.next().is_none().then_some(first)
}

fn said(status: StatusCode, title: &str, text: &str) -> Answer {
    html(status, page::word(title, text))
}

fn html(status: StatusCode, text: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        // With none at all, forms would come without their origin.
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // Whoever opened the page keeps no hold of it.
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}
