//! What agents say: that they are there, and that they still are.

use bytes::Bytes;
use hyper::Request;
use hyper::body::Incoming;
use serde_json::{Map, Value};

use super::agents::Agents;
use super::body::Unread;
use super::gateway::Gateway;
use crate::address::base_url;
use crate::fault::Fault;
use crate::speeds::Filters;
use crate::store::agents::{Refused, Registration};
use crate::store::keys::Key;

/// The routes of agents.
pub(crate) const ROUTES: [&str; 2] = ["/register", "/heartbeat"];

/// The largest body.
const MOST: u64 = 64 << 10;

/// The longest name of an agent or a model, in characters, and the most models of an agent.
const LONGEST: usize = 200;
const MODELS: usize = 100;

/// Answers an agent.
pub(crate) async fn answer(
    gateway: &Gateway,
    agents: &Agents,
    request: Request<Incoming>,
) -> Result<Bytes, Fault> {
    let (request, body) = request.into_parts();
    let body = Unread::new(body, &request.headers);
    let key = gateway.keys.agent(&request.headers)?;
    let mut hold = gateway.held.hold();
    let body = body.read(&request.headers, MOST, &mut hold).await?;
    let body: Map<String, Value> = serde_json::from_slice(&body)
        .map_err(|_| Fault::new(400, "invalid_json", "the body is not an object in JSON"))?;
    if request.uri.path() == "/register" {
        register(gateway, agents, key.as_ref(), &body).await?;
    } else {
        heartbeat(agents, key.as_ref(), &body).await?;
    }
    Ok(Bytes::from_static(b"{\"status\":\"ok\"}"))
}

async fn register(
    gateway: &Gateway,
    agents: &Agents,
    key: Option<&Key>,
    body: &Map<String, Value>,
) -> Result<(), Fault> {
    let agent = registration(body, key)?;
    if let Some(key) = key
        && let Some(model) = agent.models.iter().find(|model| !key.allows(model))
    {
        let message = format!("the key may not register the model '{model}'");
        return Err(not_allowed(message).param("models"));
    }
    let name = agent.name.clone();
    let Some(registered) = agents.register(agent).await else {
        let message = "the store cannot be written to now: try again";
        return Err(Fault::new(503, "overloaded", message).retry_after(1));
    };
    let (generation, registry, states) = registered.map_err(|refused| match refused {
        Refused::NameTaken => {
            let message = format!("another key registered an agent with the name '{name}'");
            not_allowed(message).param("name")
        }
        Refused::AddressTaken(model) => {
            let message = format!("the model '{model}' has this endpoint already as a backend");
            not_allowed(message).param("endpoint")
        }
        Refused::TooMany => not_allowed("too many agents are registered".to_owned()),
    })?;
    agents.update(generation, states);
    agents.beat(&name);
    gateway.update(registry);
    Ok(())
}

async fn heartbeat(
    agents: &Agents,
    key: Option<&Key>,
    body: &Map<String, Value>,
) -> Result<(), Fault> {
    let name = name(body.get("name"), "name")?;
    let is_stopping = match body.get("stopping") {
        None => false,
        Some(Value::Bool(is_stopping)) => *is_stopping,
        Some(_) => return Err(invalid("stopping", "must be true or false")),
    };
    let Some(is_its_key) = agents.is_of(&name, key.map(|key| key.id)) else {
        let message = format!("no agent is registered as '{name}'");
        return Err(Fault::new(404, "agent_not_found", message).param("name"));
    };
    if !is_its_key {
        let message = format!("another key registered the agent '{name}'");
        return Err(not_allowed(message).param("name"));
    }
    if is_stopping {
        agents.stop(&name).await;
    } else {
        agents.beat(&name);
    }
    Ok(())
}

fn registration(body: &Map<String, Value>, key: Option<&Key>) -> Result<Registration, Fault> {
    let endpoint = body.get("endpoint").and_then(Value::as_str);
    let endpoint = endpoint.ok_or_else(|| invalid("endpoint", "must be a URL"))?;
    let (endpoint, _) = base_url(endpoint).map_err(|_| {
        invalid(
            "endpoint",
            "must be a URL with http:// or https:// and a host, without user, query or fragment",
        )
    })?;
    let listed = body.get("models").and_then(Value::as_array);
    let listed = listed.filter(|listed| (1..=MODELS).contains(&listed.len()));
    let listed = listed.ok_or_else(|| invalid("models", "must be a list of 1 to 100 names"))?;
    let mut models = Vec::with_capacity(listed.len());
    for model in listed {
        let model = name(Some(model), "models")?;
        if !models.contains(&model) {
            models.push(model);
        }
    }
    let parallel = match body.get("parallel") {
        None | Some(Value::Null) => 1,
        Some(parallel) => parallel
            .as_u64()
            .and_then(|parallel| u32::try_from(parallel).ok())
            .filter(|parallel| *parallel > 0)
            .ok_or_else(|| invalid("parallel", "must be a number from 1 on"))?,
    };
    let filters = match body.get("filters") {
        None | Some(Value::Null) => Filters::default(),
        Some(filters) => {
            let read = Some(filters.clone()).filter(Value::is_object);
            let read = read.and_then(|filters| serde_json::from_value(filters).ok());
            let why = "must be an object of model, quant, accelerator, runtime, tool, tag";
            read.ok_or_else(|| invalid("filters", why))?
        }
    };
    Ok(Registration {
        name: name(body.get("name"), "name")?,
        endpoint,
        models,
        parallel,
        filters,
        key_id: key.map(|key| key.id),
    })
}

fn name(value: Option<&Value>, field: &'static str) -> Result<String, Fault> {
    let name = value.and_then(Value::as_str).filter(|name| {
        (1..=LONGEST).contains(&name.chars().count()) && !name.chars().any(char::is_control)
    });
    name.map(str::to_owned)
        .ok_or_else(|| invalid(field, "must be text of 1 to 200 characters"))
}

fn invalid(field: &'static str, why: &str) -> Fault {
    Fault::new(400, "invalid_value", format!("'{field}' {why}")).param(field)
}

fn not_allowed(message: String) -> Fault {
    Fault::new(403, "not_allowed", message)
}
