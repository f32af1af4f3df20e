//! The suite of llama-bench: any tests, no score, and settings that must be equal.

use std::cell::OnceCell;

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
            || differ_in_number(model.model_size, of_other.model_size)
            || differ_in_number(model.model_n_params, of_other.model_n_params);
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

/// Whether both are known and differ; a byte that was lost may have been any.
fn differ(one: &Option<Text>, other: &Option<Text>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if !one.is_alike(other))
}

/// Whether both are known and differ.
fn differ_in_number(one: Option<u64>, other: Option<u64>) -> bool {
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

/// The settings of a test with the version that printed them.
pub(super) struct Side<'a> {
    settings: &'a Settings,
    build: i64,
    /// Found out when a default is asked for.
    version: OnceCell<i64>,
}

impl<'a> Side<'a> {
    pub(super) fn new(settings: &'a Settings, build: i64) -> Self {
        Self {
            settings,
            build,
            version: OnceCell::new(),
        }
    }

    /// With its version, which takes long to find.
    pub(super) fn of_version(settings: &'a Settings, version: i64) -> Self {
        Self {
            settings,
            build: version,
            version: version.into(),
        }
    }

    pub(super) fn is_default(&self, name: &Text, value: &Text) -> bool {
        let Ok(name) = std::str::from_utf8(name.as_bytes()) else {
            return false;
        };
        let version = *self
            .version
            .get_or_init(|| version(&self.settings.schema, self.build));
        let is_default = |field: &str| {
            default(field, version).is_some_and(|default| default.as_bytes() == value.as_bytes())
        };
        if !self.settings.schema.is_table() {
            return is_default(name);
        }
        // A table has short names, and most of them are those of one field.
        super::defaults::long_names(name).any(is_default)
    }
}

/// How a setting of one test stands beside the other test.
pub(super) enum Found {
    /// One side lacks it, and it is at its default: its name and its value.
    Assumed(String, Text),
    Unequal(Unequal),
}

/// What is not plainly equal in the settings of two tests.
pub(super) fn differences<'a>(
    one: &'a Side<'_>,
    other: &'a Side<'_>,
) -> impl Iterator<Item = Found> + 'a {
    let is_of_table = one.settings.schema.is_table() || other.settings.schema.is_table();
    let is_meant = move |there: &Text, name: &Text| {
        there == name || (is_of_table && short(there) == short(name))
    };
    let of_side = move |(index, side, others): (usize, &'a Side<'_>, &'a Side<'_>)| {
        // Both list their fields in nearly the same order.
        let mut next = others.settings.known();
        side.settings.known().filter_map(move |(column, value)| {
            let name = &column.name;
            // What a table calls the test is in its sizes.
            if is_of_table && name.as_bytes() == b"test" {
                return None;
            }
            let there = next
                .next()
                .filter(|(column, _)| is_meant(&column.name, name))
                .or_else(|| {
                    let mut known = others.settings.known();
                    let there = known.find(|(column, _)| is_meant(&column.name, name));
                    if there.is_some() {
                        next = known;
                    }
                    there
                });
            let there = there.map(|(_, value)| value);
            match there {
                // What both have is told once.
                Some(_) if index == 1 => return None,
                Some(there) if there.is_alike(value) => return None,
                None if side.is_default(name, value) => {
                    return Some(Found::Assumed(name.to_string(), value.clone()));
                }
                _ => {}
            }
            let mut values = [Some(value.clone()), there.cloned()];
            if index == 1 {
                values.reverse();
            }
            let field = name.to_string();
            Some(Found::Unequal(Unequal { field, values }))
        })
    };
    [(0, one, other), (1, other, one)]
        .into_iter()
        .flat_map(of_side)
}

/// The name of a field, the same in tables and elsewhere.
pub(super) fn short(name: &Text) -> &[u8] {
    std::str::from_utf8(name.as_bytes()).map_or(name.as_bytes(), |name| short_name(name).as_bytes())
}

/// Whether two tests were set the same, each with the build number of its row. A field that one of
/// them lacks is equal if its value is the default of its version: the names of such fields are
/// given, since that is assumed. Sizes are not settings here.
#[cfg(test)]
fn equal_settings(one: (&Settings, i64), other: (&Settings, i64)) -> Result<Vec<String>, Unequal> {
    let [one, other] = [one, other].map(|(settings, build)| Side::new(settings, build));
    let found = differences(&one, &other).map(|found| match found {
        Found::Assumed(name, _) => Ok(name),
        Found::Unequal(unequal) => Err(unequal),
    });
    found.collect()
}

/// All settings in which two tests of these builds differ.
pub(crate) fn unequal_settings(one: (&Settings, i64), other: (&Settings, i64)) -> Vec<Unequal> {
    let [one, other] = [one, other].map(|(settings, build)| Side::new(settings, build));
    let found = differences(&one, &other).filter_map(|found| match found {
        Found::Assumed(..) => None,
        Found::Unequal(unequal) => Some(unequal),
    });
    found.collect()
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
