//! Chats and messages as json, as llamafile's server returns them.

use super::llamafile_json::Json;
use crate::model::{Chat, Hit, Message, Text};

/// A chat.
#[must_use]
pub(crate) fn chat(chat: &Chat) -> Json {
    Json::object([
        ("id", Json::Integer(chat.id)),
        ("created_at", text(chat.created_at.as_ref())),
        ("model", text(chat.model.as_ref())),
        ("title", text(chat.title.as_ref())),
    ])
}

/// A message in the list of one chat's messages.
#[must_use]
pub(crate) fn listed_message(message: &Message) -> Json {
    Json::object(members(message))
}

/// A message by itself, with the id of its chat.
#[must_use]
pub(crate) fn message(message: &Message) -> Json {
    let chat_id = ("chat_id", Json::Integer(message.chat_id));
    Json::object(members(message).into_iter().chain([chat_id]))
}

/// A search result. llamafile has no search; the keys are the column names of its tables.
#[must_use]
pub(crate) fn hit(hit: &Hit) -> Json {
    Json::object([
        ("chat_id", Json::Integer(hit.chat_id)),
        (
            "message_id",
            hit.message_id.map_or(Json::Null, Json::Integer),
        ),
        ("role", text(hit.role.as_ref())),
        ("line", hit.line.as_str().into()),
    ])
}

fn members(message: &Message) -> [(&'static str, Json); 8] {
    let sampling = &message.sampling;
    [
        ("id", Json::Integer(message.id)),
        ("created_at", text(message.created_at.as_ref())),
        ("role", text(message.role.as_ref())),
        ("content", text(message.content.as_ref())),
        ("temperature", Json::Double(sampling.temperature)),
        ("top_p", Json::Double(sampling.top_p)),
        ("presence_penalty", Json::Double(sampling.presence_penalty)),
        (
            "frequency_penalty",
            Json::Double(sampling.frequency_penalty),
        ),
    ]
}

/// In llamafile a string ends before its first NUL.
fn text(text: Option<&Text>) -> Json {
    text.map_or(Json::Null, |text| {
        let bytes = text.as_bytes();
        let end = memchr::memchr(0, bytes).unwrap_or(bytes.len());
        Json::String(bytes[..end].to_vec())
    })
}
