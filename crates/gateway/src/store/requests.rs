//! Requests: what became of each, without its text.

/// A request and what became of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Request {
    /// When it came, in milliseconds since 1970.
    pub(crate) at_ms: i64,
    pub(crate) request_id: String,
    pub(crate) key_id: Option<i64>,
    /// The canonical name of what was asked for; empty if it was refused before routing.
    pub(crate) model: String,
    /// The label of the backend that answered, or that was tried last.
    pub(crate) backend: Option<String>,
    /// The path without the query.
    pub(crate) route: &'static str,
    /// 499: the client has left.
    pub(crate) status: u16,
    /// The code of the error.
    pub(crate) error: Option<&'static str>,
    /// The backends that were tried.
    pub(crate) tries: u32,
    pub(crate) cached: bool,
    pub(crate) streamed: bool,
    pub(crate) prompt_tokens: Option<u64>,
    pub(crate) completion_tokens: Option<u64>,
    /// Whether the chunks were counted.
    pub(crate) estimated: bool,
    /// From the request to the first byte of the answer.
    pub(crate) ttft_ms: Option<f64>,
    pub(crate) total_ms: f64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
}
