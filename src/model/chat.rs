//! Chats and messages, as llamafile's server keeps them.

use super::Text;

/// A conversation. Any column of llamafile's tables may be null, so any string may be missing.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Chat {
    /// Its id.
    pub id: i64,
    /// The time of its beginning: `YYYY-MM-DD HH:MM:SS`, UTC.
    pub created_at: Option<Text>,
    /// The model file that llamafile ran.
    pub model: Option<Text>,
    /// Its title.
    pub title: Option<Text>,
}

/// A chat as a list shows it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ChatActivity {
    /// The chat.
    pub chat: Chat,
    /// The number of its messages.
    pub messages: u64,
    /// The time of its newest message; without one, of its beginning.
    pub last_at: Option<Text>,
}

/// One message of a chat.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Message {
    /// Its id.
    pub id: i64,
    /// The time at which it was written: `YYYY-MM-DD HH:MM:SS`, UTC.
    pub created_at: Option<Text>,
    /// The chat that it belongs to.
    pub chat_id: i64,
    /// Its author: the name of a [`Role`], unless another program stored it.
    pub role: Option<Text>,
    /// Its text.
    pub content: Option<Text>,
    /// The sampling parameters of the answer.
    pub sampling: Sampling,
}

/// A new message.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NewMessage<'a> {
    /// Its author.
    pub role: Role,
    /// Its text.
    pub content: &'a str,
    /// The sampling parameters of the answer.
    pub sampling: Sampling,
}

/// The author of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Role {
    /// Instructions for the model
    System,
    /// The user
    User,
    /// The model
    Assistant,
    /// The output of a tool
    Tool,
}

impl Role {
    /// The name in the store.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// The sampling parameters of an answer. A value that is missing in the store is 0, as in llamafile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sampling {
    /// Randomness: 0 always chooses the most probable token.
    pub temperature: f64,
    /// The share of the probability from which tokens are chosen.
    pub top_p: f64,
    /// The penalty on tokens that have occurred.
    pub presence_penalty: f64,
    /// The penalty on tokens for each occurrence.
    pub frequency_penalty: f64,
}

impl Default for Sampling {
    /// llamafile's own defaults.
    fn default() -> Self {
        Self {
            temperature: 0.8,
            top_p: 0.95,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
        }
    }
}

/// A search result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hit {
    /// The chat.
    pub chat_id: i64,
    /// The message; `None` if the chat's title matches.
    pub message_id: Option<i64>,
    /// The author of the message.
    pub role: Option<Text>,
    /// The first line that matches, or the part of a very long one around the match.
    pub line: String,
}
