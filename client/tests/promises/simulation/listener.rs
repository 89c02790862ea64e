//! Serving on the simulated network.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::{Connected, TcpConnectInfo};

use crate::proto::authorization_service_server::{AuthorizationService, AuthorizationServiceServer};

/// Serves on `listener` for ever.
pub async fn serve_on(
    listener: turmoil::net::TcpListener,
    service: AuthorizationServiceServer<impl AuthorizationService>,
) -> Result<(), Box<dyn Error>> {
    tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(3)))
        .http2_keepalive_timeout(Some(Duration::from_secs(3)))
        .add_service(service)
        .serve_with_incoming(connections(listener))
        .await?;
    Ok(())
}

/// Returns what `listener` accepts.
fn connections(listener: turmoil::net::TcpListener) -> impl tokio_stream::Stream<Item = io::Result<Connection>> {
    let (sender, connections) = mpsc::channel(1);
    tokio::task::spawn_local(async move {
        loop {
            let accepted = listener.accept().await.map(|(stream, _)| Connection(stream));
            if sender.send(accepted).await.is_err() {
                return;
            }
        }
    });
    ReceiverStream::new(connections)
}

/// A connection of the simulated network.
struct Connection(turmoil::net::TcpStream);

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        TcpConnectInfo { local_addr: self.0.local_addr().ok(), remote_addr: self.0.peer_addr().ok() }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
