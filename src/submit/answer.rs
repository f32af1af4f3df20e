//! The meaning of the answers of the site.

use jiff::Timestamp;
use net::{Response, is_temporary, retry_after};
use serde_json::Value;

use super::Outcome;
use base::one_line;

/// The longest text of an answer that is shown, in characters.
const MAX_SHOWN: usize = 300;

/// The outcome that the answer means. As in the C tool, only status 200 with an `id` is success;
/// here the id must be one that the site can assign, an integer from 1 to 2^53.
pub(crate) fn outcome(answer: &Response, now: Timestamp) -> Outcome {
    if answer.status == 200
        && answer.incomplete.is_none()
        && let Some(id) = id(answer)
    {
        return Outcome::Taken { id };
    }
    let why = describe(answer);
    let after = answer
        .header("retry-after")
        .and_then(|text| retry_after(text, now));
    match answer.status {
        // Probably taken, but without the id; or a gateway that lost the answer of the site behind
        // it.
        200..=299 | 502 | 504 | 520 | 524 => Outcome::Unknown {
            why,
            answered: answer.status < 300 && answer.incomplete.is_none(),
        },
        // The document itself was refused.
        400 | 413 | 415 | 422 => Outcome::Refused { why },
        500 => Outcome::Broken { why, after },
        status if is_temporary(status) => Outcome::Again { why, after },
        _ => Outcome::Later { why },
    }
}

/// The body, if it is JSON. Invalid UTF-8 in a name does not hide the id.
fn json(answer: &Response) -> Option<Value> {
    serde_json::from_str(&String::from_utf8_lossy(&answer.body)).ok()
}

/// The id of the result.
fn id(answer: &Response) -> Option<i64> {
    const MAX: f64 = 9_007_199_254_740_992.0;
    let id = json(answer)?.get("id")?.as_f64()?;
    #[allow(
        clippy::cast_possible_truncation,
        reason = "it is an integer in this range"
    )]
    (id.fract() == 0.0 && (1.0..=MAX).contains(&id)).then_some(id as i64)
}

/// What the site answered instead, in a line.
pub(super) fn describe(answer: &Response) -> String {
    let status = answer.status;
    if let Some(why) = &answer.incomplete {
        return format!("the site answered {status}, but {why}");
    }
    if let (300..=399, Some(location)) = (status, answer.header("location")) {
        let location = one_line(location, MAX_SHOWN);
        return format!("the site answered {status}, a redirect to {location}");
    }
    let text = match json(answer).as_ref().and_then(reasons) {
        Some(reasons) => one_line(&reasons, MAX_SHOWN),
        None => one_line(&String::from_utf8_lossy(&answer.body), MAX_SHOWN),
    };
    let without = if (200..=299).contains(&status) {
        " without an id"
    } else {
        ""
    };
    let separator = if text.is_empty() { "" } else { ": " };
    format!("the site answered {status}{without}{separator}{text}")
}

/// The messages of the site's validation, `{"error": {"issues": [{"message", "path"}]}}`, or its
/// `{"error": "…"}`.
fn reasons(answer: &Value) -> Option<String> {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn answer(status: u16, body: &str) -> Outcome {
        outcome(&response(status, body), Timestamp::UNIX_EPOCH)
    }

    fn response(status: u16, body: impl Into<Vec<u8>>) -> Response {
        Response {
            status,
            body: body.into(),
            ..Response::default()
        }
    }

    #[test]
    fn success_is_200_with_an_id() {
        assert_eq!(answer(200, r#"{"id":12}"#), Outcome::Taken { id: 12 });
        assert_eq!(answer(200, r#"{"id":12.0}"#), Outcome::Taken { id: 12 });
        assert_eq!(
            answer(200, r#"{"id":9007199254740992}"#),
            Outcome::Taken { id: 1 << 53 }
        );
        let why = |body: &str, status| match answer(status, body) {
            Outcome::Unknown {
                why,
                answered: true,
            } => why,
            other => panic!("{other:?}"),
        };
        assert_eq!(why("", 200), "the site answered 200 without an id");
        assert_eq!(
            why(r#"{"id":"12"}"#, 200),
            r#"the site answered 200 without an id: {"id":"12"}"#
        );
        for body in ["{}", "[12]", "12", r#"{"id":12"#] {
            why(body, 200);
        }
        for id in ["null", "0", "-1", "0.5", "12.7", "1e300", "[12]", "true"] {
            let body = format!("{{\"id\":{id}}}");
            assert_eq!(
                why(&body, 200),
                format!("the site answered 200 without an id: {body}")
            );
        }
        for id in ["9007199254740994", "18446744073709551615"] {
            why(&format!("{{\"id\":{id}}}"), 200);
        }
        why(r#"{"id":12}"#, 201);
    }

    #[test]
    fn an_answer_that_is_not_utf_8_is_read_all_the_same() {
        let answer = |status, body: &[u8]| outcome(&response(status, body), Timestamp::UNIX_EPOCH);
        let taken = answer(200, b"{\"id\":12,\"name\":\"Ger\xe4t\"}");
        assert_eq!(taken, Outcome::Taken { id: 12 });
        assert_eq!(
            answer(400, b"{\"error\":\"Ger\xe4t\"}"),
            Outcome::Refused {
                why: "the site answered 400: Ger\u{fffd}t".into()
            }
        );
    }

    #[test]
    fn the_status_tells_what_may_be_done() {
        for status in [400, 413, 415, 422] {
            assert!(matches!(answer(status, ""), Outcome::Refused { .. }));
        }
        assert!(matches!(answer(500, ""), Outcome::Broken { .. }));
        for status in [408, 425, 429, 501, 503] {
            assert!(matches!(answer(status, ""), Outcome::Again { .. }));
        }
        for status in [301, 302, 307, 308, 401, 403, 404, 405] {
            assert!(matches!(answer(status, ""), Outcome::Later { .. }));
        }
        // The site behind a gateway may have taken it.
        for status in [502, 504, 520, 524] {
            let outcome = answer(status, "");
            assert!(matches!(outcome, Outcome::Unknown { answered, .. } if !answered));
        }
    }

    #[test]
    fn an_answer_that_is_not_whole_is_no_success() {
        let answer = Response {
            incomplete: Some("it is cut off".into()),
            ..response(200, r#"{"id":12}"#)
        };
        assert_eq!(
            outcome(&answer, Timestamp::UNIX_EPOCH),
            Outcome::Unknown {
                why: "the site answered 200, but it is cut off".into(),
                answered: false,
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
    fn headers_tell_where_a_redirect_leads_and_how_long_to_wait() {
        let with = |status, name: &str, value: &str| {
            let answer = Response {
                headers: vec![(name.to_owned(), value.to_owned())],
                ..response(status, "")
            };
            outcome(&answer, Timestamp::UNIX_EPOCH)
        };
        for status in [301, 302, 307, 308] {
            let why = format!("the site answered {status}, a redirect to http://a.org/b");
            let outcome = with(status, "location", "http://a.org/b");
            assert_eq!(outcome, Outcome::Later { why });
        }
        let why = "the site answered 429".to_owned();
        let after = Some(Duration::from_secs(30));
        let outcome = with(429, "retry-after", "30");
        assert_eq!(outcome, Outcome::Again { why, after });
    }
}
