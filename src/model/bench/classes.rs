//! Classes of settings: tests whose settings are equal.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::suite::{Found, Side, differences, short};
use super::{Schema, Settings, version};
use crate::model::{Piece, Test, Text};

/// Finds the classes of settings that are equal, as tests come. Settings belong to the first class
/// that they are equal to.
///
/// A sweep has as many settings as tests, so that settings are not compared with those of each class:
/// the values of the fields that both have lead to the few that may be equal.
#[derive(Debug, Default)]
pub(crate) struct Classes {
    found: Vec<Class>,
    /// By the pointer, which is kept alive.
    by_pointer: HashMap<(*const Settings, i64), (Arc<Settings>, usize)>,
    by_value: HashMap<(Arc<Settings>, i64), usize>,
    entries: Vec<Entry>,
    shapes: HashMap<Shape, usize>,
    /// The classes of each shape, and the names of its fields.
    of_shape: Vec<(Vec<usize>, Arc<Shape>)>,
    /// By the shapes of a class and of settings.
    indexes: HashMap<(usize, usize), Index>,
    versions: HashMap<(*const Schema, i64), (Arc<Schema>, i64)>,
}

#[derive(Debug)]
struct Class {
    settings: Arc<Settings>,
    version: i64,
}

/// Settings with their build, and the class that they are of.
#[derive(Debug)]
struct Entry {
    class: usize,
    /// Fields that one side lacks, with the defaults that are assumed there.
    assumed: Vec<(String, Text)>,
}

/// The fields that settings have, by their short names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Shape {
    is_table: bool,
    fields: BTreeSet<Vec<u8>>,
}

/// The classes of one shape by what settings of another shape have too.
#[derive(Debug, Default)]
struct Index {
    common: BTreeSet<Vec<u8>>,
    /// How many classes of the shape are in it.
    included: usize,
    classes: HashMap<u64, Vec<usize>>,
}

/// The build of a row that does not tell it: any new one.
const UNKNOWN_BUILD: i64 = i64::MAX;

/// The build number of a test's row.
#[must_use]
pub(crate) fn build_of(test: &Test) -> i64 {
    test.model.build_number.unwrap_or(UNKNOWN_BUILD)
}

impl Classes {
    /// The class of the settings of a test, from 1; 0 for a test without settings.
    pub(crate) fn of(&mut self, test: &Test) -> usize {
        self.entry(test)
            .map_or(0, |entry| self.entries[entry].class + 1)
    }

    /// What is assumed of a test so that it is of its class: names and values of fields that one side
    /// lacks.
    pub(crate) fn assumed(&mut self, test: &Test) -> &[(String, Text)] {
        match self.entry(test) {
            Some(entry) => &self.entries[entry].assumed,
            None => &[],
        }
    }

    /// The settings of a class; `None` for class 0.
    #[must_use]
    pub(crate) fn settings(&self, class: usize) -> Option<&Settings> {
        let class = self.found.get(class.checked_sub(1)?)?;
        Some(&class.settings)
    }

    /// Whether this is the default of a field, in the version of a class.
    #[must_use]
    pub(crate) fn is_default(&self, class: usize, field: &Text, value: &Text) -> bool {
        let class = class.checked_sub(1).and_then(|place| self.found.get(place));
        class.is_some_and(|class| {
            Side::of_version(&class.settings, class.version).is_default(field, value)
        })
    }

    fn entry(&mut self, test: &Test) -> Option<usize> {
        let settings = test.settings.as_ref()?;
        let build = build_of(test);
        let pointer = (Arc::as_ptr(settings), build);
        if let Some((_, entry)) = self.by_pointer.get(&pointer) {
            return Some(*entry);
        }
        let key = (Arc::clone(settings), build);
        let entry = if let Some(&entry) = self.by_value.get(&key) {
            entry
        } else {
            let found = self.find(settings, build);
            self.entries.push(found);
            self.by_value.insert(key, self.entries.len() - 1);
            self.entries.len() - 1
        };
        self.by_pointer
            .insert(pointer, (Arc::clone(settings), entry));
        Some(entry)
    }

    fn find(&mut self, settings: &Arc<Settings>, build: i64) -> Entry {
        let version = self.version(&settings.schema, build);
        let own = self.shape(settings);
        let mut found: Option<Entry> = None;
        for shape in 0..self.of_shape.len() {
            let index = self.indexes.entry((shape, own)).or_insert_with(|| {
                let [one, other] = [shape, own].map(|shape| &self.of_shape[shape].1);
                Index::between(one, other)
            });
            let (classes, _) = &self.of_shape[shape];
            for &class in &classes[index.included..] {
                let hash = index.hash(&self.found[class].settings);
                index.classes.entry(hash).or_default().push(class);
            }
            index.included = classes.len();
            let Some(candidates) = index.classes.get(&index.hash(settings)) else {
                continue;
            };
            for &class in candidates {
                if found.as_ref().is_some_and(|found| found.class < class) {
                    break;
                }
                let one = &self.found[class];
                let one = Side::of_version(&one.settings, one.version);
                let other = Side::of_version(settings, version);
                let assumed = differences(&one, &other).map(|found| match found {
                    Found::Assumed(name, value) => Some((name, value)),
                    Found::Unequal(_) => None,
                });
                if let Some(assumed) = assumed.collect() {
                    found = Some(Entry { class, assumed });
                    break;
                }
            }
        }
        found.unwrap_or_else(|| {
            let class = self.found.len();
            self.found.push(Class {
                settings: Arc::clone(settings),
                version,
            });
            self.of_shape[own].0.push(class);
            let assumed = Vec::new();
            Entry { class, assumed }
        })
    }

    fn version(&mut self, schema: &Arc<Schema>, build: i64) -> i64 {
        let of_schema = || (Arc::clone(schema), version(schema, build));
        let key = (Arc::as_ptr(schema), build);
        self.versions.entry(key).or_insert_with(of_schema).1
    }

    fn shape(&mut self, settings: &Settings) -> usize {
        let fields = settings.known().map(|(column, _)| short(&column.name));
        let shape = Shape {
            is_table: settings.schema.is_table(),
            fields: fields.map(<[u8]>::to_vec).collect(),
        };
        if let Some(&place) = self.shapes.get(&shape) {
            return place;
        }
        let place = self.of_shape.len();
        self.of_shape.push((Vec::new(), Arc::new(shape.clone())));
        self.shapes.insert(shape, place);
        place
    }
}

impl Index {
    fn between(one: &Shape, other: &Shape) -> Self {
        let mut common: BTreeSet<Vec<u8>> =
            one.fields.intersection(&other.fields).cloned().collect();
        // What a table calls the test is in its sizes.
        if one.is_table || other.is_table {
            common.remove(b"test".as_slice());
        }
        Self {
            common,
            ..Self::default()
        }
    }

    /// The same for values that are alike, in any order.
    fn hash(&self, settings: &Settings) -> u64 {
        let mut hash: u64 = 0;
        let mut bytes = Vec::new();
        for (column, value) in settings.known() {
            let name = short(&column.name);
            if !self.common.contains(name) {
                continue;
            }
            bytes.clear();
            bytes.extend_from_slice(name);
            bytes.push(0);
            // A lost byte may be any of 0x80 and more.
            bytes.extend(value.pieces().filter_map(|piece| match piece {
                Piece::Byte(byte) if byte < 0x80 => Some(byte),
                _ => None,
            }));
            hash = hash.wrapping_add(xxh3_64(&bytes));
        }
        hash
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Column, Kind};
    use super::*;

    fn test(build: i64, fields: &[(&str, &str)]) -> Test {
        let column = |(name, _): &(&str, &str)| Column {
            name: (*name).into(),
            kind: Kind::Text,
            width: None,
        };
        let schema = Arc::new(Schema::new(fields.iter().map(column).collect(), None));
        let values = fields.iter().map(|(_, value)| Some((*value).into()));
        let values = values.collect();
        let mut test = Test {
            settings: Some(Arc::new(Settings { schema, values })),
            ..Test::default()
        };
        test.model.build_number = Some(build);
        test
    }

    #[test]
    fn equal_settings_are_one_class_whatever_the_schema() {
        let mut classes = Classes::default();
        let old = test(6000, &[("n_batch", "2048"), ("type_k", "f16")]);
        let new = test(
            6700,
            &[("type_k", "f16"), ("n_batch", "2048"), ("no_host", "0")],
        );
        let other = test(
            6700,
            &[("type_k", "f16"), ("n_batch", "2048"), ("no_host", "1")],
        );
        assert_eq!(classes.of(&old), 1);
        assert_eq!(classes.of(&new), 1);
        assert_eq!(classes.of(&other), 2);
        assert_eq!(classes.of(&old.clone()), 1);
        assert_eq!(classes.assumed(&old), []);
        let assumed = [("no_host".to_owned(), Text::from("0"))];
        assert_eq!(classes.assumed(&new), assumed);
        assert_eq!(classes.of(&Test::default()), 0);
    }

    #[test]
    fn a_lost_byte_is_alike() {
        let mut classes = Classes::default();
        let known = test(6000, &[("tensor_buft_overrides", "ä")]);
        let lost = test(6000, &[("tensor_buft_overrides", "\u{ffff}f\u{ffff}f")]);
        assert_eq!(classes.of(&known), classes.of(&lost));
    }

    #[test]
    fn a_sweep_of_two_versions_is_matched_one_by_one() {
        let mut classes = Classes::default();
        for n_batch in 1..=5000 {
            let n_batch = n_batch.to_string();
            classes.of(&test(6000, &[("n_batch", &n_batch)]));
        }
        for n_batch in [1, 2500, 5000] {
            let text = n_batch.to_string();
            let new = test(6700, &[("n_batch", &text), ("no_host", "0")]);
            assert_eq!(classes.of(&new), n_batch);
        }
        assert_eq!(classes.of(&test(6700, &[("n_batch", "9999")])), 5001);
    }
}
