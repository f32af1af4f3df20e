//! The routes: what is asked, by whom, and who answers.

use std::sync::Arc;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{
    ALLOW, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
};
use hyper::http::response::Parts;
use hyper::{Method, Request, Response, StatusCode};
use serde_json::json;

use super::account::Account;
use super::body;
use super::gateway::Gateway;
use super::held::Hold;
use super::listener::Stage;
use super::proxy::{Answer, Outgoing};
use super::reply::{Events, Long, Reply};
use crate::answer::Tokens;
use crate::fault::Fault;
use crate::request::{Fields, Refused};
use crate::routing::{Meaning, Registry};
use crate::store::keys::Key;

/// The routes that are passed on, by their paths.
const PASSED_ROUTES: [&str; 4] = [
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
];

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
        _ if gateway.is_draining() && path != "/health" => Err(draining()),
        "/health" if is_get => return with_id(health(&gateway), &request_id),
        "/health" | "/metrics" | "/v1/models" if !is_get => Err(wrong_method("GET")),
        "/metrics" => gateway
            .keys
            .client(request.headers())
            .map(|_| metrics(&gateway)),
        "/v1/models" => gateway
            .keys
            .client(request.headers())
            .map(|key| models(&gateway, key.as_ref())),
        _ if path.starts_with("/v1/models/") => match is_get {
            true => gateway
                .keys
                .client(request.headers())
                .and_then(|key| model(&gateway, key.as_ref(), &path["/v1/models/".len()..])),
            false => Err(wrong_method("GET")),
        },
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
    with_id(response, &request_id)
}

/// Passes a request on, and writes down what became of it.
async fn passed(
    gateway: &Arc<Gateway>,
    request: Request<Incoming>,
    route: &'static str,
    request_id: String,
) -> Response<Reply> {
    let mut account = Account::begin(gateway, route, request_id.clone());
    let mut response = match ask(gateway, request, &mut account).await {
        Err(fault) => {
            account.row.error = Some(fault.code);
            refused(&fault)
        }
        Ok((head, Answer::Stream(first, source, running), _)) => {
            let mut stage = gateway.stage.clone();
            let ending = async move {
                let _ = stage.wait_for(|stage| *stage == Stage::Ending).await;
            };
            let events = Events {
                first: Some(first),
                source,
                account,
                running,
                ending: Box::pin(ending),
                is_over: false,
            };
            let response = Response::from_parts(head, Reply::Events(Box::new(events)));
            return with_id(response, &request_id);
        }
        Ok((head, Answer::Long(first, rest, running), hold)) => {
            let first = Some(first);
            let long = Long {
                first,
                rest,
                account,
                running,
                hold: Some(hold),
            };
            return with_id(
                Response::from_parts(head, Reply::Long(Box::new(long))),
                &request_id,
            );
        }
        Ok((head, Answer::Whole(body), hold)) => {
            if let Some(tokens) = Tokens::of(&body) {
                account.tokens(tokens);
            }
            Response::from_parts(head, Reply::Whole(Some(body), Some(hold)))
        }
    };
    account.row.status = response.status().as_u16();
    if let Reply::Whole(Some(bytes), _) = response.body_mut() {
        account.passed(bytes.len());
    }
    with_id(response, &request_id)
}

/// Asks the backends of a request.
async fn ask(
    gateway: &Arc<Gateway>,
    request: Request<Incoming>,
    account: &mut Account,
) -> Result<(Parts, Answer, Hold), Fault> {
    let key = gateway.keys.client(request.headers())?;
    account.row.key_id = key.as_ref().map(|key| key.id);
    account.slot = Some(gateway.slot().ok_or_else(Fault::overloaded)?);
    let path = request
        .uri()
        .path_and_query()
        .map_or("", |path| path.as_str());
    let path = path.strip_prefix("/v1").unwrap_or(path).to_owned();
    let headers = request.headers().clone();
    let mut hold = gateway.held.hold();
    let body = body::read(request, gateway.options.max_body, &mut hold).await?;
    account.row.bytes_in = body.len() as u64;
    let fields = Fields::read(&body).map_err(invalid)?;
    account.row.streamed = fields.stream;
    if key.as_ref().is_some_and(|key| !key.allows(&fields.model)) {
        let message = "the key has no right to this model";
        return Err(Fault::new(403, "model_not_allowed", message).param("model"));
    }
    let registry = gateway.registry();
    let meaning = registry.meaning(&fields.model, &gateway.providers);
    match &meaning {
        Meaning::Model(model) => {
            account.row.model.clone_from(model);
            account.model_label.clone_from(model);
        }
        Meaning::Rule(backend) => account.row.model.clone_from(&backend.model),
        Meaning::Unset(variable) => {
            let message = format!("the model is not there: {variable} is not set");
            return Err(Fault::new(404, "model_not_found", message).param("model"));
        }
        Meaning::Unknown => {
            let message = "the model is not there";
            return Err(Fault::new(404, "model_not_found", message).param("model"));
        }
    }
    let targets = gateway.targets(&registry, &meaning, body.len(), fields.max_tokens);
    let outgoing = Outgoing {
        path: &path,
        headers: &headers,
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
    let mut head = passed_head(&head);
    if let Some(target) = target {
        insert(&mut head.headers, BACKEND, &target.backend.label);
        if target.model != account.row.model {
            insert(&mut head.headers, MODEL, &target.model);
        }
    }
    head.headers.insert(CACHE, HeaderValue::from_static("off"));
    Ok((head, answer, hold))
}

fn invalid(refused: Refused) -> Fault {
    match refused {
        Refused::InvalidJson => {
            Fault::new(400, "invalid_json", "the body is not an object in JSON")
        }
        Refused::MissingModel => {
            Fault::new(400, "missing_model", "'model' must be a string").param("model")
        }
        Refused::DuplicateModel => {
            Fault::new(400, "duplicate_model", "'model' is there twice").param("model")
        }
    }
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
    match fault.status.as_u16() {
        // What is left of the body is not read.
        408 | 413 => {
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        405 => {
            let method = fault.param.unwrap_or("GET");
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static(method));
        }
        _ => {}
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
    Fault::new(405, "method_not_allowed", message).param(allowed)
}

fn health(gateway: &Gateway) -> Response<Reply> {
    let registry = gateway.registry();
    let (status, word) = match gateway.is_draining() {
        true => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        false => (StatusCode::OK, "ok"),
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
        let message = "the model is not there";
        return Err(Fault::new(404, "model_not_found", message).param("model"));
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

/// The text with its `%XX` replaced; what is not valid stays.
fn percent_decoded(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.as_bytes().iter();
    while let Some(byte) = bytes.next() {
        let rest = bytes.as_slice();
        let hex = rest.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let hex = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (byte, hex) {
            (b'%', Some(value)) => {
                decoded.push(value);
                bytes.nth(1);
            }
            _ => decoded.push(*byte),
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
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
