//! Runs that are made up, document by document, to be compared.

use serde_json::{Value, json};

use crate::sandbox::Sandbox;

/// A complete run on a machine, of which a test says what is different.
pub(crate) struct Bench {
    /// All speeds are multiplied by it.
    pub speed: f64,
    /// The generation speeds besides.
    pub generation: f64,
    /// The day of January 2025 on which it was measured.
    pub day: u32,
    pub repetitions: u64,
    pub model: &'static str,
    pub quant: &'static str,
    pub accelerator: &'static str,
    pub kind: &'static str,
    pub runtime: &'static str,
    pub version: &'static str,
    pub cpu: &'static str,
    pub kernel: &'static str,
    pub tests: usize,
}

impl Default for Bench {
    fn default() -> Self {
        Self {
            speed: 1.0,
            generation: 1.0,
            day: 1,
            repetitions: 1,
            model: "Llama 3.2 1B Instruct",
            quant: "Q4_K - Medium",
            accelerator: "GPU One",
            kind: "GPU",
            runtime: "llamafile",
            version: "0.9.2",
            cpu: "CPU One",
            kernel: "6.8.0",
            tests: 9,
        }
    }
}

const TOKENS: [(u64, u64); 9] = [
    (1024, 16),
    (4096, 256),
    (2048, 256),
    (2048, 768),
    (1024, 1024),
    (1280, 3072),
    (384, 1152),
    (64, 1024),
    (16, 1536),
];

/// Noise that comes again: -1, -0.6 … 1.
const NOISE: [f64; 6] = [-0.6, 1.0, 0.2, -1.0, 0.6, -0.2];

impl Bench {
    /// The document of the C tool. Runs of different days differ by up to 1%.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "times of a test in nanoseconds"
    )]
    pub(crate) fn document(&self) -> String {
        let of_run = 1.0 + 0.01 * NOISE[self.day as usize % NOISE.len()];
        let results: Vec<Value> = TOKENS[..self.tests]
            .iter()
            .map(|&(n_prompt, n_gen)| {
                let pp = 8000.0 * self.speed * of_run;
                let tg = 130.0 * self.speed * self.generation * of_run;
                let seconds = n_prompt as f64 / pp + n_gen as f64 / tg;
                let samples: Vec<u64> = (0..self.repetitions as usize)
                    .map(|index| 1.0 + 0.003 * NOISE[index % NOISE.len()])
                    .map(|noise| (seconds * noise * 1e9) as u64)
                    .collect();
                let deviation = if self.repetitions > 1 { 0.003 } else { 0.0 };
                json!({
                    "build_commit": "a30b324", "build_number": 1500,
                    "model_name": self.model, "model_quant_str": self.quant,
                    "model_params_str": "1B", "model_filename": "model.gguf",
                    "model_type": "llama 1B", "model_size": 799_862_912,
                    "model_n_params": 1_235_814_432, "n_prompt": n_prompt, "n_gen": n_gen,
                    "test_time": format!("2025-01-{:02}T12:00:00Z", self.day),
                    "avg_time_ms": seconds * 1e3, "stddev_time_ms": 0.0,
                    "prompt_tps": pp, "prompt_tps_watt": 0.0, "prompt_tps_stddev": pp * deviation,
                    "gen_tps": tg, "gen_tps_watt": 0.0, "gen_tps_stddev": tg * deviation,
                    "name": format!("pp{n_prompt}+tg{n_gen}"), "power_watts": 0.0,
                    "ttft_ms": 1e3 * (n_prompt as f64 / pp + 1.0 / tg), "main_gpu": 0,
                    "samples_ns": samples,
                })
            })
            .collect();
        let document = json!({
            "runtime_info":
                {"name": self.runtime, "version": self.version, "commit": "a30b324"},
            "system_info": {
                "cpu_name": self.cpu, "cpu_arch": "x86_64", "ram_gb": 62.5,
                "kernel_type": "Linux", "kernel_release": self.kernel, "version": "#1"
            },
            "accelerator_info": {
                "name": self.accelerator, "manufacturer": "Maker", "memory_gb": 24.0,
                "type": self.kind
            },
            "results": results,
        });
        document.to_string()
    }
}

/// One run a day at the same speed but for the noise.
pub(crate) fn days(days: std::ops::RangeInclusive<u32>) -> Vec<Bench> {
    let day = |day| Bench {
        day,
        ..Bench::default()
    };
    days.map(day).collect()
}

/// A store of these runs, added in this order.
pub(crate) fn store(benches: &[Bench]) -> Sandbox {
    let sandbox = Sandbox::new();
    let text: String = benches
        .iter()
        .map(|bench| bench.document() + "\n")
        .collect();
    sandbox.run_with_input(["add"], text.as_bytes()).ok();
    sandbox
}
