use base::{ExitStatus, Result, RowFormat};

use super::Context;
use crate::cmd::name;

/// Ask each backend of a model for 16 tokens
///
/// 'ttft_ms' is the time to the first byte of the answer; 'gen_tps' the speed from there on. The exit code is 1
/// if a backend failed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: localstore model test llama8")]
pub(super) struct Args {
    /// The model
    #[arg(value_name = "NAME", value_parser = name)]
    name: String,
    /// The output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: RowFormat,
}

#[cfg(not(feature = "network"))]
pub(super) fn run(args: &Args, _: &mut Context<'_>) -> Result<ExitStatus> {
    let Args { name, output } = args;
    tracing::debug!("{name} {output:?}");
    let why = "this program was built without the feature 'network'";
    Err(base::Error::new("cannot run 'model test'", why))
}

#[cfg(feature = "network")]
pub(super) fn run(args: &Args, context: &mut Context<'_>) -> Result<ExitStatus> {
    with_network::run(args, context)
}

#[cfg(feature = "network")]
mod with_network {
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use base::number::amount;
    use base::{Column, ColumnOf, Error, ExitStatus, Result, note, reason, rows};
    use http_body_util::{BodyExt, Full, Limited};
    use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT};
    use hyper::{Request, StatusCode};
    use serde::Serialize;
    use serde_json::{Value, json};

    use super::{Args, Context};
    use crate::answer::{Next, Source, is_framed, is_stream};
    use crate::cmd::model::{no_such_model, registry};
    use crate::connector::Connector;
    use crate::routing::{Backend, Meaning, Providers};
    use crate::serve::{HttpClient, client};
    use crate::store::{ROOM, agents, keys};

    /// How long an answer is waited for: an agent may have to start its engine first.
    const PATIENCE: Duration = Duration::from_mins(5);

    /// The longest answer that is read of a server that does not stream.
    const LONGEST: usize = 1 << 20;

    /// What became of the request to a backend.
    #[derive(Debug, Clone, Default, Serialize)]
    struct Tested {
        url: String,
        status: Option<u16>,
        ttft_ms: Option<f64>,
        gen_tps: Option<f64>,
        error: Option<&'static str>,
    }

    const COLUMNS: [ColumnOf<Tested>; 5] = [
        ("url", Column::Text, |tested| tested.url.clone()),
        ("status", Column::Number, |tested| {
            tested
                .status
                .map_or_else(String::new, |status| status.to_string())
        }),
        ("ttft_ms", Column::Number, |tested| {
            tested.ttft_ms.map_or_else(String::new, amount)
        }),
        ("gen_tps", Column::Number, |tested| {
            tested.gen_tps.map_or_else(String::new, amount)
        }),
        ("error", Column::Text, |tested| {
            tested.error.unwrap_or_default().to_owned()
        }),
    ];

    pub(super) fn run(args: &Args, context: &mut Context<'_>) -> Result<ExitStatus> {
        let backends = backends(&args.name, context)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::new("cannot start", reason(&error)))?;
        let client = client(Connector::new()?);
        let mut all = Vec::new();
        for (backend, authorization) in backends {
            all.push(runtime.block_on(test(&client, &backend, authorization)));
        }
        // A name that is still being looked up is not waited for.
        runtime.shutdown_background();
        rows::write(&all, args.output, &COLUMNS, Tested::clone, context.out)?;
        Ok(if all.iter().all(|tested| tested.error.is_none()) {
            ExitStatus::Success
        } else {
            ExitStatus::Failure
        })
    }

    /// The backends of what the name means, each with what it is shown.
    fn backends(
        name: &str,
        context: &Context<'_>,
    ) -> Result<Vec<(Arc<Backend>, Option<HeaderValue>)>> {
        let providers = Providers::from_environment()?;
        let registry = registry(context)?;
        let all = match registry.meaning(name, &providers) {
            Meaning::Model(model) => registry.models.get(&model).cloned().unwrap_or_default(),
            Meaning::Rule(backend) => vec![backend],
            Meaning::Unset(variable) => {
                return Err(Error::new(
                    base::printable(name),
                    format!("{variable} is not set"),
                ));
            }
            Meaning::Unknown => return Err(no_such_model(&registry, name)),
        };
        let agents = match context.existing_store(&[&ROOM])? {
            Some(db) => db.read(|db| Ok(agents::all(db)?))?,
            None => Vec::new(),
        };
        let shown = |backend: &Backend| {
            if let Some(agent) = &backend.agent {
                let (_, state) = agents.iter().find(|(name, _)| name == agent)?;
                let (_, hash) = state.key.as_ref()?;
                return keys::agent_bearer(hash, agent);
            }
            providers.authorization(backend.provider.as_ref()?).cloned()
        };
        let with_shown = all.into_iter().map(|backend| {
            let authorization = shown(&backend);
            if let (None, Some(provider)) = (&authorization, &backend.provider) {
                note(&format!(
                    "warning: {} is not set",
                    Providers::variable(provider)
                ));
            }
            (backend, authorization)
        });
        Ok(with_shown.collect())
    }

    async fn test(
        client: &HttpClient,
        backend: &Backend,
        authorization: Option<HeaderValue>,
    ) -> Tested {
        let mut tested = Tested {
            url: backend.url.clone(),
            ..Tested::default()
        };
        let asked = ask(client, backend, authorization, &mut tested);
        tested.error = match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(())) => None,
            Ok(Err(why)) => Some(why),
            Err(_) => Some("it took too long"),
        };
        tested
    }

    async fn ask(
        client: &HttpClient,
        backend: &Backend,
        authorization: Option<HeaderValue>,
        tested: &mut Tested,
    ) -> std::result::Result<(), &'static str> {
        // The newer models of OpenAI refuse the older name, which all other servers know.
        let limit = match backend.provider.as_deref() {
            Some("openai") => "max_completion_tokens",
            _ => "max_tokens",
        };
        let body = json!({
            "model": backend.upstream,
            "messages": [{"role": "user", "content": "Count from 1 to 20 in words."}],
            limit: 16,
            "stream": true,
        });
        let mut request = Request::post(format!("{}/chat/completions", backend.url))
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "text/event-stream, application/json")
            .header(
                USER_AGENT,
                concat!("localstore/", env!("CARGO_PKG_VERSION")),
            );
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request
            .body(Full::from(body.to_string()))
            .map_err(|_| "its address is invalid")?;
        let start = Instant::now();
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        let answer = client.request(request).await;
        let answer = answer.map_err(|error| {
            if error.is_connect() {
                "no connection"
            } else {
                "it closed the connection"
            }
        })?;
        tested.status = Some(answer.status().as_u16());
        if !answer.status().is_success() {
            return Err(match answer.status() {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "it refused the key",
                StatusCode::NOT_FOUND => "it does not know the model, or has no chat",
                StatusCode::TOO_MANY_REQUESTS => "it has too much to do",
                _ => "it answered with an error",
            });
        }
        if !is_stream(answer.headers()) {
            let body = Limited::new(answer.into_body(), LONGEST).collect().await;
            let body = body.map_err(|_| "its answer was cut or too long")?;
            tested.ttft_ms = Some(milliseconds(start.elapsed()));
            let body: Value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
            let is_completion = body["choices"].is_array();
            return is_completion
                .then_some(())
                .ok_or("its answer is not a completion");
        }
        let is_framed = is_framed(answer.headers());
        let mut source = Source::new(answer.into_body(), is_framed, PATIENCE);
        let mut first = None;
        loop {
            match poll_fn(|context| source.poll_next(context)).await {
                Next::Events(_) => {
                    first.get_or_insert_with(|| start.elapsed());
                }
                Next::End(Some(_)) => return Err("it cut its answer"),
                Next::End(None) => break,
            }
        }
        let first = first.ok_or("its answer is empty")?;
        tested.ttft_ms = Some(milliseconds(first));
        let count = u32::try_from(source.tokens().completion).unwrap_or(u32::MAX);
        let seconds = start.elapsed().saturating_sub(first).as_secs_f64();
        if count == 0 {
            return Err("its answer has no text");
        }
        tested.gen_tps = (seconds > 0.0).then(|| f64::from(count) / seconds);
        Ok(())
    }
}
