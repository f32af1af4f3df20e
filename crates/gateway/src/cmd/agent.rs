use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use base::{Error, ExitStatus, Result, note, reason};
use tokio::sync::watch;

use super::serve::{Signals, end, listen};
use super::{Context, name, some_time};
use crate::address::{base_url, is_loopback};
use crate::cache::Cache;
use crate::connector::Connector;
use crate::engine::{AgentKey, Announcement, Engine, Router, Setup, become_engine};
use crate::routing::Providers;
use crate::serve::{Gateway, Keys, Options, Route, Stage, answer, client, serve};
use crate::speeds::Filters;

/// How long a request may take: the gateway, or the client, ends it before.
const LONGEST: Duration = Duration::from_hours(24);

/// How long running requests may go on after a termination request.
const DRAIN: Duration = Duration::from_secs(30);

/// Start a model server, and register it with a gateway
///
/// The command is that of an engine, such as llama-server, llamafile or vLLM. It is started at once on a
/// free port of this machine, which stands for ${PORT} in its arguments, with its own process group. When
/// it is ready, the agent prints its own address, passes on to the engine what OpenAI's clients ask, and
/// tells the gateway every 10 seconds that it is there. An engine that nobody asks is stopped, and started
/// again by the next request; one that dies is started again.
///
/// The key of 'localstore key create --agent' is in LOCALSTORE_KEY, or the first line of the file that
/// LOCALSTORE_KEY_FILE names. The engine sees neither.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "localstore agent [OPTIONS] --model <NAME> -- <CMD>...",
    mut_arg("model", |arg| arg.long("results-model")),
    after_help = "Example:
  localstore agent --router http://gw:8000 --model llama8 -- llama-server -m x.gguf --port '${PORT}'"
)]
pub struct Args {
    /// The name that clients ask for, repeatable
    #[arg(long = "model", id = "served", value_name = "NAME", required_unless_present = "engine_of",
        action = clap::ArgAction::Append, value_parser = name)]
    served: Vec<String>,
    /// A gateway to register with, repeatable [default: none]
    #[arg(long, value_name = "URL", action = clap::ArgAction::Append)]
    router: Vec<Router>,
    /// The name of this agent [default: that of the machine]
    #[arg(long, value_name = "HOST", value_parser = name)]
    name: Option<String>,
    /// The address to listen on; port 0 for any free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:5000")]
    addr: String,
    /// Where gateways reach this agent [default: --addr, with the machine's name for 0.0.0.0]
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// Stop the engine after this time without a request; 0: never
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = base::time::duration)]
    idle: Duration,
    /// The longest wait for the engine to be ready
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = some_time)]
    ready: Duration,
    /// The requests that the engine serves at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    parallel: u32,
    #[command(flatten)]
    filters: Filters,
    /// Become the engine of the agent with this process id
    #[arg(long, value_name = "PID", hide = true)]
    engine_of: Option<u32>,
    /// The engine's command and its arguments
    #[arg(value_name = "CMD", trailing_var_arg = true)]
    command: Vec<OsString>,
}

impl Args {
    /// Runs the command.
    pub fn run(&self, context: &mut Context<'_>) -> Result<ExitStatus> {
        if self.command.is_empty() {
            let hint = "the engine's command stands behind '--'";
            return Err(Error::new("missing parameter", "CMD").hint(hint));
        }
        if let Some(parent) = self.engine_of {
            return become_engine(parent, &self.command).map(|never| match never {});
        }
        let key = AgentKey::from_environment()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build();
        let runtime = runtime.map_err(|error| Error::new("cannot start", reason(&error)))?;
        let served = runtime.block_on(self.serve(key, context));
        // A name that is still being looked up is not waited for.
        runtime.shutdown_timeout(Duration::from_secs(1));
        served
    }

    async fn serve(&self, key: Option<AgentKey>, context: &mut Context<'_>) -> Result<ExitStatus> {
        let mut signals = Signals::catch()?;
        let listener = listen(&self.addr).await?;
        let address = listener.local_addr()?;
        let is_loopback = is_loopback(&address.ip().to_string());
        let name = self.name.clone().unwrap_or_else(host_name);
        if !is_loopback && key.is_none() {
            let why = "others can reach it, and there is no key in LOCALSTORE_KEY";
            let hint = "'localstore key create NAME --agent' at the gateway makes one";
            return Err(Error::new(&self.addr, why).hint(hint));
        }
        let bearer = match &key {
            Some(key) if !is_loopback => key.bearer(&name),
            _ => None,
        };
        let (stage, stages) = watch::channel(Stage::Serving);
        let engine = Engine::new();
        let keys = Keys::of_agent(is_loopback, bearer.as_ref());
        let mut gateway = Gateway::new(
            options(),
            Providers::default(),
            keys,
            None,
            Cache::off(),
            None,
            stages.clone(),
        )?;
        gateway.engine = Some(Arc::clone(&engine));
        let gateway = Arc::new(gateway);
        let client = client(Connector::new()?);
        let agent = self.announcement(name, &address)?;
        let setup = self.setup();
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        let mut running = std::pin::pin!(engine.run(&setup, &gateway, &client, || {
            let _ = ready.send(());
        }));
        tokio::select! {
            ended = running.as_mut() => return ended.map(|()| ExitStatus::Failure),
            _ = is_ready => {}
            () = signals.next() => {
                engine.end();
                return tokio::select! {
                    ended = running => ended.map(|()| ExitStatus::Success),
                    () = signals.next() => Ok(ExitStatus::Failure),
                };
            }
        }
        context
            .out
            .styled(format!("http://{address}\n").as_bytes())?;
        context.out.finish()?;
        let far = self.router.iter().find(|router| !router.is_loopback());
        if far.is_some() && is_loopback && self.endpoint.is_none() {
            note("only this machine reaches the agent: '--addr HOST:PORT' lets the gateway in");
        }
        let shared = Arc::clone(&gateway);
        let serving = tokio::spawn(serve(listener, stages, move |request| {
            answer(Arc::clone(&shared), request)
        }));
        let leave = watch::Sender::new(false);
        let mut told = tokio::task::JoinSet::new();
        let key = key.map(Arc::new);
        for router in self.router.clone() {
            let (client, agent, engine) = (client.clone(), agent.clone(), Arc::clone(&engine));
            let (key, leaving) = (key.clone(), leave.subscribe());
            told.spawn(async move {
                router
                    .follow(&client, key.as_deref(), &agent, &engine, leaving)
                    .await;
            });
        }
        tokio::select! {
            ended = running.as_mut() => return ended.map(|()| ExitStatus::Failure),
            () = signals.next() => {}
        }
        let leaving = async {
            leave.send_replace(true);
            while told.join_next().await.is_some() {}
            end(&gateway, serving, &stage, DRAIN).await;
            engine.end();
            // It is ended by what runs it.
            std::future::pending::<()>().await;
        };
        tokio::select! {
            ended = running => ended.map(|()| ExitStatus::Success),
            () = leaving => Ok(ExitStatus::Success),
            () = signals.next() => Ok(ExitStatus::Failure),
        }
    }

    fn setup(&self) -> Setup {
        Setup {
            command: self.command.clone(),
            models: self.served.clone(),
            parallel: self.parallel,
            idle: self.idle,
            ready: self.ready,
        }
    }

    fn announcement(&self, name: String, address: &std::net::SocketAddr) -> Result<Announcement> {
        Ok(Announcement {
            endpoint: self.endpoint(address)?,
            name,
            models: self.served.clone(),
            parallel: self.parallel,
            filters: self.filters.clone(),
        })
    }

    /// Where gateways reach the agent.
    fn endpoint(&self, address: &std::net::SocketAddr) -> Result<String> {
        if let Some(typed) = &self.endpoint {
            return base_url(typed).map(|(url, _)| url);
        }
        if address.ip().is_unspecified() {
            let (host, port) = (host_name(), address.port());
            return base_url(&format!("http://{host}:{port}")).map(|(url, _)| url);
        }
        Ok(format!("http://{address}/v1"))
    }
}

/// What an agent leaves to the gateways before it.
fn options() -> Options {
    Options {
        route: Route::First,
        timeout: LONGEST,
        cool_down: Duration::from_secs(1),
        max_body: 1 << 30,
        max_inflight: 1024,
    }
}

/// The name of the machine.
fn host_name() -> String {
    #[cfg(unix)]
    let name = rustix::system::uname()
        .nodename()
        .to_str()
        .map(str::to_owned);
    #[cfg(windows)]
    let name = std::env::var("COMPUTERNAME");
    name.ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}
