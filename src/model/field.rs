//! The fields of a test and of a document's header, in the C tool's order: two lists that every
//! reader, every writer and the store use.

use super::{Environment, Test, Text};

/// The type of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
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
pub(crate) enum Value<'a> {
    /// Not in the capture.
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

/// A value to be stored in a field.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum NewValue {
    /// A string.
    Text(Text),
    /// An integer of either kind.
    Integer(i128),
    /// A number.
    Number(f64),
}

/// The Rust type of a field's value.
trait Scalar: Clone + Sized {
    fn value(&self) -> Value<'_>;
    /// `None` if the value is of another kind or out of range.
    fn from_new(value: NewValue) -> Option<Self>;
}

impl Scalar for Text {
    fn value(&self) -> Value<'_> {
        Value::Text(self)
    }
    fn from_new(value: NewValue) -> Option<Self> {
        match value {
            NewValue::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl Scalar for i64 {
    fn value(&self) -> Value<'_> {
        Value::Integer(*self)
    }
    fn from_new(value: NewValue) -> Option<Self> {
        match value {
            NewValue::Integer(integer) => integer.try_into().ok(),
            _ => None,
        }
    }
}

/// 2^64 - 1 as JavaScript prints it, and so a payload: the digits of the nearest double.
const U64_MAX_IN_JAVASCRIPT: i128 = 18_446_744_073_709_552_000;

impl Scalar for u64 {
    fn value(&self) -> Value<'_> {
        Value::Unsigned(*self)
    }
    fn from_new(value: NewValue) -> Option<Self> {
        match value {
            NewValue::Integer(U64_MAX_IN_JAVASCRIPT) => Some(Self::MAX),
            NewValue::Integer(integer) => integer.try_into().ok(),
            _ => None,
        }
    }
}

impl Scalar for f64 {
    fn value(&self) -> Value<'_> {
        Value::Number(*self)
    }
    fn from_new(value: NewValue) -> Option<Self> {
        match value {
            NewValue::Number(number) => Some(number),
            _ => None,
        }
    }
}

/// The place of a value in a struct: `T` if it is required, `Option<T>` if it may be missing.
trait Slot {
    fn get(&self) -> Value<'_>;
    /// Stores a value; returns false if its kind or range is wrong.
    fn set(&mut self, value: Option<NewValue>) -> bool;
    /// Copies a missing value from the other; returns whether it did.
    fn complete(&mut self, other: &Self) -> bool;
}

impl<T: Scalar> Slot for Option<T> {
    fn get(&self) -> Value<'_> {
        self.as_ref().map_or(Value::Missing, T::value)
    }
    fn set(&mut self, value: Option<NewValue>) -> bool {
        let is_given = value.is_some();
        let value = value.and_then(T::from_new);
        let fits = value.is_some() == is_given;
        if fits {
            *self = value;
        }
        fits
    }
    fn complete(&mut self, other: &Self) -> bool {
        let lost = |value: &Self| matches!(value.get(), Value::Text(text) if text.has_lost_bytes());
        let is_better = other.is_some() && (self.is_none() || (lost(self) && !lost(other)));
        if is_better {
            self.clone_from(other);
        }
        is_better
    }
}

impl<T: Scalar> Slot for T {
    fn get(&self) -> Value<'_> {
        self.value()
    }
    fn set(&mut self, value: Option<NewValue>) -> bool {
        match value.map(T::from_new) {
            Some(Some(value)) => *self = value,
            Some(None) => return false,
            None => {}
        }
        true
    }
    fn complete(&mut self, _: &Self) -> bool {
        false
    }
}

macro_rules! fields {
    ($(#[$doc:meta])* $list:ident of $owner:ident { $($field:ident $name:literal $kind:ident $($path:ident).+;)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "each is documented where it is held")]
        pub(crate) enum $list { $($field),* }

        impl $list {
            /// All fields, in the C tool's order.
            pub(crate) const ALL: &[Self] = &[$(Self::$field),*];

            /// The name in csv headers, json keys and SQL columns.
            #[must_use]
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$field => $name),* }
            }

            /// The type of the field.
            #[must_use]
            pub(crate) fn kind(self) -> Kind {
                match self { $(Self::$field => Kind::$kind),* }
            }

            /// The value of this field.
            #[must_use]
            pub(crate) fn get(self, owner: &$owner) -> Value<'_> {
                match self { $(Self::$field => owner.$($path).+.get()),* }
            }

            /// Sets this field; returns false if the kind or range of the value is wrong.
            pub(crate) fn set(self, owner: &mut $owner, value: Option<NewValue>) -> bool {
                match self { $(Self::$field => owner.$($path).+.set(value)),* }
            }

            /// Copies this field from the other where it is missing, or where the C tool lost bytes
            /// of it in this one only; returns whether it did.
            pub(crate) fn complete(self, owner: &mut $owner, other: &$owner) -> bool {
                match self { $(Self::$field => owner.$($path).+.complete(&other.$($path).+)),* }
            }
        }
    };
}

fields! {
    /// A field of a test.
    Field of Test {
        BuildCommit "build_commit" Text model.build_commit;
        BuildNumber "build_number" Integer model.build_number;
        ModelName "model_name" Text model.model_name;
        ModelQuantStr "model_quant_str" Text model.model_quant_str;
        ModelParamsStr "model_params_str" Text model.model_params_str;
        ModelFilename "model_filename" Text model.model_filename;
        ModelType "model_type" Text model.model_type;
        ModelSize "model_size" Unsigned model.model_size;
        ModelNParams "model_n_params" Unsigned model.model_n_params;
        NPrompt "n_prompt" Integer n_prompt;
        NGen "n_gen" Integer n_gen;
        TestTime "test_time" Text test_time;
        AvgTimeMs "avg_time_ms" Number avg_time_ms;
        StddevTimeMs "stddev_time_ms" Number stddev_time_ms;
        PromptTps "prompt_tps" Number prompt_tps;
        PromptTpsWatt "prompt_tps_watt" Number prompt_tps_watt;
        PromptTpsStddev "prompt_tps_stddev" Number prompt_tps_stddev;
        GenTps "gen_tps" Number gen_tps;
        GenTpsWatt "gen_tps_watt" Number gen_tps_watt;
        GenTpsStddev "gen_tps_stddev" Number gen_tps_stddev;
        Name "name" Text name;
        PowerWatts "power_watts" Number power_watts;
        TtftMs "ttft_ms" Number ttft_ms;
        MainGpu "main_gpu" Integer model.main_gpu;
    }
}

fields! {
    /// A field of a document's header.
    HeaderField of Environment {
        RuntimeName "name" Text runtime.name;
        RuntimeVersion "version" Text runtime.version;
        RuntimeCommit "commit" Text runtime.commit;
        CpuName "cpu_name" Text system.cpu_name;
        CpuArch "cpu_arch" Text system.cpu_arch;
        RamGb "ram_gb" Number system.ram_gb;
        KernelType "kernel_type" Text system.kernel_type;
        KernelRelease "kernel_release" Text system.kernel_release;
        SystemVersion "version" Text system.version;
        AcceleratorName "name" Text accelerator.name;
        Manufacturer "manufacturer" Text accelerator.manufacturer;
        MemoryGb "memory_gb" Number accelerator.memory_gb;
        AcceleratorType "type" Text accelerator.kind;
    }
}

impl HeaderField {
    /// The objects of the header, and the fields of each.
    pub(crate) const OBJECTS: [(&str, &[Self]); 3] = {
        let (runtime, others) = Self::ALL.split_at(3);
        let (system, accelerator) = others.split_at(6);
        [
            ("runtime_info", runtime),
            ("system_info", system),
            ("accelerator_info", accelerator),
        ]
    };
}

impl Field {
    /// The fields that identify a run: fingerprints in stores are hashes of these values, in this
    /// order. A new field must come after all of them, or every stored fingerprint would change.
    pub(crate) const IDENTITY: &[Self] = Self::ALL.split_at(24).0;

    /// The fields that every test must have.
    const REQUIRED: [Self; 3] = [Self::Name, Self::NPrompt, Self::NGen];

    /// The fields with these names, which are separated by commas.
    #[must_use]
    pub(crate) fn named(names: &str) -> Vec<Self> {
        let names = names.split(", ");
        names
            .filter_map(|name| Self::from_name(name.as_bytes()))
            .collect()
    }

    /// The field with this name.
    #[must_use]
    pub(crate) fn from_name(name: &[u8]) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|field| field.name().as_bytes() == name)
    }
}

/// A test that is being read, field by field and in any order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Draft {
    /// The test as far as it has been read.
    pub test: Test,
    /// Which of the required fields have been read.
    given: [bool; Field::REQUIRED.len()],
}

impl Draft {
    /// Sets a field to a value of its kind; the error message if the value is out of range.
    pub(crate) fn set(&mut self, field: Field, value: Option<NewValue>) -> Result<(), String> {
        if let Some(place) = Field::REQUIRED.iter().position(|&known| known == field) {
            self.given[place] = value.is_some();
        }
        let integer = match value {
            Some(NewValue::Integer(integer)) => integer,
            _ => 0,
        };
        if field.set(&mut self.test, value) {
            return Ok(());
        }
        Err(format!("\"{}\" is out of range: {integer}", field.name()))
    }

    /// The test, or its first missing field: it needs a name, its token counts, and the speed of
    /// each phase that it has.
    pub(crate) fn build(self) -> Result<Test, Field> {
        if let Some(place) = self.given.iter().position(|given| !given) {
            return Err(Field::REQUIRED[place]);
        }
        let test = self.test;
        if test.prompt_tps.is_none() && test.n_prompt != 0 {
            return Err(Field::PromptTps);
        }
        if test.gen_tps.is_none() && test.n_gen != 0 {
            return Err(Field::GenTps);
        }
        Ok(test)
    }
}
