//! The properties in which runs differ.

use super::{Model, Run, Text, Tool};

/// A property in which runs differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Its name.
    pub name: &'static str,
    /// Its value in each run; `None` if it is missing.
    pub values: Vec<Option<String>>,
}

/// The properties in which these runs differ, those of the model first. A missing value is not a
/// difference.
#[must_use]
pub(crate) fn differences(runs: &[&Run]) -> Vec<Difference> {
    let described: Vec<_> = runs.iter().map(|run| properties(run)).collect();
    let Some(first) = described.first() else {
        return Vec::new();
    };
    let differs = |index: usize| {
        let mut known = described.iter().filter_map(|run| run[index].1.as_ref());
        let one = known.next();
        known.any(|other| Some(other) != one)
    };
    (0..first.len())
        .filter(|&index| differs(index))
        .map(|index| Difference {
            name: first[index].0,
            values: described.iter().map(|run| run[index].1.clone()).collect(),
        })
        .collect()
}

fn properties(run: &Run) -> [(&'static str, Option<String>); 23] {
    let unknown = Model::default();
    let model = run.model().unwrap_or(&unknown);
    let (runtime, system) = (&run.environment.runtime, &run.environment.system);
    let accelerator = &run.environment.accelerator;
    let text = |text: &Option<Text>| text.as_ref().map(Text::to_string);
    // Of llama-bench, other properties tell these already.
    let own = (run.tool == Tool::LocalScore).then_some(model);
    let own = own.unwrap_or(&unknown);
    [
        ("model", text(&model.model_name)),
        ("quant", text(&own.model_quant_str)),
        ("model type", text(&own.model_type)),
        ("model file", text(&model.model_filename)),
        ("model size", printed(model.model_size)),
        ("parameters", printed(model.model_n_params)),
        ("accelerator", text(&accelerator.name)),
        ("accelerator type", text(&accelerator.kind)),
        ("accelerator GiB", printed(accelerator.memory_gb)),
        ("main GPU", printed(model.main_gpu)),
        ("backend", text(&model.backend)),
        ("runtime", text(&runtime.name)),
        ("version", text(&runtime.version)),
        ("runtime commit", text(&runtime.commit)),
        ("build commit", text(&own.build_commit)),
        ("build", printed(own.build_number)),
        ("cpu", text(&system.cpu_name)),
        ("cpu arch", text(&system.cpu_arch)),
        ("RAM GiB", printed(system.ram_gb)),
        ("system", text(&system.kernel_type)),
        ("kernel", text(&system.kernel_release)),
        ("system version", text(&system.version)),
        ("repetitions", printed(repetitions(run))),
    ]
}

fn printed(value: Option<impl ToString>) -> Option<String> {
    value.map(|value| value.to_string())
}

fn repetitions(run: &Run) -> Option<usize> {
    run.tests.first()?.repetitions()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Test;

    fn run(version: Option<&str>, cpu: Option<&str>) -> Run {
        let mut run = Run {
            tests: vec![Test::default()],
            ..Run::default()
        };
        run.environment.runtime.version = version.map(Into::into);
        run.environment.system.cpu_name = cpu.map(Into::into);
        run
    }

    #[test]
    fn only_what_is_known_to_differ_is_named() {
        let (old, new) = (run(Some("1"), Some("x")), run(Some("2"), None));
        let values = |values: [Option<&str>; 2]| values.map(|v| v.map(str::to_owned)).to_vec();
        assert_eq!(
            differences(&[&old, &new]),
            [Difference {
                name: "version",
                values: values([Some("1"), Some("2")]),
            }]
        );
        assert_eq!(differences(&[&old, &old]), []);
        assert_eq!(differences(&[]), []);
    }

    #[test]
    fn of_three_runs_each_has_its_value() {
        let runs = [run(None, Some("x")), run(None, None), run(None, Some("y"))];
        let found = differences(&runs.each_ref());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].name, "cpu");
        assert_eq!(found[0].values, [Some("x".into()), None, Some("y".into())]);
    }
}
