//! What llama-bench prints: rows of named values, in the fields of the version that printed them.
//!
//! A row belongs to the run of its [`Identity`], is a test with [`Settings`], and has results. Values
//! are kept as the tokens that were printed, without their quotes, so that they can be printed again.

mod builder;
mod classes;
mod defaults;
mod document;
mod number;
mod suite;
mod version;

pub(crate) use builder::{Builder, Recount};
pub(crate) use classes::{Classes, build_of};
pub(crate) use defaults::{default, long_names, short_name};
pub(crate) use document::{Document, DocumentRun, Refusal, Row, Samples, speeds};
pub(crate) use number::{general, rounded, shown_params, shown_size};
pub(crate) use suite::{LlamaBench, Unequal, unequal_settings};
pub(crate) use version::version;

use std::sync::Arc;

use super::Text;

/// The kind of a field's values, which decides how formats print them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// A string.
    Text,
    /// `true` and `false` in json, else `1` and `0`, as which they are kept.
    Bool,
    /// An integer.
    Integer,
    /// A number with decimals.
    Real,
    /// Another json value, kept as it came: an array, an object, `null`.
    Other,
}

impl Kind {
    const ALL: [Self; 5] = [
        Self::Text,
        Self::Bool,
        Self::Integer,
        Self::Real,
        Self::Other,
    ];

    /// The name in the store.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Bool => "bool",
            Self::Integer => "integer",
            Self::Real => "real",
            Self::Other => "other",
        }
    }

    /// The kind with this name.
    #[must_use]
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The kind of the tool's own field of this name, in the version with this build number; `None`
    /// for a field that no version of llama.cpp has.
    #[must_use]
    pub(crate) fn of(field: &str, version: i64) -> Option<Self> {
        const INTEGERS: [&str; 18] = [
            "build_number",
            "model_size",
            "model_n_params",
            "n_batch",
            "n_ubatch",
            "n_threads",
            "poll",
            "n_gpu_layers",
            "n_cpu_moe",
            "main_gpu",
            "no_op_offload",
            "fit_target",
            "fit_min_ctx",
            "n_prompt",
            "n_gen",
            "n_depth",
            "avg_ns",
            "stddev_ns",
        ];
        const BOOLS: [&str; 18] = [
            "cuda",
            "opencl",
            "vulkan",
            "kompute",
            "metal",
            "sycl",
            "gpu_blas",
            "blas",
            "f16_kv",
            "mul_mat_q",
            "low_vram",
            "no_kv_offload",
            "use_mmap",
            "use_direct_io",
            "embeddings",
            "cpu_strict",
            "no_host",
            "repack",
        ];
        const TEXTS: [&str; 17] = [
            "build_commit",
            "cpu_info",
            "gpu_info",
            "backends",
            "rpc",
            "model_filename",
            "model_type",
            "cpu_mask",
            "type_k",
            "type_v",
            "split_mode",
            "devices",
            "tensor_split",
            "tensor_buft_overrides",
            "load_mode",
            "lazy_mode",
            "test_time",
        ];
        if INTEGERS.contains(&field) {
            Some(Self::Integer)
        } else if BOOLS.contains(&field) {
            Some(Self::Bool)
        } else if TEXTS.contains(&field) {
            Some(Self::Text)
        } else {
            match field {
                "avg_ts" | "stddev_ts" | "defrag_thold" => Some(Self::Real),
                "flash_attn" if version < 9437 => Some(Self::Bool),
                "flash_attn" => Some(Self::Integer),
                _ => None,
            }
        }
    }
}

/// A field of a document.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Column {
    /// Its name.
    pub name: Text,
    /// The kind of its values.
    pub kind: Kind,
    /// In a table: the width of its rule, and whether its values stand at the left.
    pub width: Option<(u16, bool)>,
}

/// What a field is to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    /// A part of the identity: a place in [`IDENTITY`].
    Identity(usize),
    /// The number of prompt tokens.
    Prompt,
    /// The number of generated tokens.
    Gen,
    /// The number of tokens before the test.
    Depth,
    /// A result: a place in [`RESULTS`].
    Result(usize),
    /// In a table, mean and deviation of the speed.
    Speed,
    /// Everything else, the column `test` of a table and of `ik_llama.cpp` included: a place among the
    /// settings.
    Setting(usize),
}

/// The fields that tell the runs of a document apart.
pub(crate) const IDENTITY: [&str; 18] = [
    "build_commit",
    "build_number",
    "cpu_info",
    "gpu_info",
    "backends",
    "cuda",
    "opencl",
    "vulkan",
    "kompute",
    "metal",
    "sycl",
    "rpc",
    "gpu_blas",
    "blas",
    "model_filename",
    "model_type",
    "model_size",
    "model_n_params",
];

/// The fields that hold what was measured; besides, a row has samples.
pub(crate) const RESULTS: [&str; 5] = ["test_time", "avg_ns", "stddev_ns", "avg_ts", "stddev_ts"];

/// The fields of a document in their order. All rows with the same fields share one.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Schema {
    columns: Vec<Column>,
    /// The table of an sql source.
    table: Option<Text>,
    roles: Vec<Role>,
}

impl Schema {
    /// A schema of these fields; of two with one name only the first has its role.
    #[must_use]
    pub(crate) fn new(columns: Vec<Column>, table: Option<Text>) -> Self {
        let is_table = columns.iter().any(|column| column.width.is_some());
        let mut settings = 0;
        let mut roles = Vec::with_capacity(columns.len());
        for column in &columns {
            let role = role(column.name.as_bytes(), is_table).unwrap_or_else(|| {
                settings += 1;
                Role::Setting(settings - 1)
            });
            roles.push(role);
        }
        Self {
            columns,
            table,
            roles,
        }
    }

    /// The fields.
    #[must_use]
    pub(crate) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The fields with their roles.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&Column, Role)> {
        self.columns.iter().zip(self.roles.iter().copied())
    }

    /// How many of the fields are settings.
    #[must_use]
    pub(crate) fn settings(&self) -> usize {
        let is_setting = |role: &&Role| matches!(role, Role::Setting(_));
        self.roles.iter().filter(is_setting).count()
    }

    /// The table of the sql source.
    #[must_use]
    pub(crate) fn table(&self) -> Option<&Text> {
        self.table.as_ref()
    }

    /// Whether these are the columns of a table for people, which knows rounded values only.
    #[must_use]
    pub(crate) fn is_table(&self) -> bool {
        self.columns.iter().any(|column| column.width.is_some())
    }
}

/// The role of a field that is not a setting.
fn role(name: &[u8], is_table: bool) -> Option<Role> {
    let place = |names: &[&str], name: &str| names.iter().position(|other| *other == name);
    let name = std::str::from_utf8(name).ok()?;
    if is_table {
        let of_table = match name {
            "model" => "model_type",
            "size" => "model_size",
            "params" => "model_n_params",
            "backend" => "backends",
            "t/s" => return Some(Role::Speed),
            _ => return None,
        };
        return place(&IDENTITY, of_table).map(Role::Identity);
    }
    match name {
        "n_prompt" => Some(Role::Prompt),
        "n_gen" => Some(Role::Gen),
        "n_depth" => Some(Role::Depth),
        _ => place(&IDENTITY, name)
            .map(Role::Identity)
            .or_else(|| place(&RESULTS, name).map(Role::Result)),
    }
}

/// What all rows of a run have: the values of the fields [`IDENTITY`], `None` where there is no such
/// field. Of a table these are the texts in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    /// The values, in the order of the fields.
    pub values: [Option<Text>; IDENTITY.len()],
}

impl Identity {
    /// The value of the field of this name.
    #[must_use]
    pub(crate) fn get(&self, name: &str) -> Option<&Text> {
        let place = IDENTITY.iter().position(|field| *field == name)?;
        self.values[place].as_ref()
    }

    /// The value as a number; `None` for that of a table, which is rounded.
    pub(crate) fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        let text = self.get(name)?;
        std::str::from_utf8(text.as_bytes()).ok()?.parse().ok()
    }

    /// The backend: the field of that name or, in old versions, the first flag that is set.
    #[must_use]
    pub(crate) fn backend(&self) -> Option<Text> {
        const FLAGS: [(&str, &str); 8] = [
            ("cuda", "CUDA"),
            ("opencl", "OpenCL"),
            ("vulkan", "Vulkan"),
            ("kompute", "Kompute"),
            ("metal", "Metal"),
            ("sycl", "SYCL"),
            ("gpu_blas", "GPU BLAS"),
            ("blas", "BLAS"),
        ];
        if let Some(backends) = self.get("backends") {
            return Some(backends.clone());
        }
        let is_set = |flag: &str| self.get(flag).is_some_and(|value| value.as_bytes() == b"1");
        let has_flags = FLAGS.iter().any(|(flag, _)| self.get(flag).is_some());
        let set = FLAGS.iter().find(|(flag, _)| is_set(flag));
        has_flags.then(|| set.map_or("CPU", |(_, name)| name).into())
    }

    /// The model's quantisation: what follows the second word of its type.
    #[must_use]
    pub(crate) fn quant(&self) -> Option<Text> {
        let kind = self.get("model_type")?.as_bytes();
        let mut words = kind.splitn(3, |byte| *byte == b' ');
        let quant = words.nth(2)?;
        let quant = quant.strip_prefix(b"mostly ").unwrap_or(quant);
        Some(quant.to_vec().into())
    }

    /// What ran the model: the devices that are present, else the processor.
    #[must_use]
    pub(crate) fn accelerator(&self) -> Option<&Text> {
        let is_named = |text: &&Text| !text.as_bytes().is_empty();
        let gpu = self.get("gpu_info").filter(is_named);
        gpu.or_else(|| self.get("cpu_info").filter(is_named))
    }
}

/// The settings of a test: the values of all fields that are neither the run's, nor sizes, nor
/// results.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Settings {
    /// The fields.
    pub schema: Arc<Schema>,
    /// The values of its settings in their order, `None` where the row has no such field.
    pub values: Vec<Option<Text>>,
}

impl Settings {
    /// The fields that the row has, and their values.
    pub(crate) fn known(&self) -> impl Iterator<Item = (&Column, &Text)> {
        self.schema
            .fields()
            .filter_map(|(column, role)| match role {
                Role::Setting(place) => Some((column, self.values.get(place)?.as_ref()?)),
                _ => None,
            })
    }

    /// The value of the field of this name.
    #[must_use]
    pub(crate) fn get(&self, name: &str) -> Option<&Text> {
        let mut known = self.known();
        known.find_map(|(column, value)| {
            (column.name.as_bytes() == name.as_bytes()).then_some(value)
        })
    }
}

/// The name of a test: `pp512`, `tg128`, `pp512+tg128`, with ` @ d4096` behind it.
#[must_use]
pub(crate) fn test_name(n_prompt: i64, n_gen: i64, n_depth: i64) -> String {
    let prompt = (n_prompt > 0).then(|| format!("pp{n_prompt}"));
    let generation = (n_gen > 0).then(|| format!("tg{n_gen}"));
    let parts: Vec<String> = prompt.into_iter().chain(generation).collect();
    let depth = if n_depth > 0 {
        format!(" @ d{n_depth}")
    } else {
        String::new()
    };
    parts.join("+") + &depth
}
