//! Chats and messages, as llamafile's server keeps them.

use super::Text;

/// A conversation. Any column of llamafile's tables may be null, so any string may be missing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chat {
    /// Its id.
    pub id: i64,
    /// When it was begun: `YYYY-MM-DD HH:MM:SS`, UTC.
    pub created_at: Option<Text>,
    /// The model file that llamafile ran.
    pub model: Option<Text>,
    /// Its title.
    pub title: Option<Text>,
}

/// A chat as a list shows it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChatActivity {
    /// The chat.
    pub chat: Chat,
    /// The number of its messages.
    pub messages: u64,
    /// When the newest of them was written; without one, when the chat was begun.
    pub last_at: Option<Text>,
}

/// One message of a chat.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Message {
    /// Its id.
    pub id: i64,
    /// When it was written: `YYYY-MM-DD HH:MM:SS`, UTC.
    pub created_at: Option<Text>,
    /// The chat that it belongs to.
    pub chat_id: i64,
    /// Who wrote it: the name of a [`Role`], if one of our programs stored it.
    pub role: Option<Text>,
    /// What was written.
    pub content: Option<Text>,
    /// How the answer was sampled.
    pub sampling: Sampling,
}

/// A message that is to be added.
#[derive(Debug, Clone, PartialEq)]
pub struct NewMessage<'a> {
    /// Who wrote it.
    pub role: Role,
    /// What was written.
    pub content: &'a str,
    /// How the answer was sampled.
    pub sampling: Sampling,
}

/// Who wrote a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// What the model is told before the conversation
    System,
    /// The person
    User,
    /// The model
    Assistant,
    /// What a tool gave back
    Tool,
}

impl Role {
    /// The name in the store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// How the model chose its words. What is missing in the store is 0, as llamafile reads it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// How freely.
    pub temperature: f64,
    /// Among how much of the probability.
    pub top_p: f64,
    /// How much a word costs that was used before.
    pub presence_penalty: f64,
    /// How much it costs for each time it was used.
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

/// Where a search found its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The chat.
    pub chat_id: i64,
    /// The message; `None` if it is the chat's title that matches.
    pub message_id: Option<i64>,
    /// Who wrote the message.
    pub role: Option<Text>,
    /// The first line that matches; of a very long one, the part around the match.
    pub line: String,
}
