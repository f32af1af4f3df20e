//! `/infer`: a prompt instead of messages, answered with text alone. It becomes one chat request.

use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::proxy::Answer;
use crate::answer::Tokens;
use crate::fault::Fault;
use crate::request::{Fields, Refused};

/// Its path, and where its requests go.
pub(crate) const ROUTE: &str = "/infer";
pub(crate) const PATH: &str = "/chat/completions";

/// The longest line of a stream that is read.
const LONGEST: usize = 8 << 20;

/// The chat request that the body asks for. `only` is the model where none is named.
pub(crate) fn chat(body: &[u8], only: Option<&str>) -> Result<Bytes, Fault> {
    if let Err(refused @ (Refused::InvalidJson | Refused::DuplicateModel)) = Fields::read(body) {
        return Err(refused.into());
    }
    let asked: Map<String, Value> =
        serde_json::from_slice(body).map_err(|_| Fault::from(Refused::InvalidJson))?;
    let model = match asked.get("model") {
        None => only.ok_or_else(|| Fault::from(Refused::MissingModel))?,
        Some(model) => model
            .as_str()
            .ok_or_else(|| Fault::from(Refused::MissingModel))?,
    };
    let prompt = asked.get("prompt").and_then(Value::as_str);
    let prompt = prompt.ok_or_else(|| invalid("prompt", "must be text"))?;
    let max_tokens = match asked.get("max_tokens") {
        None => 512,
        Some(value) => value
            .as_u64()
            .filter(|tokens| *tokens > 0)
            .ok_or_else(|| invalid("max_tokens", "must be a whole number from 1 on"))?,
    };
    let temperature = match asked.get("temperature") {
        None => json!(0.7),
        Some(value) if value.as_f64().is_some_and(|value| value >= 0.0) => value.clone(),
        Some(_) => return Err(invalid("temperature", "must be a number from 0 on")),
    };
    let stream = match asked.get("stream") {
        None => false,
        Some(Value::Bool(stream)) => *stream,
        Some(_) => return Err(invalid("stream", "must be true or false")),
    };
    let chat = json!({
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": max_tokens,
        "temperature": temperature,
        "stream": stream,
    });
    Ok(Bytes::from(chat.to_string()))
}

fn invalid(field: &'static str, why: &str) -> Fault {
    Fault::new(400, "invalid_value", format!("'{field}' {why}")).param(field)
}

/// What `/infer` answers where this is what the chat request got.
pub(crate) fn answer(model: &str, chat: Answer) -> Result<Answer, Fault> {
    let failed = || {
        let message = "the backend answered something else than a chat completion";
        Fault::new(502, "upstream_failed", message)
    };
    match chat {
        Answer::Whole(chat) => whole(model, &chat).map(Answer::Whole).ok_or_else(failed),
        Answer::Stream(..) => Ok(chat),
        Answer::Long(..) => Err(failed()),
    }
}

#[derive(Deserialize)]
struct Chat {
    choices: Vec<Choice>,
    usage: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(alias = "delta")]
    message: Message,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    content: Option<String>,
}

fn whole(model: &str, body: &[u8]) -> Option<Bytes> {
    let chat: Chat = serde_json::from_slice(body).ok()?;
    let choice = chat.choices.into_iter().next()?;
    let counted = || {
        let tokens = Tokens::of(body)?;
        let total = tokens.prompt.saturating_add(tokens.completion);
        Some(json!({
            "prompt_tokens": tokens.prompt,
            "completion_tokens": tokens.completion,
            "total_tokens": total,
        }))
    };
    let answer = json!({
        "model": model,
        "text": choice.message.content.unwrap_or_default(),
        "finish_reason": choice.finish_reason,
        "usage": chat.usage.or_else(counted),
    });
    Some(Bytes::from(answer.to_string()))
}

/// Makes a stream of texts of the stream of a chat.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    /// The line that is open.
    open: BytesMut,
    /// Whether the last event has gone out.
    is_over: bool,
}

impl Texts {
    /// Takes bytes of the chat; gives the events that they make.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Bytes {
        let mut events = BytesMut::new();
        self.open.extend_from_slice(bytes);
        while let Some(end) = self
            .open
            .iter()
            .position(|byte| matches!(byte, b'\n' | b'\r'))
        {
            let line = self.open.split_to(end + 1);
            if let Some(data) = line.strip_prefix(b"data:") {
                self.event(data.trim_ascii(), &mut events);
            }
        }
        if self.open.len() > LONGEST {
            self.open.clear();
            let fault = Fault::new(
                502,
                "upstream_failed",
                "an event of the backend is too long",
            );
            self.last(&fault.event(), &mut events);
        }
        events.freeze()
    }

    /// What ends the stream, once.
    pub(crate) fn finish(&mut self) -> Bytes {
        let mut events = BytesMut::new();
        self.last(b"data: [DONE]\n\n", &mut events);
        events.freeze()
    }

    fn event(&mut self, data: &[u8], events: &mut BytesMut) {
        if data == b"[DONE]" {
            return self.last(b"data: [DONE]\n\n", events);
        }
        if let Ok(chat) = serde_json::from_slice::<Chat>(data) {
            let text = chat.choices.into_iter().next();
            let text = text.and_then(|choice| choice.message.content);
            if let Some(text) = text.filter(|text| !text.is_empty() && !self.is_over) {
                events.extend_from_slice(b"data: ");
                events.extend_from_slice(json!({"text": text}).to_string().as_bytes());
                events.extend_from_slice(b"\n\n");
            }
            return;
        }
        let is_error = serde_json::from_slice::<Map<String, Value>>(data);
        if is_error.is_ok_and(|event| event.contains_key("error")) {
            self.last(&[b"data: ", data, b"\n\n"].concat(), events);
        }
    }

    fn last(&mut self, event: &[u8], events: &mut BytesMut) {
        if !std::mem::replace(&mut self.is_over, true) {
            events.extend_from_slice(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(body: &str) -> Result<Value, (u16, &'static str, Option<&'static str>)> {
        let chat = chat(body.as_bytes(), Some("only"));
        chat.map(|chat| serde_json::from_slice(&chat).unwrap())
            .map_err(|fault| (fault.status.as_u16(), fault.code, fault.param))
    }

    #[test]
    fn a_prompt_becomes_a_chat() {
        let message = json!([{"role": "user", "content": "a\"\n"}]);
        assert_eq!(
            asked(r#"{"prompt":"a\"\n","unknown":1}"#).unwrap(),
            json!({"model": "only", "messages": message, "max_tokens": 512,
                "temperature": 0.7, "stream": false})
        );
        let all = r#"{"prompt":"a\"\n","model":"m","max_tokens":1,"temperature":0,"stream":true}"#;
        assert_eq!(
            asked(all).unwrap(),
            json!({"model": "m", "messages": message, "max_tokens": 1,
                "temperature": 0, "stream": true})
        );
    }

    #[test]
    fn a_wrong_type_is_refused_with_its_field() {
        for (body, code, field) in [
            ("", "invalid_json", None),
            ("[]", "invalid_json", None),
            (
                r#"{"prompt":"a","model":"a","model":"b"}"#,
                "duplicate_model",
                Some("model"),
            ),
            (
                r#"{"prompt":"a","model":1}"#,
                "missing_model",
                Some("model"),
            ),
            ("{}", "invalid_value", Some("prompt")),
            (r#"{"prompt":["a"]}"#, "invalid_value", Some("prompt")),
            (
                r#"{"prompt":"a","max_tokens":0}"#,
                "invalid_value",
                Some("max_tokens"),
            ),
            (
                r#"{"prompt":"a","max_tokens":1.5}"#,
                "invalid_value",
                Some("max_tokens"),
            ),
            (
                r#"{"prompt":"a","temperature":"0"}"#,
                "invalid_value",
                Some("temperature"),
            ),
            (
                r#"{"prompt":"a","temperature":-1}"#,
                "invalid_value",
                Some("temperature"),
            ),
            (
                r#"{"prompt":"a","stream":1}"#,
                "invalid_value",
                Some("stream"),
            ),
        ] {
            assert_eq!(asked(body), Err((400, code, field)), "{body}");
        }
        assert_eq!(
            chat(br#"{"prompt":"a"}"#, None).unwrap_err().code,
            "missing_model"
        );
    }

    #[test]
    fn a_chat_cut_anywhere_gives_the_same_texts() {
        let chat = ": hello\n\ndata: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":null}}]}\r\n\r\n\
            data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata:{\"choices\":[{\"delta\":{\"content\":\"\\n\"}}]}\n\n\
            data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: {\"choices\":[],\"usage\":{}}\n\ndata: [DONE]\n\n";
        for at in 0..=chat.len() {
            let mut texts = Texts::default();
            let mut all = texts.feed(&chat.as_bytes()[..at]).to_vec();
            all.extend(texts.feed(&chat.as_bytes()[at..]));
            all.extend(texts.finish());
            let all = String::from_utf8(all).unwrap();
            assert_eq!(
                all,
                "data: {\"text\":\"a\"}\n\ndata: {\"text\":\"\\n\"}\n\ndata: [DONE]\n\n"
            );
        }
    }

    #[test]
    fn an_error_ends_the_texts() {
        let mut texts = Texts::default();
        let fault = Fault::new(502, "upstream_cut", "cut").event();
        assert_eq!(texts.feed(&fault), fault);
        assert_eq!(texts.finish(), "");
    }

    #[test]
    fn a_whole_answer_has_text_reason_and_usage() {
        let chat = br#"{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}],
            "timings":{"prompt_n":2,"predicted_n":3}}"#;
        let answer: Value = serde_json::from_slice(&whole("m", chat).unwrap()).unwrap();
        let usage = json!({"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5});
        assert_eq!(
            answer,
            json!({"model": "m", "text": "hi", "finish_reason": "stop", "usage": usage})
        );
        for other in ["{}", r#"{"choices":[]}"#, "null", "[1]"] {
            assert!(whole("m", other.as_bytes()).is_none(), "{other}");
        }
    }
}
