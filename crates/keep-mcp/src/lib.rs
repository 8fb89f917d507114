//! Keep for AI agents: tools over the Model Context Protocol (MCP).
//!
//! A [`Server`] speaks with one client. It has an [`Access`]: a session that the owner granted, or one that it makes
//! for itself and that may do no more than the owner lets every agent do. What the session may do is judged where the
//! vault is, so nothing here could widen it; this crate renders tools, asks the person at the client where the session
//! says that this person decides, and marks as data what other people wrote.
//!
//! [`stdio`](serve_stdio) serves one client, [`http`](serve_http) many, on the loopback interface and with a token.
#![forbid(unsafe_code)]

mod access;
mod connections;
mod elicit;
mod fault;
mod http;
mod question;
mod resources;
mod server;
mod sessions;
mod stdio;
mod tools;

pub use access::Access;
pub use http::{HttpOptions, HttpServer, serve_http};
pub use server::Server;
pub use stdio::serve_stdio;
