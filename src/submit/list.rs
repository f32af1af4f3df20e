//! The list of results that the site gives for `GET /api/results`, newest first, in pages
//! (`getBenchmarkResults` in cjpais/LocalScore). In it a run is recognised whose answer was lost.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;

/// The most rows of a page that the site gives.
pub(super) const PAGE: usize = 100;

/// The most pages that are read.
pub(super) const MAX_PAGES: usize = 20;

/// What a result has in common with the payload from which the site made it: where it stands in
/// each, and whether the list must have it. The site stores the averages as they were sent.
const SAME: [(&str, &str, bool); 17] = [
    ("/avg_prompt_tps", "/results_summary/avg_prompt_tps", true),
    ("/avg_gen_tps", "/results_summary/avg_gen_tps", true),
    ("/avg_ttft_ms", "/results_summary/avg_ttft_ms", true),
    ("/model/name", "/results/0/model_name", true),
    ("/model/quant", "/results/0/model_quant_str", true),
    ("/accelerator", "/accelerator_info/name", true),
    ("/accelerator_type", "/accelerator_info/type", false),
    (
        "/accelerator_memory_gb",
        "/accelerator_info/memory_gb",
        false,
    ),
    ("/system/cpu_name", "/system_info/cpu_name", false),
    ("/system/cpu_arch", "/system_info/cpu_arch", false),
    ("/system/ram_gb", "/system_info/ram_gb", false),
    ("/system/kernel_type", "/system_info/kernel_type", false),
    (
        "/system/kernel_release",
        "/system_info/kernel_release",
        false,
    ),
    ("/system/system_version", "/system_info/version", false),
    ("/runtime/name", "/runtime_info/name", false),
    ("/runtime/version", "/runtime_info/version", false),
    ("/runtime/commit_hash", "/runtime_info/commit", false),
];

/// A payload, and when the site must have taken it.
pub(crate) struct Wanted {
    payload: Value,
    from: Timestamp,
    to: Timestamp,
}

/// A page of the list.
pub(super) struct Page {
    /// The ids of its results, and whether each is the wanted one.
    pub rows: Vec<(i64, bool)>,
    /// Whether nothing that is wanted can follow.
    pub is_last: bool,
}

impl Wanted {
    /// A payload that was sent between these times.
    pub(crate) fn new(payload: &str, from: Timestamp, to: Timestamp) -> Self {
        Self {
            payload: serde_json::from_str(payload).unwrap_or_default(),
            from,
            to,
        }
    }

    /// Reads a page; `None` if it is not one.
    pub(super) fn page(&self, body: &[u8]) -> Option<Page> {
        let results: Vec<Value> = serde_json::from_slice(body).ok()?;
        let rows = results.iter().map(|row| {
            let id = row.get("id")?.as_i64().filter(|&id| id > 0)?;
            Some((id, self.is(row)))
        });
        let times: Option<Vec<Timestamp>> = results.iter().map(created_at).collect();
        let reaches_back = times.is_some_and(|times| {
            times.is_sorted_by(|one, next| one >= next)
                && times.last().is_some_and(|&last| last < self.from)
        });
        Some(Page {
            rows: rows.collect::<Option<_>>()?,
            is_last: reaches_back || results.len() < PAGE,
        })
    }

    /// Whether the site may have made this result from the payload.
    fn is(&self, row: &Value) -> bool {
        let in_time = created_at(row).is_some_and(|time| (self.from..=self.to).contains(&time));
        in_time
            && SAME.iter().all(|(theirs, ours, is_needed)| {
                let theirs = row.pointer(theirs).filter(|value| !value.is_null());
                match (theirs, self.payload.pointer(ours)) {
                    (None, _) => !is_needed,
                    (Some(theirs), Some(ours)) => is_same(theirs, ours),
                    (Some(_), None) => false,
                }
            })
    }
}

/// Whether two values are the same; numbers as far as a database with 15 digits keeps them, and the
/// site may give them as text.
fn is_same(theirs: &Value, ours: &Value) -> bool {
    match (theirs, ours.as_f64()) {
        (Value::String(text), Some(ours)) => text.parse().is_ok_and(|value| is_near(value, ours)),
        (theirs, Some(ours)) => theirs.as_f64().is_some_and(|value| is_near(value, ours)),
        _ => theirs == ours,
    }
}

fn is_near(one: f64, other: f64) -> bool {
    (one - other).abs() <= 1e-12 * other.abs()
}

/// When the site took a result: `YYYY-MM-DD HH:MM:SS`, UTC, or with its offset.
fn created_at(row: &Value) -> Option<Timestamp> {
    let text = row.get("created_at")?.as_str()?;
    let utc = || {
        let time: DateTime = text.parse().ok()?;
        time.to_zoned(TimeZone::UTC).ok()
    };
    match text.parse() {
        Ok(time) => Some(time),
        Err(_) => Some(utc()?.timestamp()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_last(times: &[&str]) -> bool {
        let time = |text: &str| text.parse().unwrap();
        let from = time("2026-01-02T00:00:00Z");
        let wanted = Wanted::new("{}", from, time("2026-01-03T00:00:00Z"));
        let rows = times.iter().zip(1..);
        let rows = rows.map(|(time, id)| serde_json::json!({"id": id, "created_at": time}));
        let body = serde_json::to_vec(&rows.collect::<Vec<_>>()).unwrap();
        let page = wanted.page(&body).unwrap();
        assert_eq!(page.rows.len(), times.len());
        page.is_last
    }

    #[test]
    fn the_last_page_is_short_or_reaches_back() {
        let newer = "2026-01-02 00:00:00";
        let older = "2026-01-01 23:59:59";
        let full = |rest: &[&'static str]| [&vec![newer; PAGE - rest.len()][..], rest].concat();
        assert!(is_last(&[]));
        assert!(is_last(&full(&[])[1..]));
        assert!(!is_last(&full(&[])));
        assert!(is_last(&full(&[older])));
        // Not newest first: something newer may follow.
        assert!(!is_last(&full(&[older, newer])));
        assert!(!is_last(&full(&[newer, older, newer, older])));
        assert!(!is_last(&full(&["soon", older])));
        assert!(is_last(&full(&[
            "2026-01-01T23:00:00-01:00",
            "2026-01-01T23:00:00.5Z"
        ])));
    }
}
