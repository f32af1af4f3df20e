//! One run from two captures: what one lacks, the other may know.

use super::{
    AcceleratorInfo, Environment, Field, Kind, Model, Run, RuntimeInfo, Source, SystemInfo, Test,
    Text, Value,
};

impl Run {
    /// The run with what another capture of the same run knows besides; `None` if that is nothing.
    ///
    /// The better source counts; from the other one only what is missing is taken over, and
    /// strings of which the C tool lost bytes.
    #[must_use]
    pub fn completed_by(&self, other: &Self) -> Option<Self> {
        let other_is_better = (other.source, !other.has_two_decimals_only())
            > (self.source, !self.has_two_decimals_only());
        let (better, poorer) = if other_is_better {
            (other, self)
        } else {
            (self, other)
        };
        let mut run = better.clone();
        let mut more = run.environment.complete(&poorer.environment);
        for (test, other) in run.tests.iter_mut().zip(&poorer.tests) {
            more |= test.complete(other);
        }
        (more || other_is_better).then_some(run)
    }

    /// Whether both captures tell the machine, and another one: then equal numbers are a chance, or
    /// made up. A csv does not tell it; what is known of it there, somebody said.
    #[must_use]
    pub fn is_of_another_machine(&self, other: &Self) -> bool {
        let differ = |a: &Option<Text>, b: &Option<Text>| a.is_some() && b.is_some() && a != b;
        let (mine, others) = (&self.environment, &other.environment);
        self.source != Source::Csv
            && other.source != Source::Csv
            && (differ(&mine.accelerator.name, &others.accelerator.name)
                || differ(&mine.system.cpu_name, &others.system.cpu_name))
    }

    /// Whether two captures of which one is poor can be of the same run: whatever both tell is the
    /// same, or the same once it is rounded as in the table of the console.
    #[must_use]
    pub fn may_be(&self, other: &Self) -> bool {
        let rounded = self.source == Source::Console || other.source == Source::Console;
        let same = |a: Value<'_>, b: Value<'_>| match (a, b) {
            (Value::Missing, _) | (_, Value::Missing) => true,
            (Value::Text(a), Value::Text(b)) => a.is_alike(b),
            (Value::Number(a), Value::Number(b)) if rounded => is_rounded_alike(a, b),
            (Value::Number(a), Value::Number(b)) => {
                a == b
                    || !(a.is_finite() || b.is_finite())
                    || (has_two_decimals(a) || has_two_decimals(b)) && (a - b).abs() <= 0.005_000_1
            }
            (a, b) => a == b,
        };
        !self.is_of_another_machine(other)
            && self.tests.len() == other.tests.len()
            && self.tests.iter().zip(&other.tests).all(|(a, b)| {
                Field::ALL
                    .iter()
                    .all(|field| same(field.get(a), field.get(b)))
            })
    }
}

impl Run {
    /// Whether every number has two decimals at the most, as other clients round.
    fn has_two_decimals_only(&self) -> bool {
        let numbers = Field::ALL
            .iter()
            .filter(|field| field.kind() == Kind::Number);
        let mut values = numbers.flat_map(|field| self.tests.iter().map(|test| field.get(test)));
        values.all(|value| match value {
            Value::Number(number) => !number.is_finite() || has_two_decimals(number),
            _ => true,
        })
    }
}

fn has_two_decimals(number: f64) -> bool {
    (number * 100.0).round() / 100.0 == number
}

/// The table shows two decimals; times of a second and more in seconds.
fn is_rounded_alike(a: f64, b: f64) -> bool {
    let seconds = a.abs().max(b.abs()) >= 1000.0;
    let step = if seconds { 10.0 } else { 0.01 };
    // As many digits as a 32-bit float has, which times are rounded to first.
    let float = a.abs().max(b.abs()) * f64::from(f32::EPSILON);
    (a - b).abs() <= step / 2.0 + float || !(a.is_finite() || b.is_finite())
}

impl Environment {
    /// Takes over what is missing here; tells whether that was anything.
    pub fn complete(&mut self, other: &Self) -> bool {
        let Self {
            runtime,
            system,
            accelerator,
        } = self;
        runtime.complete(&other.runtime)
            | system.complete(&other.system)
            | accelerator.complete(&other.accelerator)
    }
}

impl RuntimeInfo {
    fn complete(&mut self, other: &Self) -> bool {
        fill(&mut self.name, &other.name)
            | fill(&mut self.version, &other.version)
            | fill(&mut self.commit, &other.commit)
    }
}

impl SystemInfo {
    fn complete(&mut self, other: &Self) -> bool {
        fill(&mut self.cpu_name, &other.cpu_name)
            | fill(&mut self.cpu_arch, &other.cpu_arch)
            | fill(&mut self.ram_gb, &other.ram_gb)
            | fill(&mut self.kernel_type, &other.kernel_type)
            | fill(&mut self.kernel_release, &other.kernel_release)
            | fill(&mut self.version, &other.version)
    }
}

impl AcceleratorInfo {
    fn complete(&mut self, other: &Self) -> bool {
        fill(&mut self.name, &other.name)
            | fill(&mut self.manufacturer, &other.manufacturer)
            | fill(&mut self.memory_gb, &other.memory_gb)
            | fill(&mut self.kind, &other.kind)
    }
}

impl Model {
    /// Takes over what is missing here; tells whether that was anything.
    pub fn complete(&mut self, other: &Self) -> bool {
        fill_text(&mut self.build_commit, &other.build_commit)
            | fill(&mut self.build_number, &other.build_number)
            | fill_text(&mut self.model_name, &other.model_name)
            | fill_text(&mut self.model_quant_str, &other.model_quant_str)
            | fill_text(&mut self.model_params_str, &other.model_params_str)
            | fill_text(&mut self.model_filename, &other.model_filename)
            | fill_text(&mut self.model_type, &other.model_type)
            | fill(&mut self.model_size, &other.model_size)
            | fill(&mut self.model_n_params, &other.model_n_params)
            | fill(&mut self.main_gpu, &other.main_gpu)
    }
}

impl Test {
    fn complete(&mut self, other: &Self) -> bool {
        self.model.complete(&other.model)
            | fill_text(&mut self.test_time, &other.test_time)
            | fill(&mut self.avg_time_ms, &other.avg_time_ms)
            | fill(&mut self.stddev_time_ms, &other.stddev_time_ms)
            | fill(&mut self.prompt_tps, &other.prompt_tps)
            | fill(&mut self.prompt_tps_watt, &other.prompt_tps_watt)
            | fill(&mut self.prompt_tps_stddev, &other.prompt_tps_stddev)
            | fill(&mut self.gen_tps, &other.gen_tps)
            | fill(&mut self.gen_tps_watt, &other.gen_tps_watt)
            | fill(&mut self.gen_tps_stddev, &other.gen_tps_stddev)
            | fill(&mut self.power_watts, &other.power_watts)
            | fill(&mut self.ttft_ms, &other.ttft_ms)
            | fill(&mut self.samples_ns, &other.samples_ns)
            | (self.samples_ns.is_none() && fill(&mut self.reps, &other.reps))
    }
}

fn fill<T: Clone>(known: &mut Option<T>, other: &Option<T>) -> bool {
    let better = known.is_none() && other.is_some();
    if better {
        known.clone_from(other);
    }
    better
}

fn fill_text(known: &mut Option<Text>, other: &Option<Text>) -> bool {
    if let (Some(mine), Some(whole)) = (&known, other)
        && mine.has_lost_bytes()
        && !whole.has_lost_bytes()
    {
        known.clone_from(other);
        return true;
    }
    fill(known, other)
}
