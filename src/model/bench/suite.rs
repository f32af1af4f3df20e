//! The suite of llama-bench: any tests, no score, and settings that must be equal.

use super::{Settings, default, short_name, version};
use crate::model::{Figures, Mismatch, Run, Suite, Test, Text};

/// The suite of llama-bench.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LlamaBench;

impl Suite for LlamaBench {
    fn expected(&self) -> &'static [(i64, i64)] {
        &[]
    }

    fn score(&self, _: &[Test]) -> Option<f64> {
        None
    }

    fn figures(&self, tests: &[Test]) -> Figures {
        let first = |is_meant: fn(&Test) -> bool| {
            let tests = tests.iter().filter(|test| is_meant(test));
            tests.min_by_key(|test| test.n_depth)?.tps
        };
        Figures {
            prompt_tps: first(|test| test.n_gen == 0),
            gen_tps: first(|test| test.n_prompt == 0),
            ..Figures::default()
        }
    }

    fn mismatches(&self, one: &Run, other: &Run) -> Vec<Mismatch> {
        let (Some(model), Some(of_other)) = (one.model(), other.model()) else {
            return Vec::new();
        };
        let (system, of_system) = (&one.environment.system, &other.environment.system);
        let (device, of_device) = (&one.environment.accelerator, &other.environment.accelerator);
        let is_other_model = differ(&model.model_type, &of_other.model_type)
            || differ(&model.model_size, &of_other.model_size)
            || differ(&model.model_n_params, &of_other.model_n_params);
        let is_other_machine = differ(&system.cpu_name, &of_system.cpu_name)
            || differ(&device.name, &of_device.name)
            || differ(&model.backend, &of_other.backend);
        let found = [
            (Mismatch::Model, is_other_model),
            (Mismatch::Machine, is_other_machine),
        ];
        let found = found.into_iter().filter(|(_, is_found)| *is_found);
        found.map(|(mismatch, _)| mismatch).collect()
    }
}

/// Whether both are known and differ.
fn differ<T: PartialEq>(one: &Option<T>, other: &Option<T>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if one != other)
}

/// A setting in which two tests differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unequal {
    /// The name of the field.
    pub field: String,
    /// Its values; `None` where the row has no such field.
    pub values: [Option<Text>; 2],
}

/// Whether two tests were set the same, each with the build number of its row. A field that one of
/// them lacks is equal if its value is the default of its version: the names of such fields are
/// given, since that is assumed. Sizes are not settings here.
pub(crate) fn equal_settings(
    one: (&Settings, i64),
    other: (&Settings, i64),
) -> Result<Vec<String>, Unequal> {
    let mut assumed = Vec::new();
    for (index, ((settings, build), (others, _))) in
        [(one, other), (other, one)].into_iter().enumerate()
    {
        for (column, value) in settings.known() {
            let name = column.name.to_string();
            let is_of_table = settings.schema.is_table() || others.schema.is_table();
            // What a table calls the test is in its sizes.
            if name == "test" && is_of_table {
                continue;
            }
            let there = others.known().find(|(column, _)| {
                let there = column.name.to_string();
                there == name || (is_of_table && short_name(&there) == short_name(&name))
            });
            match there {
                Some((_, there)) if there.is_alike(value) => {}
                None if is_default(settings, &name, value, build) => assumed.push(name),
                there => {
                    let mut values = [Some(value.clone()), there.map(|(_, value)| value.clone())];
                    if index == 1 {
                        values.reverse();
                    }
                    return Err(Unequal {
                        field: name,
                        values,
                    });
                }
            }
        }
    }
    Ok(assumed)
}

fn is_default(settings: &Settings, name: &str, value: &Text, build: i64) -> bool {
    let version = version(&settings.schema, build);
    let is_default = |field: &str| {
        default(field, version).is_some_and(|default| default.as_bytes() == value.as_bytes())
    };
    if !settings.schema.is_table() {
        return is_default(name);
    }
    // A table has short names, and most of them are those of one field.
    super::defaults::long_names(name).any(is_default)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Column, Kind, Schema};
    use super::*;

    fn settings(all: &[(&str, &str)]) -> Settings {
        let column = |(name, _): &(&str, &str)| Column {
            name: (*name).into(),
            kind: Kind::Text,
            width: None,
        };
        Settings {
            schema: Arc::new(Schema::new(all.iter().map(column).collect(), None)),
            values: all.iter().map(|(_, value)| Some((*value).into())).collect(),
        }
    }

    #[test]
    fn a_field_that_one_version_lacks_is_equal_at_its_default() {
        let old = settings(&[("n_batch", "2048")]);
        let new = settings(&[("n_batch", "2048"), ("no_host", "0")]);
        let assumed = vec!["no_host".to_owned()];
        assert_eq!(
            equal_settings((&old, 6000), (&new, 6700)),
            Ok(assumed.clone())
        );
        assert_eq!(equal_settings((&new, 6700), (&old, 6000)), Ok(assumed));
        let other = settings(&[("n_batch", "2048"), ("no_host", "1")]);
        let unequal = equal_settings((&old, 6000), (&other, 6700)).unwrap_err();
        assert_eq!(unequal.field, "no_host");
        assert_eq!(unequal.values, [None, Some("1".into())]);
        let unequal = equal_settings((&other, 6700), (&new, 6700)).unwrap_err();
        assert_eq!(unequal.values, [Some("1".into()), Some("0".into())]);
        // No default of a field that llama.cpp does not have is known.
        let own = settings(&[("n_batch", "2048"), ("mla_attn", "0")]);
        assert!(equal_settings((&old, 6000), (&own, 4000)).is_err());
    }
}
