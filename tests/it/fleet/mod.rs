//! `push` and `pull` with a real libSQL server. A test begins with [`sqld::is_missing`], and ends there
//! where there is none:
//!
//! ```ignore
//! if sqld::is_missing() {
//!     return;
//! }
//! let server = Sqld::start();
//! let machines = machines(2, server.address());
//! ```

mod failures;
mod ground;
mod hostile;
mod hrana;
mod positions;
mod proxy;
mod secrets;
mod site;
mod site_runs;
mod sqld;
mod token;
mod travels;
mod versions;
mod words;

use std::net::SocketAddr;

use crate::fleet::hrana::Client;
use crate::fleet::sqld::Sqld;
use crate::sandbox::Sandbox;

/// So many machines, each with an empty store, whose remote is this server or proxy.
fn machines(count: usize, remote: SocketAddr) -> Vec<Sandbox> {
    let machine = |_| {
        let mut sandbox = Sandbox::new();
        sandbox.set("LOCALSTORE_REMOTE", url(remote));
        sandbox
    };
    (0..count).map(machine).collect()
}

/// The address of a server or a proxy, as `push` and `pull` take it.
fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

/// Pushes, and gives the last line.
#[track_caller]
fn push(machine: &Sandbox) -> String {
    last_line(machine, &["push"])
}

/// Pulls, and gives the last line.
#[track_caller]
fn pull(machine: &Sandbox) -> String {
    last_line(machine, &["pull"])
}

#[track_caller]
fn last_line(machine: &Sandbox, args: &[&str]) -> String {
    let ran = machine.run(args);
    ran.ok();
    ran.text().lines().last().unwrap_or_default().to_owned()
}

/// The score table of a remote must be the means of all of its rows.
#[track_caller]
fn means_are_true(server: &Sqld) {
    let wrong = "SELECT s.accelerator_id, s.model_variant_id, s.performance_score, a.score,
             s.avg_prompt_tps, a.prompt, s.avg_gen_tps, a.gen, s.avg_ttft, a.ttft
         FROM (SELECT accelerator_id, model_variant_id,
                   avg(nullif(CAST(performance_score AS REAL), 0)) AS score,
                   avg(nullif(CAST(avg_prompt_tps AS REAL), 0)) AS prompt,
                   avg(nullif(CAST(avg_gen_tps AS REAL), 0)) AS gen,
                   avg(nullif(CAST(avg_ttft_ms AS REAL), 0)) AS ttft
               FROM benchmark_runs
               WHERE accelerator_id IS NOT NULL AND model_variant_id IS NOT NULL
               GROUP BY accelerator_id, model_variant_id) a
         FULL JOIN accelerator_model_performance_scores s
             USING (accelerator_id, model_variant_id)
         WHERE NOT (s.performance_score IS a.score
                 OR abs(s.performance_score - a.score) <= 1e-12 * abs(a.score))
             OR NOT (s.avg_prompt_tps IS a.prompt
                 OR abs(s.avg_prompt_tps - a.prompt) <= 1e-12 * abs(a.prompt))
             OR NOT (s.avg_gen_tps IS a.gen OR abs(s.avg_gen_tps - a.gen) <= 1e-12 * abs(a.gen))
             OR NOT (s.avg_ttft IS a.ttft OR abs(s.avg_ttft - a.ttft) <= 1e-12 * abs(a.ttft))
             OR (s.performance_score IS NULL AND a.score IS NOT NULL)";
    let wrong = Client::new(server.address()).query(wrong);
    assert_eq!(wrong, Vec::<hrana::Row>::new());
}
