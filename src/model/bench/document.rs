//! A document of llama-bench: rows, and the runs that they make.

use std::sync::Arc;

use base::{Records, Result};

use super::number::{general, parsed};
use super::{Identity, RESULTS, Role, Settings, test_name};
use crate::model::{Model, Run, Source, Test, Text, Tool};

/// The repetitions of a row, where its source has them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Samples {
    /// The times in nanoseconds.
    pub ns: Option<Vec<u64>>,
    /// The speeds in tokens per second, as they were printed, separated by `, `.
    pub ts: Option<Text>,
}

/// Why a row is not stored, nor the rest of its run; where it does not tell its run, no run of its
/// document is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The message.
    pub why: String,
    /// Whether the run, or the document, had been refused before.
    pub is_known: bool,
}

/// A run of a document.
#[derive(Debug, Clone)]
pub(crate) struct DocumentRun {
    /// What its rows have in common.
    pub identity: Arc<Identity>,
    /// How many rows it has.
    pub tests: u64,
    /// Whether a row of it is invalid.
    pub is_refused: bool,
    /// 16 bytes over its rows without their samples, the same for csv, json and sql.
    pub fingerprint: [u8; 16],
    /// 8 bytes over what a table tells of its rows, rounded as there.
    pub core: [u8; 8],
    /// When its first test began, as it was printed.
    pub test_time: Option<Text>,
    /// Its speeds.
    pub speeds: Speeds,
    /// Whether json has told bytes of 0x80 and more, which it loses in most builds.
    pub tells_bytes: bool,
    /// How many of its rows have the times of their repetitions.
    pub sampled: u64,
}

/// The speeds of a run, tokens per second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Speeds {
    /// Of the first test without generation, of those with the least depth.
    pub prompt: Option<f64>,
    /// Of the first test without a prompt, of those with the least depth.
    pub generation: Option<f64>,
    /// Mean over the tests without generation.
    pub mean_prompt: Option<f64>,
    /// Mean over the tests without a prompt.
    pub mean_generation: Option<f64>,
}

/// A row of a document.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// Its run: a place in [`Document::runs`].
    pub run: usize,
    /// Its settings: a place in [`Document::settings`].
    pub settings: usize,
    /// Prompt tokens.
    pub n_prompt: i64,
    /// Generated tokens.
    pub n_gen: i64,
    /// Tokens before the test; `None` in versions that have no such field.
    pub n_depth: Option<i64>,
    /// The values of the fields [`RESULTS`].
    pub results: [Option<Text>; RESULTS.len()],
    /// The repetitions; the speeds only where the times do not give them.
    pub samples: Samples,
}

/// The rows of one document and their runs, in the order in which they came.
#[derive(Debug)]
pub(crate) struct Document {
    /// The runs, in the order of their first rows; those that are refused are there too.
    pub runs: Vec<DocumentRun>,
    /// The settings of the rows.
    pub settings: Vec<Arc<Settings>>,
    /// What the rows were read from.
    pub source: Source,
    /// The approximate size in the text, in bytes.
    pub length: usize,
    pub(super) rows: Records,
}

impl Document {
    /// How many rows there are, those of refused runs included.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn rows(&self) -> u64 {
        self.rows.count()
    }

    /// Hands over each row in its order.
    pub(crate) fn each_row<E: From<base::Error>>(
        &mut self,
        mut work: impl FnMut(Row) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        self.rows.each(|bytes| work(Decoder(bytes).row()))
    }

    /// The runs that are not refused, with their tests.
    pub(crate) fn read_runs(&mut self) -> Result<Vec<Run>> {
        let mut runs: Vec<Run> = self
            .runs
            .iter()
            .map(|run| run.identity.run(self.source))
            .collect();
        let settings = self.settings.clone();
        let identities: Vec<Arc<Identity>> = self
            .runs
            .iter()
            .map(|run| Arc::clone(&run.identity))
            .collect();
        self.each_row(|row| {
            let test = row.test(&settings[row.settings], &identities[row.run]);
            runs[row.run].tests.push(test);
            Ok::<(), base::Error>(())
        })?;
        let kept = runs.into_iter().zip(&self.runs);
        Ok(kept
            .filter(|(_, run)| !run.is_refused)
            .map(|(run, _)| run)
            .collect())
    }
}

impl Identity {
    /// A run of this identity without tests.
    #[must_use]
    pub(crate) fn run(&self, source: Source) -> Run {
        let mut run = Run {
            tool: Tool::LlamaBench,
            source,
            ..Run::default()
        };
        let runtime = &mut run.environment.runtime;
        runtime.name = Some("llama.cpp".into());
        runtime.commit = self.get("build_commit").cloned();
        runtime.version = self.get("build_number").map(|number| {
            let number = [b"b", number.as_bytes()].concat();
            number.into()
        });
        run.environment.system.cpu_name = self.get("cpu_info").cloned();
        run.environment.accelerator.name = self.accelerator().cloned();
        run
    }

    /// The model and the build.
    #[must_use]
    pub(crate) fn model(&self) -> Model {
        let text = |name| self.get(name).cloned();
        Model {
            build_commit: text("build_commit"),
            build_number: self.number("build_number"),
            model_name: text("model_type"),
            model_quant_str: self.quant(),
            model_filename: text("model_filename"),
            model_type: text("model_type"),
            model_size: self.number("model_size"),
            model_n_params: self.number("model_n_params"),
            backend: self.backend(),
            ..Model::default()
        }
    }
}

impl Row {
    /// Tokens before the test: none where the field is missing.
    #[must_use]
    pub(crate) fn depth(&self) -> i64 {
        self.n_depth.unwrap_or(0)
    }

    /// The name of the test: `ik_llama.cpp` prints one, which tells more than the sizes.
    #[must_use]
    pub(crate) fn name(&self, settings: &Settings) -> Text {
        let of_sizes = test_name(self.n_prompt, self.n_gen, self.depth());
        let letters = |name: &[u8]| -> Vec<u8> {
            let letters = name.iter().filter(|letter| **letter != b' ');
            letters.copied().collect()
        };
        match settings.get("test") {
            // Old tables have a space in it, as in `pp 512`.
            Some(name)
                if !settings.schema.is_table()
                    || letters(name.as_bytes()) != letters(of_sizes.as_bytes()) =>
            {
                name.clone()
            }
            _ => of_sizes.as_str().into(),
        }
    }

    /// The value of this field of [`RESULTS`] as a number.
    #[must_use]
    pub(crate) fn number(&self, field: &str) -> Option<f64> {
        let place = RESULTS.iter().position(|name| *name == field)?;
        parsed(self.results[place].as_ref()?.as_bytes())
    }

    /// The test that this row is.
    #[must_use]
    pub(crate) fn test(&self, settings: &Arc<Settings>, identity: &Identity) -> Test {
        let tps = self.number("avg_ts");
        let stddev = self.number("stddev_ts");
        let milliseconds = |field| self.number(field).map(|ns| ns / 1e6);
        let (is_prompt, is_generation) = (self.n_gen == 0, self.n_prompt == 0);
        Test {
            model: identity.model(),
            name: self.name(settings),
            n_prompt: self.n_prompt,
            n_gen: self.n_gen,
            n_depth: self.depth(),
            test_time: self.results[0].clone(),
            avg_time_ms: milliseconds("avg_ns"),
            stddev_time_ms: milliseconds("stddev_ns"),
            tps,
            tps_stddev: stddev,
            prompt_tps: tps.filter(|_| is_prompt),
            prompt_tps_stddev: stddev.filter(|_| is_prompt),
            gen_tps: tps.filter(|_| is_generation),
            gen_tps_stddev: stddev.filter(|_| is_generation),
            samples_ns: self.samples.ns.clone(),
            settings: Some(Arc::clone(settings)),
            ..Test::default()
        }
    }

    /// The values of the fields, as [`Builder::push`] takes them.
    #[must_use]
    pub(crate) fn values(&self, identity: &Identity, settings: &Settings) -> Vec<Option<Text>> {
        let number = |number: i64| Some(number.to_string().as_str().into());
        let roles = settings.schema.fields().map(|(_, role)| role);
        let values = roles.map(|role| match role {
            Role::Identity(place) => identity.values[place].clone(),
            Role::Prompt => number(self.n_prompt),
            Role::Gen => number(self.n_gen),
            Role::Depth => self.n_depth.and_then(number),
            Role::Result(place) => self.results[place].clone(),
            Role::Speed => {
                let [.., mean, deviation] = &self.results;
                let deviation = deviation.as_ref().map(Text::as_bytes);
                let mean = mean.as_ref()?.as_bytes();
                Some(match deviation {
                    Some(deviation) => [mean, " ± ".as_bytes(), deviation].concat().into(),
                    None => mean.to_vec().into(),
                })
            }
            Role::Setting(place) => settings.values.get(place)?.clone(),
        });
        values.collect()
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.clear();
        let mut number = |number: u64| out.extend_from_slice(&number.to_le_bytes());
        number(self.run as u64);
        number(self.settings as u64);
        number(self.n_prompt.cast_unsigned());
        number(self.n_gen.cast_unsigned());
        // A depth is never below zero.
        number(self.n_depth.unwrap_or(-1).cast_unsigned());
        for value in self.results.iter().chain([&self.samples.ts]) {
            put(out, value.as_ref().map(Text::as_bytes));
        }
        if let Some(samples) = &self.samples.ns {
            for sample in samples {
                out.extend_from_slice(&sample.to_le_bytes());
            }
            out.push(1);
        }
    }
}

/// Appends a value behind its length and one.
pub(super) fn put(out: &mut Vec<u8>, value: Option<&[u8]>) {
    let length = value.map_or(0, |value| value.len() as u64 + 1);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(value.unwrap_or_default());
}

/// Reads what [`Row::encode`] has written.
struct Decoder<'a>(&'a [u8]);

impl Decoder<'_> {
    fn take(&mut self, length: usize) -> &[u8] {
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    fn number(&mut self) -> u64 {
        let bytes = self.take(8);
        bytes
            .iter()
            .rev()
            .fold(0, |all, byte| all << 8 | u64::from(*byte))
    }

    fn place(&mut self) -> usize {
        usize::try_from(self.number()).unwrap_or(usize::MAX)
    }

    fn text(&mut self) -> Option<Text> {
        let length = self.place().checked_sub(1)?;
        Some(self.take(length).to_vec().into())
    }

    fn row(mut self) -> Row {
        let (run, settings) = (self.place(), self.place());
        let n_prompt = self.number().cast_signed();
        let n_gen = self.number().cast_signed();
        let n_depth = Some(self.number().cast_signed()).filter(|depth| *depth >= 0);
        let results = std::array::from_fn(|_| self.text());
        let ts = self.text();
        let ns = self.0.split_last().map(|(_, samples)| {
            let samples = samples.chunks_exact(8);
            samples.map(|bytes| Decoder(bytes).number()).collect()
        });
        Row {
            run,
            settings,
            n_prompt,
            n_gen,
            n_depth,
            results,
            samples: Samples { ns, ts },
        }
    }
}

/// The speeds of the repetitions as the tool prints them.
#[must_use]
pub(crate) fn speeds(row: &Row) -> Option<Text> {
    let times = row.samples.ns.as_ref()?;
    #[allow(clippy::cast_precision_loss, reason = "as the tool computes it")]
    let speed = |ns: &u64| 1e9 * (row.n_prompt + row.n_gen) as f64 / *ns as f64;
    let speeds: Vec<String> = times.iter().map(|ns| general(speed(ns))).collect();
    Some(speeds.join(", ").as_str().into())
}
