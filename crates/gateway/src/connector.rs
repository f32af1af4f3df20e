//! Connections to other servers.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::address::is_loopback;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
const CONNECT_NEAR: Duration = Duration::from_secs(1);

/// Makes connections within a time, all of it: name, address and TLS.
#[derive(Clone)]
pub(crate) struct Connector(HttpsConnector<Tcp>);

impl Connector {
    /// Trusts whom the other client trusts.
    pub(crate) fn new() -> base::Result<Self> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls()?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(Tcp(http));
        Ok(Self(https))
    }
}

impl tower_service::Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<Listening>>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let time = if uri.host().is_some_and(is_loopback) {
            CONNECT_NEAR
        } else {
            CONNECT
        };
        let connecting = self.0.call(uri);
        Box::pin(async move {
            match tokio::time::timeout(time, connecting).await {
                Ok(connected) => connected,
                Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
            }
        })
    }
}

/// Makes the connections below TLS.
#[derive(Clone)]
struct Tcp(HttpConnector);

impl tower_service::Service<Uri> for Tcp {
    type Response = TokioIo<Listening>;
    type Error = <HttpConnector as tower_service::Service<Uri>>::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.0.call(uri);
        Box::pin(async move {
            let stream = connecting.await?.into_inner();
            Ok(TokioIo::new(Listening {
                stream,
                is_used: false,
                is_asking: false,
                is_reset: false,
                untaken: Untaken::default(),
            }))
        })
    }
}

/// A connection that is still read when the server takes no more: one that refuses a large body answers, and
/// closes before it has read all of it.
pub(crate) struct Listening {
    stream: TcpStream,
    /// Whether something has come on it.
    is_used: bool,
    /// Whether something was sent that nothing has come for.
    is_asking: bool,
    /// Whether what was sent was refused.
    is_reset: bool,
    untaken: Untaken,
}

/// Whether a connection that had been used was closed before the server took the next request: that one may be
/// sent again.
#[derive(Debug, Clone, Default)]
pub(crate) struct Untaken(Arc<AtomicBool>);

impl Untaken {
    /// Whether it was.
    pub(crate) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Listening {
    /// What cannot be written is let go. Where there is no answer, reading tells that the connection is closed.
    fn written(
        &mut self,
        written: Poll<io::Result<usize>>,
        length: usize,
    ) -> Poll<io::Result<usize>> {
        self.is_asking |= written.is_ready();
        match written {
            Poll::Ready(Err(error)) if is_reset(&error) => {
                self.is_reset = true;
                Poll::Ready(Ok(length))
            }
            written => written,
        }
    }

    /// The server has closed the connection. If it did so before what was sent had come, that was refused.
    fn closed(&mut self, error: Option<&io::Error>) {
        let late = self.stream.take_error().ok().flatten();
        self.is_reset |= error.into_iter().chain(&late).any(is_reset);
        if self.is_used && self.is_asking && self.is_reset {
            self.untaken.0.store(true, Ordering::Relaxed);
        }
    }
}

fn is_reset(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(
        error.kind(),
        BrokenPipe | ConnectionAborted | ConnectionReset
    )
}

impl Connection for Listening {
    fn connected(&self) -> Connected {
        self.stream.connected().extra(self.untaken.clone())
    }
}

impl AsyncRead for Listening {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        match &read {
            Poll::Pending => {}
            Poll::Ready(Ok(())) if buffer.filled().len() > before => {
                self.is_used = true;
                self.is_asking = false;
            }
            Poll::Ready(Ok(())) => self.closed(None),
            Poll::Ready(Err(error)) => self.closed(Some(error)),
        }
        read
    }
}

impl AsyncWrite for Listening {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(written, bytes.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.written(written, bytes.iter().map(|bytes| bytes.len()).sum())
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

fn tls() -> base::Result<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(net::certificates());
    let provider = rustls::crypto::ring::default_provider();
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| base::Error::new("TLS", error))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
