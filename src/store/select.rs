//! Which runs: by id, by name, by filter.

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::rows::{self, CREATED_AT, Cells, Odd};
use super::submissions::{self, COLUMN as SUBMISSION};
use crate::model::{Figures, Source, Submission, Text, Tool, short_quant};
use base::Error;
use db::{Result, Schema};

/// Which runs are meant. All parts that are there must match; text matches anywhere, whatever the
/// case.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    /// In the model's name, or in the name of its file where llama-bench measured it.
    pub model: Option<String>,
    /// In the quantisation.
    pub quant: Option<String>,
    /// In the accelerator's name.
    pub accelerator: Option<String>,
    /// In the runtime's name and version.
    pub runtime: Option<String>,
    /// Measured by this program.
    pub tool: Option<Tool>,
    /// A whole tag, or a pattern of one with `*` and `?`.
    pub tag: Option<String>,
    /// Each of them in the model's name, the quantisation, the accelerator's name or a tag.
    pub words: Vec<String>,
    /// Measured then or later: seconds since 1970.
    pub since: Option<i64>,
    /// Measured then or before: seconds since 1970.
    pub until: Option<i64>,
}

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Sort {
    /// The run added last first
    Added,
    /// The run measured last first
    Date,
    /// By model and quantisation
    Model,
    /// By quantisation
    Quant,
    /// By accelerator
    Accelerator,
    /// The highest score first
    Score,
    /// The fastest prompt processing first
    Pp,
    /// The fastest generation first
    Tg,
    /// The shortest time to first token first
    Ttft,
}

/// A run as a list shows it.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    /// Its id.
    pub id: i64,
    /// When it was added: `YYYY-MM-DD HH:MM:SS`, UTC; `None` where the store has no date.
    pub added_at: Option<String>,
    /// When it was measured: seconds since 1970.
    pub measured_at: i64,
    /// Whether nobody knows, and that is the date of a file or of the add.
    pub measured_guessed: bool,
    /// The model's name.
    pub model: Option<Text>,
    /// The quantisation.
    pub quant: Option<Text>,
    /// The accelerator's name.
    pub accelerator: Option<Text>,
    /// The runtime's name.
    pub runtime: Option<Text>,
    /// The runtime's version.
    pub runtime_version: Option<Text>,
    /// The program that measured it.
    pub tool: Tool,
    /// Speeds and score.
    pub figures: Figures,
    /// The number of tests.
    pub tests: i64,
    /// Whether a baseline test is missing.
    pub partial: bool,
    /// Its tags, in order.
    pub tags: Vec<String>,
    /// What kind of capture it came from.
    pub source: Source,
    /// Where LocalScore shows it, if it was submitted.
    pub link: Option<String>,
    /// What became of sending it; `None`: it was never tried.
    pub submission: Option<Submission>,
}

/// What [`read_listed`] reads, but for time, averages and submission. Where the tests are a view
/// ([`super::site::show`]), those of a run are found by index in a subquery with a limit alone.
const COLUMNS: &str =
    "r.run_id, r.measured_at, r.measured_guessed, m.model_name, m.model_quant_str,
    e.accelerator_name, e.runtime_name, e.runtime_version,
    coalesce(x.tests, (SELECT count(*) FROM
        (SELECT 1 FROM localstore_tests t WHERE t.run_id = r.run_id LIMIT -1))) AS tests, r.partial,
    (SELECT json_group_array(CAST(tag AS TEXT)) FROM
        (SELECT tag FROM localstore_tags t WHERE t.run_id = r.run_id ORDER BY tag)) AS tags,
    r.source, (SELECT link FROM localstore_submissions s WHERE s.run_id = r.run_id) AS link";

/// Speeds and score, null where the tool has none.
const FIGURES: &str = "r.tool, CAST(b.performance_score AS REAL) AS performance_score,
    coalesce(x.prompt_tps, CAST(b.avg_prompt_tps AS REAL)) AS avg_prompt_tps,
    coalesce(x.gen_tps, CAST(b.avg_gen_tps AS REAL)) AS avg_gen_tps,
    CAST(b.avg_ttft_ms AS REAL) AS avg_ttft_ms";

// CROSS JOIN keeps the order of the tables: the runs, which are sorted, come first.
const TABLES: &str = "localstore_runs r
    CROSS JOIN localstore_environments e ON e.id = r.environment_id
    LEFT JOIN benchmark_runs b ON b.id = r.run_id
    LEFT JOIN localstore_bench_runs x ON x.run_id = r.run_id
    LEFT JOIN localstore_models m ON m.id = r.model_id";

/// What a RUN means.
enum Selector<'a> {
    Id(i64),
    /// The runs of these ids that there are.
    Range(i64, i64),
    /// Ids and ranges.
    List(Vec<Selector<'a>>),
    /// The run added last but so many.
    Last(u32),
    Best,
    Tag(&'a str),
}

impl<'a> Selector<'a> {
    fn of(name: &'a str) -> Self {
        let number = |text: &str| {
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            // No id is larger.
            is_number.then(|| text.parse().unwrap_or(i64::MAX))
        };
        let ids = |text: &str| {
            if let Some(id) = number(text) {
                return Some(Self::Id(id));
            }
            let (first, last) = text.split_once('-')?;
            Some(Self::Range(number(first)?, number(last)?))
        };
        match name {
            "last" => Self::Last(0),
            "best" => Self::Best,
            _ => {
                let back = name.strip_prefix("last~").map(number);
                if let Some(Some(back)) = back {
                    return Self::Last(u32::try_from(back).unwrap_or(u32::MAX));
                }
                let list = || name.split(',').map(ids).collect::<Option<Vec<_>>>();
                ids(name)
                    .or_else(|| list().map(Self::List))
                    .unwrap_or(Self::Tag(name))
            }
        }
    }

    /// Its runs, in the order in which they are named; none if one that is named is not there.
    fn ids(&self, db: &Connection) -> Result<Vec<i64>> {
        let query = |sql: &str, values: &[Value]| -> Result<Vec<i64>> {
            let mut statement = db.prepare_cached(sql)?;
            let ids = statement.query_map(params_from_iter(values), |row| row.get(0))?;
            Ok(ids.collect::<rusqlite::Result<_>>()?)
        };
        match self {
            Self::Id(id) => query(
                "SELECT run_id FROM localstore_runs WHERE run_id = ?1",
                &[(*id).into()],
            ),
            Self::Range(first, last) => query(
                "SELECT run_id FROM localstore_runs WHERE run_id BETWEEN ?1 AND ?2 ORDER BY run_id",
                &[(*first).into(), (*last).into()],
            ),
            Self::List(parts) => {
                let mut all = Vec::new();
                for part in parts {
                    let ids = part.ids(db)?;
                    if ids.is_empty() {
                        return Ok(ids);
                    }
                    all.extend(ids);
                }
                Ok(all)
            }
            Self::Last(back) => query(
                "SELECT run_id FROM localstore_runs
                 WHERE run_id NOT IN (SELECT run_id FROM localstore_brought) AND source <> 'site'
                 ORDER BY run_id DESC LIMIT 1 OFFSET ?1",
                &[(*back).into()],
            ),
            Self::Best => query(
                "SELECT run_id FROM localstore_runs
                 WHERE partial = 0 AND score > 0 AND tool = 'localscore' ORDER BY score DESC, run_id DESC LIMIT 1",
                &[],
            ),
            Self::Tag(tag) => query(
                "SELECT run_id FROM localstore_tags WHERE tag = ?1 ORDER BY run_id DESC LIMIT 1",
                &[Value::Text((*tag).to_owned())],
            ),
        }
    }
}

/// Whether the name means a run by something else than a tag: an id, a range, a list, `last`, `best`.
pub(crate) fn is_reserved(name: &str) -> bool {
    !matches!(Selector::of(name), Selector::Tag(_))
}

/// The runs that `name` means: an id, a range `3-7`, a list `3,5`, `last`, `last~N`, `best`, or a tag,
/// of whose runs the one added last. Empty if there is none.
pub(crate) fn find(db: &Connection, name: &str) -> Result<Vec<i64>> {
    Selector::of(name).ids(db)
}

/// The error for a name that means no run.
pub(crate) fn no_such_run(db: &Connection, name: &str) -> Result<Error> {
    let sql = "SELECT max(run_id) FROM localstore_runs";
    let Some(newest) = db.query_row(sql, [], |row| row.get::<_, Option<i64>>(0))? else {
        return Ok(
            Error::plain("the store is empty").hint("localstore record localscore -m model.gguf")
        );
    };
    let the_last = match Selector::Last(0).ids(db)?.first() {
        Some(last) => format!("the last is {last}; 'localstore list' shows all"),
        None => {
            format!("no run was added here, the newest is {newest}; 'localstore list' shows all")
        }
    };
    Ok(match Selector::of(name) {
        Selector::Id(_) => Error::new(format_args!("run {name}"), "no such run").hint(the_last),
        Selector::Tag(_) => {
            let mut statement =
                db.prepare("SELECT DISTINCT tag FROM localstore_tags ORDER BY tag")?;
            let tags = statement.query_map([], |row| row.get::<_, String>(0))?;
            let mut tags = tags.collect::<rusqlite::Result<Vec<_>>>()?;
            let count = tags.len();
            if count > MAX_TAGS {
                tags.truncate(MAX_TAGS);
                tags.push(format!("… ({count})"));
            }
            let hint = if tags.is_empty() {
                the_last
            } else {
                format!("tags: {}", tags.join(", "))
            };
            Error::new(name, "no such run or tag").hint(hint)
        }
        _ => Error::new(name, "no such run").hint(the_last),
    })
}

/// The most tags that an error names.
const MAX_TAGS: usize = 12;

/// The ids of the runs that match, in the order in which they were added.
pub(crate) fn ids(db: &Connection, filter: &Filter) -> Result<Vec<i64>> {
    let condition = filter.condition(db)?;
    let of_runs = condition.of_runs();
    let ids = db
        .prepare(&format!(
            "SELECT r.run_id FROM localstore_runs r WHERE {of_runs} ORDER BY r.run_id"
        ))?
        .query_map(params_from_iter(condition.values), |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(ids)
}

/// How many runs there are, also in a store of an older version.
pub(crate) fn count_all(db: &Connection, schema: Schema) -> rusqlite::Result<u64> {
    match schema {
        Schema::Empty | Schema::Llamafile | Schema::Absent => Ok(0),
        Schema::Version(_) | Schema::Unversioned(_) | Schema::Foreign => {
            db.query_row("SELECT count(*) FROM localstore_runs", [], |row| row.get(0))
        }
    }
}

/// How many runs match.
pub(crate) fn count(db: &Connection, filter: &Filter) -> Result<u64> {
    let condition = filter.condition(db)?;
    let sql = format!(
        "SELECT count(*) FROM localstore_runs r WHERE {}",
        condition.of_runs()
    );
    let values = params_from_iter(condition.values);
    Ok(db.query_row(&sql, values, |row| row.get(0))?)
}

/// The runs that match, at most `limit` of them.
pub(crate) fn list(
    db: &Connection,
    filter: &Filter,
    sort: Sort,
    limit: Option<u32>,
) -> Result<Vec<Listed>> {
    let condition = filter.condition(db)?;
    let of_runs = condition.of_runs();
    let mut values = condition.values;
    values.push(limit.map_or(-1, i64::from).into());
    let sql = format!(
        "{} WHERE {of_runs} ORDER BY {}r.run_id DESC LIMIT ?{}",
        select_listed(),
        sort.sql(),
        values.len()
    );
    let mut statement = db.prepare(&sql)?;
    Ok(rows::query(
        &mut statement,
        params_from_iter(values),
        read_listed,
    )?)
}

/// One run as a list shows it.
pub(crate) fn listed(db: &Connection, id: i64) -> Result<Listed> {
    let sql = format!("{} WHERE r.run_id = ?1", select_listed());
    let mut statement = db.prepare_cached(&sql)?;
    Ok(rows::query_one(
        &mut statement,
        [id],
        Odd::Unknown,
        read_listed,
    )?)
}

fn select_listed() -> String {
    format!(
        "SELECT coalesce(x.added_at, {CREATED_AT}) AS added_at, {COLUMNS}, {FIGURES}, {SUBMISSION}
         FROM {TABLES}"
    )
}

fn read_listed(cells: Cells<'_>) -> rusqlite::Result<Listed> {
    let text = |column| cells.text(column);
    let tags: String = cells.get("tags")?;
    let source: String = cells.get("source")?;
    let tool: String = cells.get("tool")?;
    Ok(Listed {
        added_at: cells.get("added_at")?,
        id: cells.get("run_id")?,
        measured_at: cells.get("measured_at")?,
        measured_guessed: cells.get("measured_guessed")?,
        model: text("model_name")?,
        quant: text("model_quant_str")?,
        accelerator: text("accelerator_name")?,
        runtime: text("runtime_name")?,
        runtime_version: text("runtime_version")?,
        tests: cells.get("tests")?,
        partial: cells.get("partial")?,
        tags: serde_json::from_str(&tags).unwrap_or_default(),
        source: Source::from_name(&source).unwrap_or_default(),
        link: cells.get("link")?,
        tool: Tool::from_name(&tool).unwrap_or_default(),
        figures: Figures {
            score: cells.get("performance_score")?,
            prompt_tps: cells.get("avg_prompt_tps")?,
            gen_tps: cells.get("avg_gen_tps")?,
            ttft_ms: cells.get("avg_ttft_ms")?,
        },
        submission: submissions::from_row(cells)?,
    })
}

impl Sort {
    fn sql(self) -> &'static str {
        match self {
            Self::Added => "",
            Self::Date => "r.measured_at DESC, ",
            Self::Model => "m.model_name, m.model_quant_str, ",
            Self::Quant => "m.model_quant_str, ",
            Self::Accelerator => "e.accelerator_name, ",
            Self::Score => "b.performance_score DESC, ",
            Self::Pp => "coalesce(x.prompt_tps, b.avg_prompt_tps) DESC, ",
            Self::Tg => "coalesce(x.gen_tps, b.avg_gen_tps) DESC, ",
            // Zero means not measured.
            Self::Ttft => "coalesce(b.avg_ttft_ms, 0) = 0, b.avg_ttft_ms, ",
        }
    }
}

impl Filter {
    /// Whether nothing is filtered out.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        let Self {
            model,
            quant,
            accelerator,
            runtime,
            tool,
            tag,
            words,
            since,
            until,
        } = self;
        let texts = [model, quant, accelerator, runtime, tag];
        let numbers = [since, until];
        texts.iter().all(|text| text.is_none())
            && tool.is_none()
            && words.is_empty()
            && numbers.iter().all(|number| number.is_none())
    }

    /// Whether it chooses among configurations: by model, quantisation, accelerator or tool.
    #[must_use]
    pub(crate) fn is_on_configurations(&self) -> bool {
        self.model.is_some()
            || self.quant.is_some()
            || self.accelerator.is_some()
            || self.tool.is_some()
    }

    /// What it says about runs whatever their configuration.
    pub(super) fn condition_on_runs(&self, db: &Connection) -> rusqlite::Result<Condition> {
        let filter = Self {
            model: None,
            quant: None,
            accelerator: None,
            tool: None,
            ..self.clone()
        };
        filter.condition(db)
    }

    /// What it says in SQL, and the values. Text is looked for in the small tables that the runs
    /// refer to.
    pub(super) fn condition(&self, db: &Connection) -> rusqlite::Result<Condition> {
        define_functions(db)?;
        let mut condition = Condition::default();
        if let Some(model) = &self.model {
            let model = model.to_lowercase();
            let is_named = "localstore_contains(c.model_name, ?)";
            // Those of llama-bench have the file's name too; files of one configuration may differ.
            let of_files = "SELECT f.configuration_id FROM localstore_runs f
                 JOIN localstore_bench_runs x ON x.run_id = f.run_id";
            condition.add(
                Of::Configuration,
                &format!("({is_named} OR c.id IN ({of_files} WHERE {FILE}))"),
                model.clone().into(),
            );
            condition.add(
                Of::Run,
                &format!(
                    "(r.configuration_id IN
                         (SELECT c.id FROM localstore_configurations c WHERE {is_named})
                      OR r.run_id IN (SELECT x.run_id FROM localstore_bench_runs x WHERE {FILE}))"
                ),
                model.into(),
            );
        }
        for (wanted, of, sql) in [
            (
                &self.quant,
                Of::Configuration,
                "localstore_is_quant(c.model_quant_str, ?)",
            ),
            (
                &self.accelerator,
                Of::Configuration,
                "localstore_contains(c.accelerator_name, ?)",
            ),
            (
                &self.runtime,
                Of::Run,
                "r.environment_id IN (SELECT id FROM localstore_environments WHERE
                     localstore_contains(runtime_name || ' ' || coalesce(runtime_version, ''), ?))",
            ),
        ] {
            if let Some(wanted) = wanted {
                condition.add(of, sql, wanted.to_lowercase().into());
            }
        }
        if let Some(tool) = self.tool {
            let tool = tool.name().to_owned();
            condition.add(Of::Configuration, "c.tool = ?", tool.into());
        }
        if let Some(tag) = &self.tag {
            condition.add(
                Of::Run,
                "r.run_id IN
                     (SELECT run_id FROM localstore_tags WHERE localstore_lower(tag) GLOB ?)",
                // A bracket is nothing but a bracket.
                tag.to_lowercase().replace('[', "[[]").into(),
            );
        }
        for word in &self.words {
            condition.add(
                Of::Run,
                &format!(
                    "(r.configuration_id IN (SELECT c.id FROM localstore_configurations c WHERE
                         localstore_contains(c.model_name, ?) OR
                         localstore_is_quant(c.model_quant_str, ?) OR
                         localstore_contains(c.accelerator_name, ?))
                      OR r.run_id IN (SELECT x.run_id FROM localstore_bench_runs x WHERE {FILE})
                      OR r.run_id IN
                         (SELECT run_id FROM localstore_tags WHERE localstore_contains(tag, ?)))"
                ),
                word.to_lowercase().into(),
            );
        }
        for (wanted, sql) in [
            (self.since, "r.measured_at >= ?"),
            (self.until, "r.measured_at <= ?"),
        ] {
            if let Some(wanted) = wanted {
                condition.add(Of::Run, sql, wanted.into());
            }
        }
        Ok(condition)
    }
}

/// On `localstore_bench_runs x`: what is looked for is in the name of the model's file.
const FILE: &str = "x.identity_id IN (SELECT id FROM localstore_bench_identities
    WHERE localstore_contains(model_filename, ?))";

/// What a part of a condition is about.
#[derive(Clone, Copy)]
enum Of {
    Configuration,
    Run,
}

/// A filter in SQL.
pub(super) struct Condition {
    /// On `localstore_configurations c`.
    pub configuration: String,
    /// On `localstore_runs r`.
    pub run: String,
    /// The values of both.
    pub values: Vec<Value>,
}

impl Default for Condition {
    fn default() -> Self {
        Self {
            configuration: "1".to_owned(),
            run: "1".to_owned(),
            values: Vec::new(),
        }
    }
}

impl Condition {
    fn add(&mut self, of: Of, sql: &str, value: Value) {
        self.values.push(value);
        let sql = sql.replace('?', &format!("?{}", self.values.len()));
        let part = match of {
            Of::Configuration => &mut self.configuration,
            Of::Run => &mut self.run,
        };
        *part = [part, " AND ", &sql].concat();
    }

    /// All of it on `localstore_runs r`.
    pub(super) fn of_runs(&self) -> String {
        if self.configuration == "1" {
            return self.run.clone();
        }
        format!(
            "{} AND r.configuration_id IN
                 (SELECT c.id FROM localstore_configurations c WHERE {})",
            self.run, self.configuration
        )
    }
}

/// Defines `localstore_lower(text)`, `localstore_contains(text, lowercase)` and
/// `localstore_is_quant(text, lowercase)`: SQLite's own functions know the case of ASCII only.
fn define_functions(db: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    let lower = |text: &str| text.to_lowercase();
    let text = |context: &Context<'_>| rows::text(context.get_raw(0)).unwrap_or_default();
    db.create_scalar_function("localstore_lower", 1, flags, move |context| {
        Ok(lower(&text(context).display()))
    })?;
    db.create_scalar_function("localstore_contains", 2, flags, move |context| {
        let wanted = context.get_raw(1).as_str()?;
        Ok(lower(&text(context).display()).contains(wanted))
    })?;
    db.create_scalar_function("localstore_is_quant", 2, flags, move |context| {
        let wanted = context.get_raw(1).as_str()?;
        let quant = text(context);
        let is_in = |quant: &str| lower(quant).contains(wanted);
        Ok(is_in(&quant.display()) || is_in(&short_quant(&quant.display())))
    })
}

/// What can be asked for: the values that runs have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Values {
    Models,
    Quants,
    Accelerators,
    Runtimes,
    Tags,
}

impl Values {
    /// What they are called.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Models => "models",
            Self::Quants => "quants",
            Self::Accelerators => "accelerators",
            Self::Runtimes => "runtimes",
            Self::Tags => "tags",
        }
    }
}

/// These values of the stored runs, in the order of the alphabet.
pub(crate) fn values(db: &Connection, values: Values) -> Result<Vec<String>> {
    let sql = match values {
        Values::Tags => "SELECT DISTINCT tag AS value FROM localstore_tags",
        Values::Models => "SELECT DISTINCT model_name AS value FROM localstore_configurations c",
        Values::Quants => {
            "SELECT DISTINCT model_quant_str AS value FROM localstore_configurations c"
        }
        Values::Accelerators => {
            "SELECT DISTINCT accelerator_name AS value FROM localstore_configurations c"
        }
        Values::Runtimes => {
            "SELECT DISTINCT runtime_name AS value FROM localstore_configurations c"
        }
    };
    // A configuration stays when its last run goes.
    let in_use = match values {
        Values::Tags => "",
        _ => "WHERE EXISTS (SELECT 1 FROM localstore_runs r WHERE r.configuration_id = c.id)",
    };
    let mut statement = db.prepare(&format!("{sql} {in_use}"))?;
    let found = rows::query(&mut statement, [], |cells| cells.text("value"))?;
    let mut found: Vec<String> = found
        .into_iter()
        .flatten()
        .map(|text| match values {
            Values::Quants => short_quant(&text.display()),
            _ => text.display().into_owned(),
        })
        .filter(|text| !text.is_empty())
        .collect();
    found.sort_by_cached_key(|text| (text.to_lowercase(), text.clone()));
    found.dedup();
    Ok(found)
}

/// When the first and the last run were measured: seconds since 1970.
pub(crate) fn period(db: &Connection) -> Result<Option<(i64, i64)>> {
    let sql = "SELECT min(measured_at), max(measured_at) FROM localstore_runs";
    Ok(db.query_row(sql, [], |row| {
        Ok(row.get::<_, Option<i64>>(0)?.zip(row.get(1)?))
    })?)
}
