use std::sync::Arc;
use std::time::{Duration, Instant};

#[cfg(unix)]
use base::process::is_ignored;
use base::{Error, ExitStatus, Result, counted, note, reason};
use db::Database;
use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};
#[cfg(windows)]
use tokio::signal::windows;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Context, some_time};
use crate::address::is_loopback;
use crate::cache::{Cache, Place, Rules};
use crate::routing::Providers;
use crate::serve::{
    Agents, Auth, Gateway, Keys, Log, Options, Route, Stage, answer, serve, watch_store,
};
use crate::store::{self, keys, requests};

/// Serve all models at one address, each by its fastest backend
///
/// An OpenAI-compatible router in front of the servers that 'localstore model add' names: clients change
/// their base URL and nothing else. It prints its address when it accepts connections.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore serve --addr 0.0.0.0:8000")]
pub struct Args {
    /// The address to listen on; port 0 for any free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8000")]
    addr: String,
    /// Whether clients need a key
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    auth: Auth,
    /// Which backend of a model is tried first
    #[arg(long, value_name = "ORDER", default_value = "fastest")]
    route: Route,
    /// Where answers are kept that come again: off, memory, redis, or an address such as redis://host:6379/0
    /// (rediss: with TLS). REDIS_URL in the environment does the same, and keeps a password out of the list
    /// of processes
    ///
    /// Kept are answers that are no stream, of requests for embeddings or with temperature 0. Without this
    /// option: that of REDIS_URL, else off.
    #[arg(long, value_name = "PLACE")]
    cache: Option<String>,
    /// How long an answer is kept; else CACHE_TTL in seconds, else 5m
    #[arg(long, value_name = "TIME", value_parser = some_time)]
    cache_ttl: Option<Duration>,
    /// The most bytes of '--cache memory'
    #[arg(long, value_name = "SIZE", default_value = "64M", value_parser = size)]
    cache_size: u64,
    /// Keep answers of any temperature
    #[arg(long)]
    cache_any: bool,
    /// The longest wait for the first byte of an answer, and between two
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = some_time)]
    timeout: Duration,
    /// How long a backend that failed three times is asked last
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = base::time::duration)]
    cool_down: Duration,
    /// The largest body of a request
    #[arg(long, value_name = "SIZE", default_value = "32M", value_parser = size)]
    max_body: u64,
    /// The most requests at once
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..))]
    max_inflight: u32,
    /// How long running requests may go on after a termination request
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = base::time::duration)]
    drain: Duration,
    /// How long each request is kept by itself; then only the sums of its day are
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = base::time::duration)]
    keep: Duration,
}

impl Args {
    /// Runs the command.
    pub fn run(&self, context: &mut Context<'_>) -> Result<ExitStatus> {
        let providers = Providers::from_environment()?;
        let rooms = [&store::ROOM, context.speeds.room()];
        let db = Database::open(context.location, &rooms)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build();
        let runtime = runtime.map_err(|error| Error::new("cannot start", reason(&error)))?;
        let served = runtime.block_on(self.serve(providers, db, context));
        // A name that is still being looked up is not waited for.
        runtime.shutdown_background();
        served
    }

    async fn serve(
        &self,
        providers: Providers,
        db: Database,
        context: &mut Context<'_>,
    ) -> Result<ExitStatus> {
        let mut signals = Signals::catch()?;
        let listener = listen(&self.addr).await?;
        let address = listener.local_addr()?;
        let is_loopback = is_loopback(&address.ip().to_string());
        let has_key = db.read(|db| Ok(keys::was_created(db, false)?))?;
        if !is_loopback && self.auth == Auth::Auto && !has_key {
            let why = "others can reach it, and there is no key yet";
            return Err(Error::new(&self.addr, why).hint("localstore key create NAME"));
        }
        let (stage, stages) = watch::channel(Stage::Serving);
        let options = Options {
            route: self.route,
            timeout: self.timeout,
            cool_down: self.cool_down,
            max_body: self.max_body,
            max_inflight: self.max_inflight as usize,
        };
        let db_of_rows = Database::open(context.location, &[&store::ROOM])?;
        let cache = self.cache().await?;
        let keys = Keys::new(self.auth, is_loopback, db);
        let needs_key = keys.is_needed();
        let live = db_of_rows.read(|db| Ok(requests::live(db)?))?;
        let gateway = Gateway::new(
            options,
            providers,
            keys,
            Some(Agents::start(context.location)?),
            cache,
            Some(Log::start(db_of_rows, self.keep)?),
            stages.clone(),
        )?;
        gateway.update_live(live);
        let gateway = Arc::new(gateway);
        let rooms = [&store::ROOM, context.speeds.room()];
        watch_store(
            Database::open(context.location, &rooms)?,
            context.speeds,
            &gateway,
        )?;
        self.say(&gateway, is_loopback, needs_key, context);
        context
            .out
            .styled(format!("http://{address}\n").as_bytes())?;
        context.out.finish()?;
        let shared = Arc::clone(&gateway);
        let serving = serve(listener, stages, move |request| {
            answer(Arc::clone(&shared), request)
        });
        let serving = tokio::spawn(serving);
        signals.next().await;
        let status = tokio::select! {
            () = end(&gateway, serving, &stage, self.drain) => ExitStatus::Success,
            () = signals.next() => ExitStatus::Failure,
        };
        if let Some(log) = &gateway.log {
            log.finish();
        }
        Ok(status)
    }

    /// The cache that the options name, else the environment. No error has an address: there may be a password
    /// in it.
    async fn cache(&self) -> Result<Cache> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let invalid = |what| {
            move |why: String| Error::new(what, why).hint("--cache redis://localhost:6379/0")
        };
        let place = match (self.cache.as_deref(), variable("REDIS_URL")) {
            (None | Some("redis"), Some(url)) => {
                Place::Redis(url.parse().map_err(invalid("REDIS_URL"))?)
            }
            (Some(place), _) => place.parse().map_err(invalid("--cache"))?,
            (None, None) => Place::Off,
        };
        let ttl = match (self.cache_ttl, variable("CACHE_TTL")) {
            (Some(ttl), _) => ttl,
            (None, Some(text)) => some_time(&text).map_err(|why| Error::new("CACHE_TTL", why))?,
            (None, None) => Duration::from_mins(5),
        };
        let rules = Rules {
            ttl,
            size: self.cache_size,
            any: self.cache_any,
        };
        Cache::open(place, rules).await
    }

    fn say(
        &self,
        gateway: &Gateway,
        is_loopback: bool,
        needs_key: bool,
        context: &mut Context<'_>,
    ) {
        let models = gateway.registry().models.len();
        let keys = if needs_key {
            "a key is needed"
        } else {
            "no key is needed"
        };
        let store = context.location.path.display();
        note(&format!("{} in {store}; {keys}", counted(models, "model")));
        if let Some(place) = gateway.cache.place() {
            note(&format!("cache: {place}"));
        }
        if models == 0 {
            base::Stderr::line("hint: localstore model add NAME --url URL");
        }
        if !is_loopback && self.auth == Auth::Off {
            note("everybody who reaches this address can use it: '--auth off'");
        }
    }
}

/// Waits for what runs, at most so long, and then ends it.
pub(super) async fn end(
    gateway: &Gateway,
    serving: JoinHandle<()>,
    stage: &watch::Sender<Stage>,
    drain: Duration,
) {
    let running = gateway.running();
    if running > 0 {
        let requests = counted(running, "request");
        note(&format!("{requests} may go on for {} s", drain.as_secs()));
    }
    stage.send_replace(Stage::Draining);
    let end = Instant::now() + drain;
    while gateway.running() > 0 && Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stage.send_replace(Stage::Ending);
    let _ = serving.await;
}

/// Listens on `HOST:PORT`.
pub(super) async fn listen(address: &str) -> Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    listener.map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::AddrInUse => "'--addr 127.0.0.1:0' takes any free port",
            _ => "--addr HOST:PORT",
        };
        Error::new(address, reason(&error)).hint(hint)
    })
}

/// Termination requests: Ctrl-C, what `kill` sends, and a closed terminal.
#[cfg(unix)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// `None` under nohup.
    hangup: Option<Signal>,
}

#[cfg(unix)]
impl Signals {
    pub(super) fn catch() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: if is_ignored(SignalKind::hangup().as_raw_value()) {
                None
            } else {
                Some(signal(SignalKind::hangup())?)
            },
        })
    }

    /// Resolves at the next one.
    pub(super) async fn next(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = hangup => {}
        }
    }
}

/// Termination requests: Ctrl-C, Ctrl-Break, a console that is closed, and the end of the system. After the last
/// two, Windows ends us in a few seconds, whatever still runs.
#[cfg(windows)]
pub(super) struct Signals {
    interrupt: windows::CtrlC,
    terminate: windows::CtrlBreak,
    close: windows::CtrlClose,
    shutdown: windows::CtrlShutdown,
}

#[cfg(windows)]
impl Signals {
    pub(super) fn catch() -> Result<Self> {
        Ok(Self {
            interrupt: windows::ctrl_c()?,
            terminate: windows::ctrl_break()?,
            close: windows::ctrl_close()?,
            shutdown: windows::ctrl_shutdown()?,
        })
    }

    /// Resolves at the next one.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.close.recv() => {}
            _ = self.shutdown.recv() => {}
        }
    }
}

/// Reads a size such as `64K`, `32M` or `1G`.
fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 1 << 10),
        Some((at, 'm' | 'M')) => (&text[..at], 1 << 20),
        Some((at, 'g' | 'G')) => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    let number = number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(unit));
    number
        .filter(|size| *size > 0)
        .ok_or_else(|| "64K, 32M, 1G, or a number of bytes".to_owned())
}
