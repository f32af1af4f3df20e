use std::net::{TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use base::number::amount;
use base::{Error, Result, note, printable, shell_word};
use db::Database;
use hyper::Uri;

use super::Context;
use crate::address::{base_url, is_loopback};
use crate::cmd::name;
use crate::routing::{Backend, Providers};
use crate::speeds::Filters;
use crate::store::{ROOM, backends};

/// Add a backend for a model, or update it
///
/// The same NAME and URL again: updated. A URL without a path gets /v1. The key of a provider is in the
/// environment of 'localstore serve' as EXTERNAL_<PROVIDER>_KEY, nowhere else. The filters choose the stored
/// results that tell how fast the backend is: the newest of them counts. Without them its answers are timed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore model add llama8 --url http://127.0.0.1:8080 --model 'Llama 3.1 8B' --accelerator 4090
  localstore model add sonnet --provider anthropic --upstream claude-sonnet-4-5")]
pub(super) struct Args {
    /// The name that clients ask for
    #[arg(value_name = "NAME", value_parser = name)]
    name: String,
    /// The base URL of the server, which ends in /v1 as a rule [default: that of a known provider]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The name of the model there [default: NAME]
    #[arg(long, value_name = "NAME", value_parser = name)]
    upstream: Option<String>,
    /// Send the key of this provider
    #[arg(long, value_name = "PROVIDER", value_parser = provider)]
    provider: Option<String>,
    /// The requests that it serves at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    parallel: u32,
    #[command(flatten)]
    filters: Filters,
}

pub(super) fn run(args: &Args, context: &mut Context<'_>) -> Result<()> {
    let providers = Providers::from_environment()?;
    let (url, is_completed) = args.url(&providers)?;
    let backend = Backend {
        model: args.name.clone(),
        url,
        upstream: args.upstream.clone().unwrap_or(args.name.clone()),
        provider: args.provider.clone(),
        parallel: args.parallel,
        filters: args.filters.clone(),
        ..Backend::default()
    };
    let mut db = Database::open(context.location, &[&ROOM, context.speeds.room()])?;
    let (id, is_new, hidden) = db.write(|db| {
        let all = backends::all(db)?;
        let mut same = all.iter().filter(|other| other.model == backend.model);
        let same = same.find(|other| other.url == backend.url);
        if let Some(agent) = same.and_then(|same| same.agent.as_ref()) {
            let why = format!("the agent {} serves this model there", printable(agent));
            let remove = format!(
                "localstore model rm {} --url {}",
                shell_word(&backend.model),
                shell_word(&backend.url)
            );
            return Err(Error::new(&backend.url, why).hint(remove).into());
        }
        let is_new = same.is_none();
        let hidden = backends::registry(db)?.aliases.remove(&backend.model);
        Ok((backends::put(db, &backend)?, is_new, hidden))
    })?;
    let (model, url) = (printable(&backend.model), printable(&backend.url));
    let done = if is_new { "added" } else { "updated" };
    note(&format!("backend {id} of {model} {done}: {url}"));
    if is_completed {
        note("the URL had no path: /v1 was added");
    }
    if let Some(other) = hidden {
        let other = printable(&other);
        note(&format!(
            "{model} was another name of {other} and no longer leads there"
        ));
    }
    note_speed(&backend.filters, &db, context)?;
    note_key(&backend, &providers);
    if let Err(why) = connect(&backend.url) {
        note(&format!("warning: {url} does not answer: {why}"));
    }
    Ok(())
}

impl Args {
    /// The base URL, and whether /v1 was added to it.
    fn url(&self, providers: &Providers) -> Result<(String, bool)> {
        let Some(provider) = &self.provider else {
            let missing = || {
                Error::new("missing parameter", "--url URL")
                    .hint("localstore model add llama8 --url http://127.0.0.1:8080")
            };
            return base_url(self.url.as_deref().ok_or_else(missing)?);
        };
        match (&self.url, providers.url(provider)) {
            (Some(url), _) => base_url(url),
            (None, Some(url)) => Ok((url.to_owned(), false)),
            (None, None) => {
                let variable = Providers::variable(provider).replace("_KEY", "_URL");
                let why = "no base URL is known for this provider";
                Err(Error::new(provider, why).hint(format!("give --url URL, or set {variable}")))
            }
        }
    }
}

/// Says what the stored results tell of the speed.
fn note_speed(filters: &Filters, db: &Database, context: &Context<'_>) -> Result<()> {
    if filters.is_empty() {
        return Ok(());
    }
    let newest = db.read(|db| Ok(context.speeds.newest(db, filters)?))?;
    match newest.measured {
        Some(measured) => note(&format!(
            "its speed is that of run {}: prompt {} t/s, generation {} t/s",
            measured.run,
            amount(measured.speed.prompt_tps),
            amount(measured.speed.gen_tps)
        )),
        None => {
            note("no stored result with both speeds matches the filters: its answers are timed");
        }
    }
    if !newest.ambiguous.is_empty() {
        let all = newest.ambiguous.join("; ");
        note(&format!(
            "warning: the filters match more than one configuration: {all}"
        ));
    }
    Ok(())
}

/// Warns if the key of the provider is not there, or would be sent so that others can read it.
fn note_key(backend: &Backend, providers: &Providers) {
    let Some(provider) = &backend.provider else {
        return;
    };
    if providers.authorization(provider).is_none() {
        let variable = Providers::variable(provider);
        note(&format!(
            "warning: {variable} is not set: 'localstore serve' sends the key from there"
        ));
    }
    let uri: Uri = backend.url.parse().unwrap_or_default();
    if uri.scheme_str() == Some("http") && !uri.host().is_some_and(is_loopback) {
        note(&format!(
            "warning: the key of {provider} is sent without encryption"
        ));
    }
}

/// How long a server is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Connects to the server of the URL once; else why that failed.
fn connect(url: &str) -> Result<(), String> {
    let uri: Uri = url.parse().map_err(|_| "its address is invalid")?;
    let host = uri.host().unwrap_or_default();
    let host = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    let is_plain = uri.scheme_str() == Some("http");
    let port = uri.port_u16().unwrap_or(if is_plain { 80 } else { 443 });
    let (sender, receiver) = mpsc::channel();
    // Looking up a name cannot be given a time.
    thread::spawn(move || {
        let mut why = "its name leads to no address".to_owned();
        for address in (host.as_str(), port)
            .to_socket_addrs()
            .into_iter()
            .flatten()
        {
            match TcpStream::connect_timeout(&address, PATIENCE) {
                Ok(_) => return sender.send(Ok(())),
                Err(error) => why = base::reason(&error),
            }
        }
        sender.send(Err(why))
    });
    let connected = receiver.recv_timeout(PATIENCE);
    connected.unwrap_or_else(|_| Err("it took too long".to_owned()))
}

/// Reads the name of a provider, which is in the names of variables.
fn provider(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if text.is_empty() || text.len() > 64 || !text.chars().all(is_plain) {
        return Err("letters, digits, '-', '_' and '.': openai, anthropic, openrouter".to_owned());
    }
    Ok(text.to_lowercase())
}
