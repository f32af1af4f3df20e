//! The 24 fields of a test by name, in the C tool's order: the one list that every reader, every
//! writer and the store go by.

use super::{Model, Test, Text};

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// A signed integer.
    Integer,
    /// An integer from 0 to 2^64 - 1.
    Unsigned,
    /// A number that is printed with six decimals; may be nan or inf.
    Number,
}

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// The capture did not say.
    Missing,
    /// A string.
    Text(&'a Text),
    /// A signed integer.
    Integer(i64),
    /// An unsigned integer.
    Unsigned(u64),
    /// A number.
    Number(f64),
}

macro_rules! fields {
    ($($variant:ident $name:literal $kind:ident $get:expr;)*) => {
        /// A field of a test.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "each is documented where Test holds it")]
        pub enum Field { $($variant),* }

        impl Field {
            /// All fields, in the C tool's order.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name in csv headers, json keys and SQL columns.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// The field of that name.
            #[must_use]
            pub fn from_name(name: &[u8]) -> Option<Self> {
                $(if name == $name.as_bytes() { return Some(Self::$variant); })*
                None
            }

            /// What the field holds.
            #[must_use]
            pub fn kind(self) -> Kind {
                match self { $(Self::$variant => Kind::$kind),* }
            }

            /// The value that a test has in this field.
            #[must_use]
            pub fn get(self, test: &Test) -> Value<'_> {
                match self { $(Self::$variant => {
                    let get: fn(&Test) -> Value<'_> = $get;
                    get(test)
                }),* }
            }
        }
    };
}

fields! {
    BuildCommit "build_commit" Text |t| text(&t.model.build_commit);
    BuildNumber "build_number" Integer |t| integer(t.model.build_number);
    ModelName "model_name" Text |t| text(&t.model.model_name);
    ModelQuantStr "model_quant_str" Text |t| text(&t.model.model_quant_str);
    ModelParamsStr "model_params_str" Text |t| text(&t.model.model_params_str);
    ModelFilename "model_filename" Text |t| text(&t.model.model_filename);
    ModelType "model_type" Text |t| text(&t.model.model_type);
    ModelSize "model_size" Unsigned |t| unsigned(t.model.model_size);
    ModelNParams "model_n_params" Unsigned |t| unsigned(t.model.model_n_params);
    NPrompt "n_prompt" Integer |t| Value::Integer(t.n_prompt);
    NGen "n_gen" Integer |t| Value::Integer(t.n_gen);
    TestTime "test_time" Text |t| text(&t.test_time);
    AvgTimeMs "avg_time_ms" Number |t| number(t.avg_time_ms);
    StddevTimeMs "stddev_time_ms" Number |t| number(t.stddev_time_ms);
    PromptTps "prompt_tps" Number |t| number(t.prompt_tps);
    PromptTpsWatt "prompt_tps_watt" Number |t| number(t.prompt_tps_watt);
    PromptTpsStddev "prompt_tps_stddev" Number |t| number(t.prompt_tps_stddev);
    GenTps "gen_tps" Number |t| number(t.gen_tps);
    GenTpsWatt "gen_tps_watt" Number |t| number(t.gen_tps_watt);
    GenTpsStddev "gen_tps_stddev" Number |t| number(t.gen_tps_stddev);
    Name "name" Text |t| Value::Text(&t.name);
    PowerWatts "power_watts" Number |t| number(t.power_watts);
    TtftMs "ttft_ms" Number |t| number(t.ttft_ms);
    MainGpu "main_gpu" Integer |t| integer(t.model.main_gpu);
}

impl Field {
    /// What a run is known by: fingerprints in stores are made of these values, in this order. A
    /// field that is added to the formats is not added here, for every stored fingerprint would
    /// change.
    pub const IDENTITY: [Self; 24] = [
        Self::BuildCommit,
        Self::BuildNumber,
        Self::ModelName,
        Self::ModelQuantStr,
        Self::ModelParamsStr,
        Self::ModelFilename,
        Self::ModelType,
        Self::ModelSize,
        Self::ModelNParams,
        Self::NPrompt,
        Self::NGen,
        Self::TestTime,
        Self::AvgTimeMs,
        Self::StddevTimeMs,
        Self::PromptTps,
        Self::PromptTpsWatt,
        Self::PromptTpsStddev,
        Self::GenTps,
        Self::GenTpsWatt,
        Self::GenTpsStddev,
        Self::Name,
        Self::PowerWatts,
        Self::TtftMs,
        Self::MainGpu,
    ];
}

impl Field {
    /// The fields of these names, which stand between commas.
    #[must_use]
    pub fn named(names: &str) -> Vec<Self> {
        let names = names.split(", ");
        names
            .filter_map(|name| Self::from_name(name.as_bytes()))
            .collect()
    }
}

fn text(value: &Option<Text>) -> Value<'_> {
    value.as_ref().map_or(Value::Missing, Value::Text)
}

fn integer<'a>(value: Option<i64>) -> Value<'a> {
    value.map_or(Value::Missing, Value::Integer)
}

fn unsigned<'a>(value: Option<u64>) -> Value<'a> {
    value.map_or(Value::Missing, Value::Unsigned)
}

fn number<'a>(value: Option<f64>) -> Value<'a> {
    value.map_or(Value::Missing, Value::Number)
}

/// 2^64 - 1 in JavaScript's digits.
const SPELLED_BY_JAVASCRIPT: i128 = 18_446_744_073_709_552_000;

/// A test that is being read: field by field, in any order.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    texts: [Option<Text>; Field::ALL.len()],
    integers: [Option<i128>; Field::ALL.len()],
    numbers: [Option<f64>; Field::ALL.len()],
    samples_ns: Option<Vec<u64>>,
}

impl Draft {
    /// Sets a field of kind [`Kind::Text`].
    pub fn set_text(&mut self, field: Field, value: Option<Text>) {
        debug_assert_eq!(field.kind(), Kind::Text);
        self.texts[field as usize] = value;
    }

    /// Sets a field of kind [`Kind::Integer`] or [`Kind::Unsigned`]; false if it does not fit.
    pub fn set_integer(&mut self, field: Field, value: Option<i128>) -> bool {
        debug_assert!(matches!(field.kind(), Kind::Integer | Kind::Unsigned));
        // JavaScript, and so a payload, spells 2^64 - 1 as the double next to it.
        let value = value.map(|value| {
            if value == SPELLED_BY_JAVASCRIPT {
                u64::MAX.into()
            } else {
                value
            }
        });
        let fits = value.is_none_or(|value| match field.kind() {
            Kind::Integer => i64::try_from(value).is_ok(),
            _ => u64::try_from(value).is_ok(),
        });
        if fits {
            self.integers[field as usize] = value;
        }
        fits
    }

    /// Sets a field of kind [`Kind::Number`].
    pub fn set_number(&mut self, field: Field, value: Option<f64>) {
        debug_assert_eq!(field.kind(), Kind::Number);
        self.numbers[field as usize] = value;
    }

    /// Sets the samples, which are no field.
    pub fn set_samples_ns(&mut self, samples: Option<Vec<u64>>) {
        self.samples_ns = samples;
    }

    /// The test, or the first field that every test must have and this one has not: its name, its
    /// token counts, and the speed of each phase that it has.
    pub fn build(self) -> Result<Test, Field> {
        let Self {
            mut texts,
            integers,
            numbers,
            samples_ns,
        } = self;
        let mut text = |field: Field| texts[field as usize].take();
        let integer =
            |field: Field| integers[field as usize].and_then(|value| i64::try_from(value).ok());
        let unsigned =
            |field: Field| integers[field as usize].and_then(|value| u64::try_from(value).ok());
        let number = |field: Field| numbers[field as usize];

        let test = Test {
            name: text(Field::Name).ok_or(Field::Name)?,
            n_prompt: integer(Field::NPrompt).ok_or(Field::NPrompt)?,
            n_gen: integer(Field::NGen).ok_or(Field::NGen)?,
            test_time: text(Field::TestTime),
            avg_time_ms: number(Field::AvgTimeMs),
            stddev_time_ms: number(Field::StddevTimeMs),
            prompt_tps: number(Field::PromptTps),
            prompt_tps_watt: number(Field::PromptTpsWatt),
            prompt_tps_stddev: number(Field::PromptTpsStddev),
            gen_tps: number(Field::GenTps),
            gen_tps_watt: number(Field::GenTpsWatt),
            gen_tps_stddev: number(Field::GenTpsStddev),
            power_watts: number(Field::PowerWatts),
            ttft_ms: number(Field::TtftMs),
            samples_ns,
            reps: None,
            model: Model {
                build_commit: text(Field::BuildCommit),
                build_number: integer(Field::BuildNumber),
                model_name: text(Field::ModelName),
                model_quant_str: text(Field::ModelQuantStr),
                model_params_str: text(Field::ModelParamsStr),
                model_filename: text(Field::ModelFilename),
                model_type: text(Field::ModelType),
                model_size: unsigned(Field::ModelSize),
                model_n_params: unsigned(Field::ModelNParams),
                main_gpu: integer(Field::MainGpu),
            },
        };
        if test.prompt_tps.is_none() && test.n_prompt != 0 {
            return Err(Field::PromptTps);
        }
        if test.gen_tps.is_none() && test.n_gen != 0 {
            return Err(Field::GenTps);
        }
        Ok(test)
    }
}
