//! Fetching over HTTP/1.1: one GET, without redirects, cookies or proxies.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use keep_types::{DisplayText, ErrorCode, Fault};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use url::Url;

/// The most that headers may take, in bytes.
const MAX_HEAD: usize = 64 << 10;

/// A server that is asked with GET. Blocks the thread that asks.
#[derive(Debug, Clone)]
pub struct HttpClient {
    base: Url,
    tls: Arc<rustls::ClientConfig>,
    /// The longest that one answer may take.
    timeout: Duration,
    /// The largest answer, in bytes.
    limit: usize,
}

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The status, 200 for success.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The address is not one of a server.
    #[error("\"{0}\" is not the address of a server")]
    Url(DisplayText),
    /// The server cannot be reached, or does not speak HTTP.
    #[error("{server}: {reason}")]
    Failed {
        /// Host and port.
        server: DisplayText,
        /// What went wrong.
        reason: DisplayText,
    },
}

impl From<HttpError> for Fault {
    fn from(error: HttpError) -> Self {
        let text = error.to_string();
        match error {
            HttpError::Url(_) => Self::new(ErrorCode::InvalidUri, text)
                .with_hint("write it as https://server/path, or http:// for a server of your own"),
            HttpError::Failed { .. } => Self::new(ErrorCode::Peer, text)
                .with_hint("check the server's address and the network, or try another server"),
        }
    }
}

impl HttpClient {
    /// A client for the server at `base`, below which every path lies.
    ///
    /// # Errors
    /// [`HttpError::Url`] when it is not an `http` or `https` address, or has credentials, a query or a fragment.
    pub fn new(base: &str, timeout: Duration, limit: usize) -> Result<Self, HttpError> {
        let wrong = || HttpError::Url(DisplayText::truncated(base, 200));
        let url = Url::parse(base.trim()).map_err(|_| wrong())?;
        let plain = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() || !plain {
            return Err(wrong());
        }
        let tls = crate::tls::client_config(&[]).map_err(|error| HttpError::Failed {
            server: "TLS".into(),
            reason: DisplayText::from(error.to_string()),
        })?;
        Ok(Self { base: url, tls, timeout, limit })
    }

    /// Fetches `path`, which begins with a slash and is added to the address of the server.
    ///
    /// # Errors
    /// [`HttpError::Failed`]. A status that is no success is none.
    pub fn get(&self, path: &str) -> Result<HttpAnswer, HttpError> {
        self.try_get(path).map_err(|reason| {
            let port = self.base.port_or_known_default().unwrap_or_default();
            let server = format!("{}:{port}", self.base.host_str().unwrap_or_default());
            HttpError::Failed { server: DisplayText::from(server), reason: DisplayText::from(reason) }
        })
    }

    fn try_get(&self, path: &str) -> Result<HttpAnswer, String> {
        let host = self.base.host_str().ok_or("it has no host")?;
        let deadline = Instant::now() + self.timeout;
        let tcp = self.connect()?;
        let target = format!("{}{path}", self.base.path().trim_end_matches('/'));
        let authority = match self.base.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: keep\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        );
        let bytes = if self.base.scheme() == "https" {
            let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
                .map_err(|_| "not a name that a certificate can hold")?;
            let connection = ClientConnection::new(Arc::clone(&self.tls), name).map_err(|e| e.to_string())?;
            self.exchange(StreamOwned::new(connection, tcp), &request, deadline)?
        } else {
            self.exchange(tcp, &request, deadline)?
        };
        parse(&bytes)
    }

    fn connect(&self) -> Result<TcpStream, String> {
        let addresses = self.base.socket_addrs(|| None).map_err(|_| "the name cannot be resolved")?;
        let mut failure = "the name has no address".to_owned();
        for address in addresses.iter().flat_map(|address| address.to_socket_addrs()).flatten() {
            match TcpStream::connect_timeout(&address, self.timeout) {
                Ok(stream) => {
                    let timed = stream
                        .set_read_timeout(Some(self.timeout))
                        .and_then(|()| stream.set_write_timeout(Some(self.timeout)));
                    return timed.map(|()| stream).map_err(|e| crate::wire::describe_io(&e));
                }
                Err(error) => failure = crate::wire::describe_io(&error),
            }
        }
        Err(failure)
    }

    /// Sends the request and reads to the end.
    fn exchange(
        &self,
        mut stream: impl Read + Write,
        request: &str,
        deadline: Instant,
    ) -> Result<Vec<u8>, String> {
        stream.write_all(request.as_bytes()).map_err(|e| crate::wire::describe_io(&e))?;
        let mut bytes = Vec::new();
        let mut part = vec![0; 16 << 10];
        loop {
            match stream.read(&mut part) {
                Ok(0) => return Ok(bytes),
                Ok(read) => bytes.extend_from_slice(&part[..read]),
                // Many servers end TLS without saying so. Whether all has come is checked by its length.
                Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(bytes),
                Err(e) => return Err(crate::wire::describe_io(&e)),
            }
            if bytes.len() > self.limit + MAX_HEAD {
                return Err("the answer is too large".to_owned());
            }
            if Instant::now() > deadline {
                return Err("the answer takes too long".to_owned());
            }
        }
    }
}

fn parse(bytes: &[u8]) -> Result<HttpAnswer, String> {
    const NO_HTTP: &str = "it does not speak HTTP";
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").ok_or(NO_HTTP)?;
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| NO_HTTP)?;
    let body = &bytes[end + 4..];
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    let status = status.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1));
    let status: u16 = status.and_then(|code| code.parse().ok()).ok_or(NO_HTTP)?;
    let header = |wanted: &str| {
        head.split("\r\n").skip(1).find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.trim().eq_ignore_ascii_case(wanted).then(|| value.trim())
        })
    };
    let chunked = header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
    let body = match header("content-length") {
        _ if chunked => unchunk(body)?,
        Some(length) => {
            let length: usize = length.parse().map_err(|_| NO_HTTP)?;
            body.get(..length).ok_or("the answer was cut off")?.to_vec()
        }
        None => body.to_vec(),
    };
    Ok(HttpAnswer { status, body })
}

/// Undoes the chunked transfer coding (RFC 9112 §7.1).
fn unchunk(mut rest: &[u8]) -> Result<Vec<u8>, String> {
    const CUT: &str = "the answer was cut off";
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n").ok_or(CUT)?;
        let size = std::str::from_utf8(&rest[..end]).ok().and_then(|line| line.split(';').next());
        let size = size.and_then(|size| usize::from_str_radix(size.trim(), 16).ok()).ok_or(CUT)?;
        let chunk_end = size.checked_add(end + 2).ok_or(CUT)?;
        if size == 0 {
            return Ok(body);
        }
        body.extend_from_slice(rest.get(end + 2..chunk_end).ok_or(CUT)?);
        rest = rest.get(chunk_end + 2..).ok_or(CUT)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// A server that gives each of `answers` to one request, and the requests that it got.
    fn server(answers: Vec<&'static [u8]>) -> (String, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}/api/", listener.local_addr().unwrap());
        let thread = std::thread::spawn(move || {
            answers
                .into_iter()
                .map(|answer| {
                    let (mut stream, _) = listener.accept().unwrap();
                    let mut request = vec![0; 4096];
                    let read = stream.read(&mut request).unwrap();
                    stream.write_all(answer).unwrap();
                    String::from_utf8_lossy(&request[..read]).lines().next().unwrap_or_default().to_owned()
                })
                .collect()
        });
        (base, thread)
    }

    fn client(base: &str) -> HttpClient {
        HttpClient::new(base, Duration::from_secs(5), 1000).unwrap()
    }

    #[test]
    fn answers_are_read_whole_or_not_at_all() {
        let (base, thread) = server(vec![
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n",
            b"HTTP/1.1 404 Not Found\r\n\r\nno such thing",
            b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
            b"SSH-2.0-OpenSSH_9.2\r\n",
        ]);
        let client = client(&base);
        for _ in 0..2 {
            let answer = client.get("/tx/1").unwrap();
            assert_eq!((answer.status, answer.body.as_slice()), (200, b"hello".as_slice()));
        }
        assert_eq!(client.get("/tx/2").unwrap().status, 404);
        for reason in ["the answer was cut off", "the answer was cut off", "it does not speak HTTP"] {
            let error = client.get("/tx/3").unwrap_err();
            assert!(error.to_string().ends_with(reason), "{error}");
        }
        assert_eq!(thread.join().unwrap()[0], "GET /api/tx/1 HTTP/1.1");
    }

    #[test]
    fn a_large_answer_is_given_up() {
        let (base, thread) = server(vec![Box::leak(vec![b'x'; 200_000].into_boxed_slice())]);
        let error = client(&base).get("/").unwrap_err();
        assert!(error.to_string().ends_with("the answer is too large"), "{error}");
        drop(thread);
    }

    #[test]
    fn addresses_are_checked() {
        for bad in ["", "esplora", "ftp://x", "https://a:b@c", "https://c/?q", "file:///etc/passwd"] {
            assert!(HttpClient::new(bad, Duration::from_secs(1), 1).is_err(), "{bad}");
        }
        let nobody = client("http://127.0.0.1:1/").get("/x").unwrap_err();
        assert!(nobody.to_string().starts_with("127.0.0.1:1: "), "{nobody}");
        assert_eq!(Fault::from(nobody).code(), ErrorCode::Peer);
    }
}
