//! One client, on standard input and output.

use keep_sdk::Fault;
use rmcp::ServiceExt;

use crate::{Server, fault};

/// Serves until the client closes its end.
///
/// # Errors
/// When the client does not speak the protocol.
pub async fn serve_stdio(server: Server) -> Result<(), Fault> {
    let running = server.serve(rmcp::transport::stdio()).await;
    let running = running.map_err(|error| {
        Fault::new(keep_sdk::ErrorCode::Peer, format!("the client does not speak MCP: {error}"))
            .with_hint("this command is started by an MCP client, with its standard input and output")
    })?;
    running.waiting().await.map_err(|_| fault::bug("the server failed"))?;
    Ok(())
}
