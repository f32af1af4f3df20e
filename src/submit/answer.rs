//! What an answer of the site means.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::Outcome;
use crate::output::printable;

/// The longest text of an answer that is shown, in characters.
const SHOWN: usize = 300;

/// An answer of the site.
#[derive(Debug, Default)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The header Retry-After.
    pub retry_after: Option<String>,
    /// The header Location.
    pub location: Option<String>,
    /// The body, as far as it came.
    pub body: Vec<u8>,
    /// Why the body is not whole.
    pub broken: Option<String>,
}

impl Answer {
    /// What the answer means. As in the C tool, status 200 with a numeric `id` is success, and
    /// nothing else is.
    pub fn outcome(&self, now: Timestamp) -> Outcome {
        if self.status == 200
            && self.broken.is_none()
            && let Some(id) = self.id()
        {
            return Outcome::Taken { id };
        }
        let why = self.describe();
        match self.status {
            // Taken, it seems, but we were not told the id; or a gateway that lost the answer of
            // the site behind it.
            200..=299 | 502 | 504 | 520 | 524 => Outcome::Unknown { why },
            // What is wrong is the text that was sent.
            400 | 413 | 415 | 422 => Outcome::Refused { why },
            408 | 425 | 429 | 500..=599 => Outcome::Again {
                why,
                after: self
                    .retry_after
                    .as_deref()
                    .and_then(|text| pause(text, now)),
            },
            _ => Outcome::Later { why },
        }
    }

    /// The id of the result, cut to an integer as in the C tool.
    fn id(&self) -> Option<i64> {
        let answer: Value = serde_json::from_slice(&self.body).ok()?;
        let id = answer.get("id")?;
        #[allow(clippy::cast_possible_truncation, reason = "that is what is asked for")]
        let cut = |id: f64| id.trunc() as i64;
        id.as_i64().or_else(|| id.as_f64().map(cut))
    }

    fn describe(&self) -> String {
        let status = self.status;
        if let Some(broken) = &self.broken {
            return format!("the site answered {status}, but {broken}");
        }
        if let (300..=399, Some(location)) = (status, &self.location) {
            let location = shown(location);
            return format!("the site answered {status}, a redirect to {location}");
        }
        let text = match reasons(&self.body) {
            Some(reasons) => shown(&reasons),
            None => shown(&String::from_utf8_lossy(&self.body)),
        };
        match (status, text.as_str()) {
            (200..=299, "") => format!("the site answered {status} without an id"),
            (200..=299, text) => format!("the site answered {status} without an id: {text}"),
            (_, "") => format!("the site answered {status}"),
            (_, text) => format!("the site answered {status}: {text}"),
        }
    }
}

/// The reasons of the site's validation, `{"error": {"issues": [{"message", "path"}]}}`, or its
/// `{"error": "…"}`.
fn reasons(body: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let error = answer.get("error")?;
    if let Some(text) = error.as_str() {
        return Some(text.to_owned());
    }
    let issues = error.get("issues")?.as_array()?;
    let issue = |issue: &Value| -> Option<String> {
        let mut path = String::new();
        for step in issue.get("path")?.as_array()? {
            match step.as_str() {
                Some(key) if path.is_empty() => path.push_str(key),
                Some(key) => path = format!("{path}.{key}"),
                None => path = format!("{path}[{step}]"),
            }
        }
        let message = issue.get("message")?.as_str()?;
        Some(if path.is_empty() {
            message.to_owned()
        } else {
            format!("{path}: {message}")
        })
    };
    let issues: Option<Vec<String>> = issues.iter().map(issue).collect();
    Some(issues?.join("; ")).filter(|text| !text.is_empty())
}

/// The text in one line that a terminal can show, cut where it is long.
fn shown(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    let line = printable(&line);
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.into_owned(),
    }
}

/// How long the header Retry-After asks to wait: seconds, or a date.
fn pause(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    let seconds = until.as_second().saturating_sub(now.as_second());
    Some(Duration::from_secs(seconds.try_into().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Outcome {
        let answer = Answer {
            status,
            body: body.into(),
            ..Answer::default()
        };
        answer.outcome(Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn success_is_200_with_a_numeric_id() {
        assert_eq!(answer(200, r#"{"id":12}"#), Outcome::Taken { id: 12 });
        assert_eq!(answer(200, r#"{"id":12.7}"#), Outcome::Taken { id: 12 });
        let why = |body: &str, status| match answer(status, body) {
            Outcome::Unknown { why } => why,
            other => panic!("{other:?}"),
        };
        assert_eq!(why("", 200), "the site answered 200 without an id");
        assert_eq!(
            why(r#"{"id":"12"}"#, 200),
            r#"the site answered 200 without an id: {"id":"12"}"#
        );
        for body in ["{}", "[12]", "12", r#"{"id":null}"#, r#"{"id":12"#] {
            why(body, 200);
        }
        why(r#"{"id":12}"#, 201);
    }

    #[test]
    fn the_status_tells_what_may_be_done() {
        for status in [400, 413, 415, 422] {
            assert!(matches!(answer(status, ""), Outcome::Refused { .. }));
        }
        for status in [408, 425, 429, 500, 503] {
            assert!(matches!(answer(status, ""), Outcome::Again { .. }));
        }
        for status in [301, 302, 307, 308, 401, 403, 404, 405] {
            assert!(matches!(answer(status, ""), Outcome::Later { .. }));
        }
        // The site behind a gateway may have taken it.
        for status in [502, 504, 520, 524] {
            assert!(matches!(answer(status, ""), Outcome::Unknown { .. }));
        }
    }

    #[test]
    fn an_answer_that_is_not_whole_is_no_success() {
        let answer = Answer {
            status: 200,
            body: br#"{"id":12}"#.to_vec(),
            broken: Some("it is cut off".into()),
            ..Answer::default()
        };
        assert_eq!(
            answer.outcome(Timestamp::UNIX_EPOCH),
            Outcome::Unknown {
                why: "the site answered 200, but it is cut off".into()
            }
        );
    }

    #[test]
    fn the_body_of_an_error_is_one_line_that_a_terminal_can_show() {
        let why = |body: &str| match answer(400, body) {
            Outcome::Refused { why } => why,
            other => panic!("{other:?}"),
        };
        assert_eq!(why("Invalid JSON"), "the site answered 400: Invalid JSON");
        let issues = r#"{"error":{"issues":[
            {"code":"too_small","message":"too short","path":["results",0,"model_quant_str"]},
            {"code":"custom","message":"all the same","path":[]}],"name":"ZodError"}}"#;
        assert_eq!(
            why(issues),
            "the site answered 400: results[0].model_quant_str: too short; all the same"
        );
        assert_eq!(why(r#"{"error":"no"}"#), "the site answered 400: no");
        assert_eq!(
            why("<html>\r\n\t<b>\u{1b}[2J\0"),
            "the site answered 400: <html> <b>\\x1b[2J\\x00"
        );
        let long = why(&"\u{1b}é".repeat(10_000));
        assert!(long.chars().count() < 350 && long.ends_with('…'), "{long}");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let seconds = |text| pause(text, now).map(|pause| pause.as_secs());
        assert_eq!(seconds("120"), Some(120));
        assert_eq!(seconds(" 0 "), Some(0));
        assert_eq!(seconds("Fri, 02 Jan 2026 03:04:35 GMT"), Some(30));
        assert_eq!(seconds("Thu, 01 Jan 2026 03:04:35 GMT"), Some(0));
        for text in ["", "-1", "soon", "1.5", "99999999999999999999999"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
