//! The table that llama-bench shows: a header, a rule, a row per test, then the build.

use super::{Line, Value, table_name};
use crate::formats::console::plain;
use crate::formats::number::Fixed;
use crate::model::Text;
use crate::model::bench::{
    Column, Identity, Kind, Role, Schema, Settings, default, long_names, short_name, shown_params,
    shown_size,
};
use memchr::memmem;
use std::sync::Arc;

/// What the first line of a table of speeds is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Header {
    /// That of llama-bench.
    Own,
    /// That of a table which was computed from others.
    Derived,
}

/// What a line is as a header; `None` if it is none.
#[must_use]
pub(crate) fn header(line: &[u8]) -> Option<Header> {
    // Fast: few other lines contain this.
    memmem::find(line, b"t/s")?;
    let line = plain(line);
    let cells = cells(&line)?;
    let is = |cell: Option<&&[u8]>, name: &[u8]| {
        cell.is_some_and(|cell| cell.eq_ignore_ascii_case(name))
    };
    let has_speed = |cell: &&&[u8]| memmem::find(cell, b"t/s").is_some();
    let speeds = cells.iter().filter(has_speed).count();
    if is(cells.first(), b"model") && cells.len() <= MAX_COLUMNS {
        let is_own = cells[0] == b"model" && cells.last() == Some(&&b"t/s"[..]) && speeds == 1;
        return Some(if is_own { Header::Own } else { Header::Derived });
    }
    None
}

const MAX_COLUMNS: usize = 1000;

/// The cells of a line that is a row of any table.
fn cells(line: &[u8]) -> Option<Vec<&[u8]>> {
    let inner = inner(line)?;
    Some(
        inner
            .split(|&byte| byte == b'|')
            .map(<[u8]>::trim_ascii)
            .collect(),
    )
}

/// The text between the first and the last bar of a line.
fn inner(line: &[u8]) -> Option<&[u8]> {
    line.trim_ascii().strip_prefix(b"|")?.strip_suffix(b"|")
}

/// Whether the line is the row of some table.
#[must_use]
pub(crate) fn is_row(line: &[u8]) -> bool {
    inner(&plain(line)).is_some()
}

/// A table of which the header has been read.
#[derive(Debug)]
pub(crate) struct Reader {
    names: Vec<Vec<u8>>,
    /// With the widths of the rule, or those of the header until there is one.
    schema: Arc<Schema>,
}

/// What a line below a header is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A row, with its values in the order of the columns.
    Row(Vec<Vec<u8>>),
    /// The rule below the header.
    Rule,
    /// A row whose speed has no deviation: a table that begins with one is not llama-bench's.
    Derived(Vec<Vec<u8>>),
    /// The build: its commit and number.
    Build(Vec<u8>, Vec<u8>),
    /// Not a part of this table.
    Other,
}

impl Reader {
    /// The table with this header.
    #[must_use]
    pub(crate) fn new(header: &[u8]) -> Self {
        let header = plain(header);
        let names = cells(&header).unwrap_or_default();
        let widths = inner(&header).unwrap_or_default();
        let widths = widths.split(|&byte| byte == b'|');
        let widths: Vec<(usize, bool)> = widths
            .zip(&names)
            .map(|(cell, name)| {
                (
                    cell.len().saturating_sub(2),
                    matches!(*name, b"model" | b"backend"),
                )
            })
            .collect();
        Self {
            schema: columns_of(&names, &widths),
            names: names.iter().map(|name| name.to_vec()).collect(),
        }
    }

    /// The columns.
    #[must_use]
    pub(crate) fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Reads the next line.
    pub(crate) fn line(&mut self, line: &[u8]) -> Found {
        let line = plain(line);
        if let Some((commit, number)) = build(&line) {
            return Found::Build(commit.to_vec(), number.to_vec());
        }
        let Some(cells) = self.own_cells(&line) else {
            return Found::Other;
        };
        let is_rule = |cell: &&[u8]| {
            let dashes = cell.strip_prefix(b":").unwrap_or(cell);
            let dashes = dashes.strip_suffix(b":").unwrap_or(dashes);
            !dashes.is_empty() && dashes.iter().all(|byte| *byte == b'-')
        };
        if cells.iter().all(is_rule) {
            let widths: Vec<(usize, bool)> = cells
                .iter()
                .map(|cell| (cell.len(), !cell.ends_with(b":")))
                .collect();
            let names: Vec<&[u8]> = self.names.iter().map(Vec::as_slice).collect();
            self.schema = columns_of(&names, &widths);
            return Found::Rule;
        }
        let mut values: Vec<Vec<u8>> = cells.iter().map(|cell| cell.to_vec()).collect();
        let Some(last) = values.last_mut() else {
            return Found::Other;
        };
        match read_speed(last) {
            Some(speed) => *last = speed,
            None => return Found::Derived(values),
        }
        Found::Row(values)
    }

    /// The cells of a row that has as many as the header.
    fn own_cells<'a>(&self, line: &'a [u8]) -> Option<Vec<&'a [u8]>> {
        let fits = |cells: &Vec<&[u8]>| cells.len() == self.names.len();
        // A value may contain a bar, such as the pattern of a tensor's name, but none between spaces.
        let line = line.trim_ascii();
        let wide = line
            .strip_prefix(b"| ")
            .and_then(|line| line.strip_suffix(b" |"));
        let wide = wide.map(split_wide).filter(fits);
        wide.or_else(|| cells(line).filter(fits))
    }
}

/// The cells between bars that have a space on both sides.
fn split_wide(inner: &[u8]) -> Vec<&[u8]> {
    let mut begin = 0;
    let mut cells = Vec::new();
    for at in memmem::find_iter(inner, b" | ") {
        cells.push(inner[begin..at].trim_ascii());
        begin = at + 3;
    }
    cells.push(inner[begin..].trim_ascii());
    cells
}

fn columns_of(names: &[&[u8]], widths: &[(usize, bool)]) -> Arc<Schema> {
    let columns = names
        .iter()
        .zip(widths)
        .map(|(name, (width, is_left))| Column {
            name: name.to_vec().into(),
            kind: Kind::Text,
            width: Some((u16::try_from(*width).unwrap_or(u16::MAX), *is_left)),
        });
    Arc::new(Schema::new(columns.collect(), None))
}

/// A mean and its deviation, with the sign between them as it was printed: terminals and pipes with
/// another encoding make other characters of it. `None` if there is no deviation.
fn read_speed(cell: &[u8]) -> Option<Vec<u8>> {
    let begin = cell.iter().position(|byte| !byte.is_ascii())?;
    let end = cell.iter().rposition(|byte| !byte.is_ascii())? + 1;
    let (mean, deviation) = (cell[..begin].trim_ascii(), cell[end..].trim_ascii());
    let is_number = |number: &[u8]| {
        !number.is_empty()
            && number
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
    };
    (is_number(mean) && is_number(deviation)).then(|| [mean, " ± ".as_bytes(), deviation].concat())
}

/// The commit and the number of the build in this line.
fn build(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let build = line.trim_ascii().strip_prefix(b"build: ")?;
    let build = build.strip_suffix(b")")?;
    let at = memmem::find(build, b" (")?;
    let (commit, number) = (&build[..at], &build[at + 2..]);
    let digits = number.strip_prefix(b"-").unwrap_or(number);
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let is_word = !commit.is_empty() && commit.iter().all(u8::is_ascii_graphic);
    (is_number && is_word).then_some((commit, number))
}

/// The settings that may be columns, in their order.
const OPTIONAL: [&str; 28] = [
    "n_cpu_moe",
    "n_threads",
    "cpu_mask",
    "cpu_strict",
    "poll",
    "n_batch",
    "n_ubatch",
    "type_k",
    "type_v",
    "f16_kv",
    "defrag_thold",
    "main_gpu",
    "split_mode",
    "mul_mat_q",
    "low_vram",
    "no_kv_offload",
    "flash_attn",
    "devices",
    "tensor_split",
    "tensor_buft_overrides",
    "use_mmap",
    "use_direct_io",
    "load_mode",
    "lazy_mode",
    "embeddings",
    "no_op_offload",
    "no_host",
    "repack",
];

/// Those that follow them.
const LAST: [&str; 2] = ["fit_target", "fit_min_ctx"];

/// A table whose rows are not known yet one by one, only their settings: these decide on its columns.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    head: Head,
    fields: Vec<Field>,
    /// Whether a space stands in the names of tests, as in `pp 512`.
    has_space: bool,
}

/// The columns of a table.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<Column>,
    has_space: bool,
}

/// What all rows of a table have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Head {
    build: [Option<Text>; 2],
    /// The columns of the table that was read.
    own: Option<Arc<Schema>>,
    schema: Vec<(Text, Kind)>,
    table: Text,
    version: i64,
    is_cpu: bool,
}

/// A setting, and what the rows have there.
#[derive(Debug, Clone)]
struct Field {
    name: Text,
    kind: Kind,
    value: Text,
    has_several: bool,
}

impl Draft {
    /// The table of a run, of which a row is given; the settings of all are still to be counted.
    pub(crate) fn new(line: Line<'_>, table: Option<&Arc<Schema>>) -> Self {
        let (identity, settings) = (line.identity, line.settings);
        let schema = &settings.schema;
        let own = table.cloned();
        let own = own.or_else(|| schema.is_table().then(|| Arc::clone(schema)));
        let columns = schema.columns().iter();
        // The column became right-aligned when the space went.
        let has_space = match &own {
            Some(own) => {
                let test = own
                    .columns()
                    .iter()
                    .find(|column| column.name == "test".into());
                test.is_some_and(|test| test.width.is_some_and(|(_, is_left)| is_left))
            }
            None => line.version() < 2843 && settings.get("test").is_none(),
        };
        let build = ["build_commit", "build_number"].map(|name| identity.get(name).cloned());
        let head = if own.is_some() {
            Head {
                build,
                own,
                schema: Vec::new(),
                table: Text::default(),
                version: 0,
                is_cpu: false,
            }
        } else {
            Head {
                build,
                own,
                schema: columns
                    .map(|column| (column.name.clone(), column.kind))
                    .collect(),
                table: table_name(line),
                version: line.version(),
                is_cpu: is_cpu(identity, line.version()),
            }
        };
        Self {
            head,
            fields: Vec::new(),
            has_space,
        }
    }

    /// The table.
    pub(crate) fn table(&self) -> Table {
        Table {
            columns: self.columns(),
            has_space: self.has_space,
        }
    }

    /// Whether the rows of both are those of one table, if they are in one document.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.head == other.head
    }

    /// Counts in a row with these settings.
    pub(crate) fn count(&mut self, settings: &Settings) {
        if self.head.own.is_none() {
            for (column, value) in settings.known() {
                self.put(&column.name, column.kind, value, false);
            }
        }
    }

    fn put(&mut self, name: &Text, kind: Kind, value: &Text, has_several: bool) {
        match self.fields.iter_mut().find(|field| field.name == *name) {
            Some(field) => field.has_several |= has_several || field.value != *value,
            None => self.fields.push(Field {
                name: name.clone(),
                kind,
                value: value.clone(),
                has_several,
            }),
        }
    }

    /// Both as one table; `None` if its columns would not be those that each has.
    pub(crate) fn joined(&self, other: &Self) -> Option<Self> {
        if !self.is_same(other) {
            return None;
        }
        let mut joined = self.clone();
        for field in &other.fields {
            joined.put(&field.name, field.kind, &field.value, field.has_several);
        }
        let columns = joined.columns();
        (columns == self.columns() && columns == other.columns()).then_some(joined)
    }

    /// The columns, with their widths.
    fn columns(&self) -> Vec<Column> {
        let Head {
            own,
            version,
            is_cpu,
            ..
        } = &self.head;
        if let Some(own) = own {
            return own.columns().to_vec();
        }
        let mut names = vec!["model_type", "model_size", "model_n_params", "backend"];
        let field = |name: &str| {
            let mut fields = self.fields.iter();
            fields.find(|field| field.name.as_bytes() == name.as_bytes())
        };
        if !is_cpu && field("n_gpu_layers").is_some() {
            names.push("n_gpu_layers");
        }
        let is_asked_for = |name: &&str| {
            field(name).is_some_and(|field| {
                let is_other = default(name, *version)
                    .is_some_and(|default| default.as_bytes() != field.value.as_bytes());
                // For a while a single number of these layers was not shown.
                let is_other = is_other && (*name != "n_cpu_moe" || *version >= 8522);
                field.has_several || is_other || (*name == "n_threads" && *is_cpu)
            })
        };
        names.extend(OPTIONAL.into_iter().filter(is_asked_for));
        names.extend(LAST.into_iter().filter(is_asked_for));
        // Of a setting that llama.cpp does not have no default is known.
        let others = self.fields.iter().filter(|field| field.has_several);
        let others = others.filter_map(|field| std::str::from_utf8(field.name.as_bytes()).ok());
        let is_other = |name: &&str| Kind::of(name, *version).is_none() && *name != "test";
        names.extend(others.filter(is_other));
        names.extend(["test", "t/s"]);
        let column = |name: &str| {
            let kind = Kind::of(name, *version)
                .or_else(|| Some(field(name)?.kind))
                .unwrap_or(Kind::Text);
            Column {
                name: short_name(name).into(),
                kind: Kind::Text,
                width: Some(match name {
                    // ik_llama.cpp, which has this field, left it as it was.
                    "t/s" if field("test").is_some() => (16, false),
                    _ => width(name, kind, *version),
                }),
            }
        };
        names.into_iter().map(column).collect()
    }
}

/// Whether the backend is one that has no layers elsewhere.
fn is_cpu(identity: &Identity, version: i64) -> bool {
    let Some(backend) = identity.backend() else {
        return false;
    };
    let backend = backend.as_bytes();
    if identity.get("backends").is_none() {
        let is_remote = version < 3148 && has_servers(identity);
        return !is_remote && (backend == b"CPU" || backend == b"BLAS");
    }
    let has = |name: &str| memchr::memmem::find(backend, name.as_bytes()).is_some();
    has("CPU") || has("BLAS") || has("ZenDNN")
}

/// Whether servers take part: a flag beside those of the backends.
fn has_servers(identity: &Identity) -> bool {
    identity
        .get("rpc")
        .is_some_and(|rpc| rpc.as_bytes() == b"1")
}

/// The backend as a table names it: with servers they are a backend of their own, after the graphics
/// processors, and from b3148 an addition to the others.
fn shown_backend(identity: &Identity, version: i64) -> Option<Text> {
    let backend = identity.backend()?;
    if identity.get("backends").is_some() || !has_servers(identity) {
        return Some(backend);
    }
    if version >= 3148 {
        return Some([backend.as_bytes(), b"+RPC"].concat().into());
    }
    let is_first = !matches!(backend.as_bytes(), b"GPU BLAS" | b"BLAS" | b"CPU");
    Some(if is_first { backend } else { "RPC".into() })
}

/// The width of a field's column in this version, and whether its values stand at the left.
fn width(name: &str, kind: Kind, version: i64) -> (u16, bool) {
    let is_compact = version >= 3131;
    let right = |width| (width, false);
    match name {
        "model_type" => (30, true),
        "model_size" | "model_n_params" | "load_mode" => right(10),
        "n_gpu_layers" | "use_direct_io" | "repack" => right(3),
        "t/s" => right(if version < 3644 { 16 } else { 20 }),
        "test" if version < 2843 => (10, true),
        "test" => right(if version < 5212 { 13 } else { 15 }),
        "n_threads" | "n_batch" if is_compact => right(7),
        "n_ubatch" if is_compact => right(8),
        "type_k" | "type_v" if is_compact => right(6),
        "split_mode" if is_compact => right(if version < 8738 { 5 } else { 6 }),
        "flash_attn" if is_compact => right(if version < 9437 { 2 } else { 3 }),
        "use_mmap" if is_compact => right(4),
        "no_op_offload" | "no_host" => right(4),
        "devices" => (12, true),
        _ => {
            let length = u16::try_from(name.len()).unwrap_or(u16::MAX);
            (length.max(10), matches!(kind, Kind::Text | Kind::Other))
        }
    }
}

impl Table {
    /// Writes the names of the columns and the rule.
    pub(crate) fn write_header(&self, out: &mut Vec<u8>) {
        out.push(b'|');
        for column in &self.columns {
            write_cell(out, column, &column.name);
        }
        out.extend_from_slice(b"\n|");
        for column in &self.columns {
            let (width, is_left) = column.width.unwrap_or((10, true));
            out.push(b' ');
            out.resize(out.len() + usize::from(width.saturating_sub(1)), b'-');
            out.extend_from_slice(if is_left { b"- |" } else { b": |" });
        }
        out.push(b'\n');
    }

    /// Writes the row of a test.
    pub(crate) fn write_row(&self, out: &mut Vec<u8>, line: Line<'_>) {
        out.push(b'|');
        for column in &self.columns {
            write_cell(out, column, &self.cell(line, column));
        }
        out.push(b'\n');
    }
    /// What a row has in this column.
    fn cell(&self, line: Line<'_>, column: &Column) -> Text {
        let name = column.name.to_utf8();
        let schema = &line.settings.schema;
        if schema.is_table() {
            let mut fields = schema.fields();
            let role = fields.find_map(|(other, role)| (other.name == column.name).then_some(role));
            return match role {
                Some(Role::Speed) => speed(line, Text::clone),
                Some(role) => match line.value(role) {
                    Some(Value::Text(text)) => text.clone(),
                    _ => Text::default(),
                },
                None => Text::default(),
            };
        }
        let of_run = |name: &str| line.identity.get(name).cloned();
        let text = match &*name {
            "model" => of_run("model_type"),
            "size" => of_run("model_size").as_ref().map(shown_size),
            "params" => of_run("model_n_params").as_ref().map(shown_params),
            "backend" => shown_backend(line.identity, line.version()),
            "test" if self.has_space => {
                let name = line.row.name(line.settings).to_string();
                Some(
                    name.replace("pp", "pp ")
                        .replace("tg", "tg ")
                        .as_str()
                        .into(),
                )
            }
            "test" => Some(line.row.name(line.settings)),
            "t/s" => Some(speed(line, |token| {
                let token = token.to_string();
                match token.parse::<f64>() {
                    Ok(value) => format!("{}", Fixed(value, 2)).as_str().into(),
                    Err(_) => token.as_str().into(),
                }
            })),
            _ => {
                let value = long_names(&name).find_map(|long| line.get(long));
                value.map(|value| value.bytes().into_owned().into())
            }
        };
        text.unwrap_or_default()
    }
}

/// Writes what stands beneath the rows: nothing where the build is not known.
pub(crate) fn write_footer(out: &mut Vec<u8>, identity: &Identity) {
    if let (Some(commit), Some(number)) =
        (identity.get("build_commit"), identity.get("build_number"))
    {
        out.extend_from_slice(b"\nbuild: ");
        out.extend_from_slice(&commit.printed());
        out.extend_from_slice(b" (");
        out.extend_from_slice(&number.printed());
        out.extend_from_slice(b")\n");
    }
}

/// Writes a cell as C's printf fills it up, which counts bytes.
fn write_cell(out: &mut Vec<u8>, column: &Column, text: &Text) {
    let (width, is_left) = column.width.unwrap_or((10, true));
    // The sign between speed and deviation has two bytes.
    let has_sign = column.name.as_bytes() == b"t/s"
        && memchr::memmem::find(text.as_bytes(), "±".as_bytes()).is_some();
    let width = usize::from(width) + usize::from(has_sign);
    let fill = width.saturating_sub(text.c_len());
    out.push(b' ');
    let begin = out.len();
    if !is_left {
        out.resize(begin + fill, b' ');
    }
    out.extend_from_slice(&text.printed());
    if is_left {
        out.resize(out.len() + fill, b' ');
    }
    out.extend_from_slice(b" |");
}

/// Mean and deviation of the speed.
fn speed(line: Line<'_>, shown: impl Fn(&Text) -> Text) -> Text {
    let [.., mean, deviation] = &line.row.results;
    let tokens = [mean, deviation].into_iter().flatten();
    let parts: Vec<Vec<u8>> = tokens
        .map(|token| shown(token).as_bytes().to_vec())
        .collect();
    parts.join(" ± ".as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "| model                |       size | ot       | test | t/s |";

    #[test]
    fn a_header_begins_with_the_model_and_ends_with_the_speed() {
        for (line, expected) in [
            (HEADER, Some(Header::Own)),
            ("|model|size|t/s|", Some(Header::Own)),
            ("\u{1b}[1m| model | t/s |\u{1b}[0m\r\n", Some(Header::Own)),
            (
                "| Model | Test | t/s a | t/s b | Speedup |",
                Some(Header::Derived),
            ),
            ("| model | test | t/s a | t/s |", Some(Header::Derived)),
            ("| model | test | t/s | speedup |", Some(Header::Derived)),
            ("| llama 8B | pp512 | 12 t/s |", None),
            ("model | t/s", None),
        ] {
            assert_eq!(header(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn a_row_has_the_cells_of_its_header_and_a_deviation() {
        let mut table = Reader::new(HEADER.as_bytes());
        let rule = "| -------------------- | ---------: | -------- | ---: | ---: |";
        assert_eq!(table.line(rule.as_bytes()), Found::Rule);
        let widths: Vec<_> = table
            .schema()
            .columns()
            .iter()
            .map(|column| column.width)
            .collect();
        let expected = [(20, true), (10, false), (8, true), (4, false), (4, false)];
        assert_eq!(widths, expected.map(Some));
        let values = |line: &str, table: &mut Reader| match table.line(line.as_bytes()) {
            Found::Row(values) => values.concat(),
            other => format!("{other:?}").into_bytes(),
        };
        let expected = "a1 GiBx|y=CPUpp51.00 ± 0.10".as_bytes();
        for line in [
            "| a                    |      1 GiB | x|y=CPU | pp5 | 1.00 ± 0.10 |\r\n",
            "| a | 1 GiB | x|y=CPU | pp5 | 1.00 ┬▒ 0.10 |",
            "\u{1b}[32m| a | 1 GiB | x|y=CPU | pp5 | 1.00 \u{fffd} 0.10 |\u{1b}[0m",
        ] {
            assert_eq!(values(line, &mut table), expected, "{line}");
        }
        let derived = "| a | 1 GiB | x | pp5 | 1.00 |";
        let derived = table.line(derived.as_bytes());
        assert!(matches!(derived, Found::Derived(_)), "{derived:?}");
        let other = "| a | 1 GiB | pp5 | 1.00 ± 0.10 |";
        assert_eq!(table.line(other.as_bytes()), Found::Other);
        assert_eq!(table.line(b"ggml_vulkan: 0 = x | y | z"), Found::Other);
    }

    #[test]
    fn the_build_is_told_behind_the_rows() {
        let mut table = Reader::new(HEADER.as_bytes());
        let build = Found::Build(b"2656c0d26".to_vec(), b"7693".to_vec());
        assert_eq!(table.line(b"build: 2656c0d26 (7693)\n"), build);
        // That of other programs.
        let other = b"build: 4242 (2656c0d) with gcc for x86_64";
        assert_eq!(table.line(other), Found::Other);
        assert_eq!(table.line(b"build: 4242 (2656c0d)"), Found::Other);
    }
}
