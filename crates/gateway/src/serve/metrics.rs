//! What is counted for Prometheus, in its text format 0.0.4, which the crate prometheus-client does not write.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard};

use super::gateway::Gateway;
use super::lock;
use super::log::Log;
use crate::store::requests::Request;

/// The ends of the buckets of times, in seconds: from a cache near by to the longest timeout.
const BUCKETS: [f64; 16] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0,
];

/// The counters of this process.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    inflight: AtomicI64,
    counts: Mutex<Counts>,
}

/// The names of models and backends in here are those of the registry and of rules, so that no client makes
/// new ones.
#[derive(Debug, Default)]
struct Counts {
    models: BTreeMap<String, OfModel>,
    backends: BTreeMap<String, OfBackend>,
    retries: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Default)]
struct OfModel {
    /// By backend and status.
    requests: BTreeMap<String, BTreeMap<u16, u64>>,
    cache_hits: u64,
    prompt_tokens: u64,
    completion_tokens: u64,
}

#[derive(Debug, Default)]
struct OfBackend {
    latency: Histogram,
    ttft: Histogram,
}

#[derive(Debug, Default)]
struct Histogram {
    /// Each bucket by itself; the last is what lies beyond all.
    counts: [u64; BUCKETS.len() + 1],
    seconds: f64,
}

impl Histogram {
    fn observe(&mut self, ms: f64) {
        let seconds = ms / 1e3;
        let bucket = BUCKETS.partition_point(|end| *end < seconds);
        self.counts[bucket] += 1;
        self.seconds += seconds;
    }
}

impl Metrics {
    /// A request begins.
    pub(crate) fn begin(&self) {
        self.inflight.fetch_add(1, Ordering::Relaxed);
    }

    /// A request has ended. `model` is empty unless it is known, so that no client makes new series.
    pub(crate) fn end(&self, row: &Request, model: &str) {
        self.inflight.fetch_sub(1, Ordering::Relaxed);
        let backend = row.backend.as_deref().unwrap_or_default();
        let mut counts = self.counts();
        let of_model = counts.models.entry(model.to_owned()).or_default();
        let of_backend = of_model.requests.entry(backend.to_owned()).or_default();
        *of_backend.entry(row.status).or_default() += 1;
        of_model.cache_hits += u64::from(row.cached);
        for (sum, tokens) in [
            (&mut of_model.prompt_tokens, row.prompt_tokens),
            (&mut of_model.completion_tokens, row.completion_tokens),
        ] {
            *sum = sum.saturating_add(tokens.unwrap_or(0));
        }
        if !backend.is_empty() {
            let of_backend = counts.backends.entry(backend.to_owned()).or_default();
            of_backend.latency.observe(row.total_ms);
            if let Some(ttft_ms) = row.ttft_ms {
                of_backend.ttft.observe(ttft_ms);
            }
        }
    }

    /// Another backend is tried, for this reason.
    pub(crate) fn retried(&self, reason: &'static str) {
        *self.counts().retries.entry(reason).or_default() += 1;
    }

    /// All of it as Prometheus reads it.
    pub(crate) fn text(&self, gateway: &Gateway) -> String {
        let mut page = Page::default();
        self.counts().write(&mut page);
        page.metric("router_backend_up", "gauge", "Whether the backend is up");
        let registry = gateway.registry();
        for (model, backends) in &registry.models {
            for backend in backends {
                let is_up = u8::from(gateway.is_up(backend));
                page.sample("", &[("model", model), ("backend", &backend.label)], is_up);
            }
        }
        page.metric("router_inflight", "gauge", "Requests that run");
        page.sample("", &[], self.inflight.load(Ordering::Relaxed));
        let help = "Rows of requests that were lost, because the store is locked, full or too slow";
        page.metric("router_rows_dropped_total", "counter", help);
        page.sample("", &[], gateway.log.as_ref().map_or(0, Log::dropped));
        page.text
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        lock(&self.counts)
    }
}

impl Counts {
    fn write(&self, page: &mut Page) {
        let help = "Requests by the model that was asked for and the backend that answered";
        page.metric("router_requests_total", "counter", help);
        for (model, of_model) in &self.models {
            for (backend, statuses) in &of_model.requests {
                for (status, count) in statuses {
                    let status = status.to_string();
                    let labels = [
                        ("model", model.as_str()),
                        ("backend", backend),
                        ("status", &status),
                    ];
                    page.sample("", &labels, count);
                }
            }
        }
        page.metric(
            "router_cache_hits_total",
            "counter",
            "Answers from the cache",
        );
        for (model, of_model) in &self.models {
            page.sample("", &[("model", model)], of_model.cache_hits);
        }
        let help = "From a request to the end of its answer";
        page.metric("router_request_latency_seconds", "histogram", help);
        for (backend, of_backend) in &self.backends {
            page.histogram(backend, &of_backend.latency);
        }
        let help = "From a request to the first byte of its answer, which comes last if it is not a stream";
        page.metric("router_ttft_seconds", "histogram", help);
        for (backend, of_backend) in &self.backends {
            page.histogram(backend, &of_backend.ttft);
        }
        page.metric(
            "router_tokens_total",
            "counter",
            "Tokens as backends count them",
        );
        for (model, of_model) in &self.models {
            for (kind, tokens) in [
                ("prompt", of_model.prompt_tokens),
                ("completion", of_model.completion_tokens),
            ] {
                page.sample("", &[("model", model), ("kind", kind)], tokens);
            }
        }
        let help = "Tries of another backend, by what the one before did";
        page.metric("router_retries_total", "counter", help);
        for (reason, count) in &self.retries {
            page.sample("", &[("reason", reason)], count);
        }
    }
}

/// The text under way.
#[derive(Default)]
struct Page {
    text: String,
    /// The metric of the samples that follow.
    name: &'static str,
}

impl Page {
    fn metric(&mut self, name: &'static str, kind: &str, help: &str) {
        self.name = name;
        // Writing to a string cannot fail.
        let _ = write!(self.text, "# HELP {name} {help}.\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, ending: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let labels = labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)));
        let labels: Vec<String> = labels.collect();
        let labels = match labels.as_slice() {
            [] => String::new(),
            labels => format!("{{{}}}", labels.join(",")),
        };
        let _ = writeln!(self.text, "{}{ending}{labels} {value}", self.name);
    }

    fn histogram(&mut self, backend: &str, histogram: &Histogram) {
        let mut count = 0;
        let ends = BUCKETS.iter().map(f64::to_string);
        for (end, more) in ends.chain(["+Inf".to_owned()]).zip(histogram.counts) {
            count += more;
            self.sample("_bucket", &[("backend", backend), ("le", &end)], count);
        }
        self.sample("_sum", &[("backend", backend)], histogram.seconds);
        self.sample("_count", &[("backend", backend)], count);
    }
}

fn escaped(label: &str) -> String {
    label
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_counted_under_its_model_and_its_backend() {
        let metrics = Metrics::default();
        let row = Request {
            backend: Some("7".to_owned()),
            status: 200,
            prompt_tokens: Some(3),
            completion_tokens: Some(u64::MAX),
            ttft_ms: Some(5.0),
            total_ms: 1_000_000.0,
            ..Request::default()
        };
        let refused = Request {
            status: 404,
            ..Request::default()
        };
        for (row, model) in [(&row, "a\"\\\nb"), (&row, "a\"\\\nb"), (&refused, "")] {
            metrics.begin();
            metrics.end(row, model);
        }
        metrics.retried("connect");
        let mut page = Page::default();
        metrics.counts().write(&mut page);
        for line in [
            "router_requests_total{model=\"\",backend=\"\",status=\"404\"} 1",
            "router_requests_total{model=\"a\\\"\\\\\\nb\",backend=\"7\",status=\"200\"} 2",
            "router_tokens_total{model=\"a\\\"\\\\\\nb\",kind=\"prompt\"} 6",
            "router_tokens_total{model=\"a\\\"\\\\\\nb\",kind=\"completion\"} 18446744073709551615",
            "router_request_latency_seconds_bucket{backend=\"7\",le=\"600\"} 0",
            "router_request_latency_seconds_bucket{backend=\"7\",le=\"+Inf\"} 2",
            "router_request_latency_seconds_sum{backend=\"7\"} 2000",
            "router_ttft_seconds_bucket{backend=\"7\",le=\"0.005\"} 2",
            "router_ttft_seconds_count{backend=\"7\"} 2",
            "router_retries_total{reason=\"connect\"} 1",
        ] {
            assert!(
                page.text.lines().any(|told| told == line),
                "{line}\n{}",
                page.text
            );
        }
        assert_eq!(metrics.inflight.load(Ordering::Relaxed), 0);
    }
}
