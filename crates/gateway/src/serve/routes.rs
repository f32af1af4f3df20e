//! The routes: what is asked, by whom, and who answers.

use std::borrow::Cow;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{
    ALLOW, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
};
use hyper::http::response::Parts;
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, Response, StatusCode};
use serde_json::json;
use tokio::time::sleep;

use super::account::Account;
use super::body::{Unread, is_json};
use super::gateway::Gateway;
use super::held::Hold;
use super::infer;
use super::listener::{HEADERS, Stage};
use super::proxy::{Answer, Outgoing};
use super::register;
use super::reply::{Events, Long, Reply};
use crate::address::percent_decoded;
use crate::answer::Tokens;
use crate::cache::Found;
use crate::fault::Fault;
use crate::request::Fields;
use crate::routing::{Meaning, Registry};
use crate::store::keys::Key;

/// The routes whose requests go to backends, by their paths.
const PASSED_ROUTES: [&str; 5] = [
    infer::ROUTE,
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
];

/// The beginning of the path that tells of one model.
const ONE_MODEL: &str = "/v1/models/";

/// Whether the address is one to read from.
fn takes_get(path: &str) -> bool {
    matches!(path, "/health" | "/metrics" | "/v1/models") || path.starts_with(ONE_MODEL)
}

/// What every answer carries to find it again.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const BACKEND: HeaderName = HeaderName::from_static("x-localstore-backend");
const MODEL: HeaderName = HeaderName::from_static("x-localstore-model");
const CACHE: HeaderName = HeaderName::from_static("x-localstore-cache");

/// Answers a request.
pub(crate) async fn answer(gateway: Arc<Gateway>, request: Request<Incoming>) -> Response<Reply> {
    let request_id = request_id(request.headers());
    let path = request.uri().path();
    let is_get = request.method() == Method::GET;
    let answered = match path {
        _ if has_long_headers(&request) => Err(Fault::new(
            431,
            "headers_too_large",
            "the headers are larger than 64 KiB",
        )),
        _ if gateway.is_draining() && path != "/health" => Err(draining()),
        "/health" if is_get => return with_id(health(&gateway), &request_id),
        _ if takes_get(path) && !is_get => Err(wrong_method("GET")),
        "/metrics" => gateway
            .keys
            .client(request.headers())
            .map(|_| metrics(&gateway)),
        "/v1/models" => gateway
            .keys
            .client(request.headers())
            .map(|key| models(&gateway, key.as_ref())),
        _ if path.starts_with(ONE_MODEL) => gateway
            .keys
            .client(request.headers())
            .and_then(|key| model(&gateway, key.as_ref(), &path[ONE_MODEL.len()..])),
        _ if register::ROUTES.contains(&path) && gateway.agents.is_some() => {
            return with_id(agent(&gateway, request).await, &request_id);
        }
        _ => match PASSED_ROUTES.iter().find(|route| **route == path) {
            Some(route) if request.method() == Method::POST => {
                return passed(&gateway, request, route, request_id).await;
            }
            Some(_) => Err(wrong_method("POST")),
            None => Err(Fault::new(
                404,
                "unknown_url",
                "there is no such address here",
            )),
        },
    };
    let response = answered.unwrap_or_else(|fault| refused(&fault));
    let (head, body) = request.into_parts();
    drop(Unread::new(body, &head.headers));
    with_id(response, &request_id)
}

/// Answers an agent.
async fn agent(gateway: &Gateway, request: Request<Incoming>) -> Response<Reply> {
    let answered = match &gateway.agents {
        Some(agents) if request.method() == Method::POST => {
            guarded(register::answer(gateway, agents, request)).await
        }
        _ => Err(wrong_method("POST")),
    };
    match answered {
        Ok(body) => json(StatusCode::OK, body),
        Err(fault) => refused(&fault),
    }
}

/// Passes a request on, and writes down what became of it.
async fn passed(
    gateway: &Arc<Gateway>,
    request: Request<Incoming>,
    route: &'static str,
    request_id: String,
) -> Response<Reply> {
    let mut account = Account::begin(gateway, route, request_id.clone());
    let answered = tokio::select! {
        answered = guarded(ask(gateway, request, &mut account)) => answered,
        () = ending(gateway) => Err(draining()),
    };
    let answered = answered.and_then(|(head, answer, hold)| match route {
        infer::ROUTE if head.status.is_success() => {
            let model = head
                .headers
                .get(MODEL)
                .and_then(|model| model.to_str().ok());
            let answer = infer::answer(model.unwrap_or(&account.row.model), answer)?;
            Ok((head, answer, hold))
        }
        _ => Ok((head, answer, hold)),
    });
    let (head, answer, hold) = match answered {
        Ok(answered) => answered,
        Err(fault) => {
            account.cut(&fault);
            let response = refused(&fault);
            account.passed(fault.body().len());
            return with_id(response, &request_id);
        }
    };
    let status = head.status;
    let reply = match answer {
        Answer::Whole(body) => {
            // Those of an answer that was kept were counted when it was made.
            if !account.row.cached
                && let Some(tokens) = Tokens::of(&body)
            {
                account.tokens(tokens);
            }
            account.row.streamed = false;
            Reply::sending(body, status, account, hold)
        }
        Answer::Stream(first, source, running) => {
            account.row.streamed = true;
            let gateway = Arc::clone(gateway);
            Reply::Events(Box::new(Events {
                status,
                first: Some(first),
                source,
                account,
                running,
                ending: Box::pin(async move { ending(&gateway).await }),
                texts: (route == infer::ROUTE).then(infer::Texts::default),
                is_over: false,
            }))
        }
        Answer::Long(first, rest, running) => {
            account.row.streamed = false;
            let first = Some(first);
            let hold = Some(hold);
            Reply::Long(Box::new(Long {
                status,
                first,
                rest,
                account,
                running,
                hold,
                longest_silence: gateway.options.timeout,
                silence: Box::pin(sleep(gateway.options.timeout)),
            }))
        }
    };
    with_id(Response::from_parts(head, reply), &request_id)
}

/// Resolves when what runs is to be ended.
async fn ending(gateway: &Gateway) {
    let mut stage = gateway.stage.clone();
    if stage
        .wait_for(|stage| *stage == Stage::Ending)
        .await
        .is_err()
    {
        std::future::pending::<()>().await;
    }
}

/// What the future gives; a panic in it ends this one request.
async fn guarded<T>(future: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    let mut future = pin!(future);
    poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        polled.unwrap_or_else(|_| {
            let message = "the gateway made a mistake with this request";
            Poll::Ready(Err(Fault::new(500, "internal_error", message)))
        })
    })
    .await
}

/// Asks the backends of a request.
async fn ask(
    gateway: &Arc<Gateway>,
    request: Request<Incoming>,
    account: &mut Account,
) -> Result<(Parts, Answer, Hold), Fault> {
    let (request, body) = request.into_parts();
    let headers = &request.headers;
    let body = Unread::new(body, headers);
    let key = gateway.keys.client(headers)?;
    account.row.key_id = key.as_ref().map(|key| key.id);
    account.slot = Some(gateway.slot().ok_or_else(Fault::overloaded)?);
    let mut hold = gateway.held.hold();
    let body = body
        .read(headers, gateway.options.max_body, &mut hold)
        .await?;
    account.row.bytes_in = body.len() as u64;
    let registry = gateway.registry();
    let body = match account.row.route {
        infer::ROUTE => infer::chat(&body, registry.only_model())?,
        _ => body,
    };
    let fields = Fields::read(&body)?;
    account.row.streamed = fields.stream;
    if key.as_ref().is_some_and(|key| !key.allows(&fields.model)) {
        let message = format!(
            "the key has no right to the model '{}'",
            name(&fields.model)
        );
        return Err(Fault::new(403, "model_not_allowed", message).param("model"));
    }
    let meaning = registry.meaning(&fields.model, &gateway.providers);
    let model = match &meaning {
        Meaning::Model(model) => {
            account.row.model.clone_from(model);
            account.model_label.clone_from(model);
            model
        }
        Meaning::Rule(backend) => {
            account.row.model = name(&backend.model).into_owned();
            // Clients make up names: all of a rule are one.
            account.model_label = format!("{}/*", backend.label);
            &backend.model
        }
        Meaning::Unset(variable) => {
            let model = name(&fields.model);
            let message = format!("the model '{model}' needs {variable}, which is not set");
            return Err(Fault::new(404, "model_not_found", message).param("model"));
        }
        Meaning::Unknown => return Err(no_model(&fields.model)),
    };
    let path = request
        .uri
        .path_and_query()
        .map_or("", PathAndQuery::as_str);
    let path = match account.row.route {
        infer::ROUTE => infer::PATH,
        _ => path.strip_prefix("/v1").unwrap_or(path),
    };
    let cache = &gateway.cache;
    let found = cache.find(path, headers, &fields, model, &body).await;
    let (found, key) = match found {
        Found::Hit(answer) => {
            hold.add(answer.len())?;
            account.row.cached = true;
            let mut response = json(StatusCode::OK, Bytes::new());
            response
                .headers_mut()
                .insert(CACHE, HeaderValue::from_static("hit"));
            return Ok((response.into_parts().0, Answer::Whole(answer), hold));
        }
        Found::Miss(key) => ("miss", Some(key)),
        Found::Off => ("off", None),
    };
    let registry = match &gateway.engine {
        Some(engine) => {
            account.using = Some(engine.wake().await?);
            // It may have another address by now.
            gateway.registry()
        }
        None => registry,
    };
    let targets = gateway.targets(&registry, &meaning, body.len(), fields.max_tokens);
    let outgoing = Outgoing {
        path,
        headers,
        body,
        fields: &fields,
        request_id: &account.row.request_id,
    };
    let outcome = gateway
        .proxy
        .ask(&outgoing, &targets, &mut hold, &gateway.metrics)
        .await;
    account.row.tries = outcome.tries;
    let target = outcome.target.and_then(|index| targets.get(index));
    account.row.backend = target.map(|target| target.backend.label.clone());
    let (head, answer) = outcome.answer?;
    if let (Some(key), Answer::Whole(answer)) = (key, &answer)
        && head.status == StatusCode::OK
        && is_json(&head.headers)
        // A fallback's answer is none of the model that was asked for.
        && target.is_some_and(|target| target.model == *model)
    {
        cache.keep(key, answer).await;
    }
    let mut head = passed_head(&head);
    if let Some(target) = target {
        insert(&mut head.headers, BACKEND, &target.backend.label);
        if target.model != *model {
            insert(&mut head.headers, MODEL, &target.model);
        }
    }
    head.headers.insert(CACHE, HeaderValue::from_static(found));
    Ok((head, answer, hold))
}

/// A name as it stands in messages and rows: not longer than any that is stored.
fn name(model: &str) -> Cow<'_, str> {
    base::cut(model, 200)
}

fn no_model(model: &str) -> Fault {
    let message = format!(
        "there is no model '{}': GET /v1/models lists all",
        name(model)
    );
    Fault::new(404, "model_not_found", message).param("model")
}

/// The status and the headers of a backend that are passed on.
fn passed_head(from: &Parts) -> Parts {
    let (mut head, ()) = Response::new(()).into_parts();
    head.status = from.status;
    for (name, value) in &from.headers {
        let text = name.as_str();
        let is_passed = *name == CONTENT_TYPE
            || *name == RETRY_AFTER
            || text.starts_with("x-ratelimit-")
            || text.starts_with("openai-");
        if is_passed {
            head.headers.append(name, value.clone());
        }
    }
    head
}

/// The answer to what the gateway refuses.
fn refused(fault: &Fault) -> Response<Reply> {
    let mut response = json(fault.status, fault.body());
    if let Some(seconds) = fault.retry_after {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    // What is left of the body is not read, or nothing more is taken.
    if matches!(
        fault.code,
        "headers_too_large" | "request_timeout" | "request_too_large" | "shutting_down"
    ) {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(method) = fault.allowed {
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static(method));
    }
    response
}

fn json(status: StatusCode, body: Bytes) -> Response<Reply> {
    let mut response = Response::new(Reply::whole(body));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

fn draining() -> Fault {
    Fault::new(503, "shutting_down", "the gateway shuts down").retry_after(1)
}

fn wrong_method(allowed: &'static str) -> Fault {
    let message = format!("this address takes {allowed} only");
    Fault {
        allowed: Some(allowed),
        ..Fault::new(405, "method_not_allowed", message)
    }
}

fn health(gateway: &Gateway) -> Response<Reply> {
    let registry = gateway.registry();
    let (status, word) = if gateway.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining")
    } else {
        (StatusCode::OK, "ok")
    };
    let body = json!({
        "status": word,
        "version": env!("CARGO_PKG_VERSION"),
        "models": registry.models.len(),
        "up": gateway.up(&registry),
    });
    json(status, Bytes::from(body.to_string()))
}

fn metrics(gateway: &Gateway) -> Response<Reply> {
    let text = gateway.metrics.text(gateway);
    let mut response = Response::new(Reply::whole(Bytes::from(text)));
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// The names and aliases that the key may use, by name.
fn models(gateway: &Gateway, key: Option<&Key>) -> Response<Reply> {
    let registry = gateway.registry();
    let mut names: Vec<&str> = registry.names().collect();
    names.sort_unstable();
    names.dedup();
    names.retain(|name| key.is_none_or(|key| key.allows(name)));
    let data: Vec<_> = names
        .into_iter()
        .map(|name| entry(&registry, name))
        .collect();
    let body = json!({"object": "list", "data": data});
    json(StatusCode::OK, Bytes::from(body.to_string()))
}

fn model(gateway: &Gateway, key: Option<&Key>, id: &str) -> Result<Response<Reply>, Fault> {
    let registry = gateway.registry();
    let id = percent_decoded(id);
    let is_allowed = key.is_none_or(|key| key.allows(&id));
    if !is_allowed || !registry.names().any(|name| name == id) {
        return Err(no_model(&id));
    }
    Ok(json(
        StatusCode::OK,
        Bytes::from(entry(&registry, &id).to_string()),
    ))
}

/// A model as clients see it.
fn entry(registry: &Registry, name: &str) -> serde_json::Value {
    json!({
        "id": name,
        "object": "model",
        "created": registry.added_at(name),
        "owned_by": "localstore",
    })
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn with_id(mut response: Response<Reply>, request_id: &str) -> Response<Reply> {
    insert(response.headers_mut(), REQUEST_ID, request_id);
    response
}

/// Whether the headers, as they were sent, are longer than they may be. What parses them takes up to twice that.
fn has_long_headers(request: &Request<Incoming>) -> bool {
    let line = request
        .uri()
        .path_and_query()
        .map_or(0, |path| path.as_str().len());
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    line + headers.sum::<usize>() > HEADERS
}

/// The client's id of the request if it is a plain one, else a new one.
fn request_id(headers: &HeaderMap) -> String {
    let theirs = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let is_plain = |id: &&str| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        (1..=64).contains(&id.len()) && id.chars().all(is_plain)
    };
    theirs
        .filter(is_plain)
        .map_or_else(|| uuid::Uuid::now_v7().to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_one_request_only() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        std::panic::set_hook(Box::new(|_| {}));
        let fault = runtime.block_on(guarded::<()>(async { panic!("a mistake") }));
        let _ = std::panic::take_hook();
        assert_eq!(fault.unwrap_err().status, 500);
        assert_eq!(runtime.block_on(guarded(async { Ok(1) })), Ok(1));
    }

    #[test]
    fn a_name_in_an_address_is_decoded() {
        assert_eq!(percent_decoded("a%2Fb%20c"), "a/b c");
        assert_eq!(percent_decoded("100%"), "100%");
        assert_eq!(percent_decoded("%zz%4"), "%zz%4");
    }
}
