//! Accepts connections until it is told to stop.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use super::client::Connection;

/// The most bytes of the headers of a request.
pub(super) const HEADERS: usize = 64 << 10;

/// How long the last answers may take to go out.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How far the shutdown has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// It serves.
    Serving,
    /// No new connection and no new request; what runs may end.
    Draining,
    /// What runs is ended.
    Ending,
}

/// Serves each connection with `answer`. New ones are taken while the stage is [`Stage::Serving`]; those that
/// are open stay until [`Stage::Ending`], when each is closed behind its last answer, or when its client does not
/// take that. Returns when all are closed.
pub(crate) async fn serve<B, F>(
    listener: TcpListener,
    mut stage: watch::Receiver<Stage>,
    answer: impl Fn(Request<Incoming>) -> F + Send + Sync + 'static,
) where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: std::error::Error + Send + Sync,
    F: Future<Output = Response<B>> + Send,
{
    let answer = Arc::new(answer);
    let most = most_connections();
    let places = Arc::new(Semaphore::new(most as usize));
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let accepted = tokio::select! {
            accepted = accepted => accepted,
            _ = stage.wait_for(|stage| *stage > Stage::Serving) => break,
        };
        let (place, Ok((stream, _))) = accepted else {
            // No file descriptor is left: one may be in a moment.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        // Events must not wait for each other.
        let _ = stream.set_nodelay(true);
        let (answer, mut stage) = (Arc::clone(&answer), stage.clone());
        tokio::spawn(async move {
            let _place = place;
            let (stream, turn) = Connection::new(stream);
            let service = service_fn(|request| {
                turn.begin();
                let answered = answer(request);
                let turn = &turn;
                async move { Ok::<_, Infallible>(answered.await.map(|body| turn.answered(body))) }
            });
            let connection = http1::Builder::new()
                .header_read_timeout(None)
                .max_buf_size(HEADERS)
                .serve_connection(TokioIo::new(stream), service);
            let mut connection = std::pin::pin!(connection);
            // What goes wrong with a client is its own matter.
            tokio::select! {
                _ = connection.as_mut() => return,
                _ = stage.wait_for(|stage| *stage == Stage::Ending) => {}
            }
            connection.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(LAST_WORDS, connection).await;
        });
    }
    drop(listener);
    // All places are free when all connections are closed.
    let _ = places.acquire_many(most).await;
}

/// Lets the process have as many files as the system allows it, and gives the connections of clients that may
/// be open at once: the others wait, so that files are left for backends and the store.
fn most_connections() -> u32 {
    const OWN: u64 = 64;
    #[cfg(unix)]
    let files = {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let mut limit = getrlimit(Resource::Nofile);
        let before = limit.current;
        limit.current = limit.maximum;
        match setrlimit(Resource::Nofile, limit) {
            Ok(()) => limit.maximum,
            Err(error) => {
                tracing::info!("the limit of open files stays as it is: {error}");
                before
            }
        }
        .unwrap_or(u64::MAX)
    };
    // Memory is the only limit.
    #[cfg(windows)]
    let files = u64::MAX;
    let most = files.saturating_sub(OWN) / 2;
    u32::try_from(most).unwrap_or(u32::MAX).clamp(8, 1 << 20)
}
