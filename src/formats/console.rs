//! The table that LocalScore shows while it measures (`-o console`, once called `md`).

use std::borrow::Cow;
use std::io::{self, Read, Write};

use super::Document;
use super::grouping::MAX_TESTS;
use super::number::{self, Fixed};
use crate::model::{Model, Run, Source, Test, Text};

/// The columns: name and width, which is negative for a left-aligned column.
const COLUMNS: [(&str, i8); 7] = [
    ("test", 13),
    ("run number", -10),
    ("avg time", -10),
    ("tokens processed", -16),
    ("pp t/s", -10),
    ("tg t/s", -10),
    ("ttft", -10),
];

/// The width between the outer bars.
const INNER_WIDTH: usize = 99;

/// The C tool cuts titles at this length.
const TITLE_BYTES: usize = 255;

/// Stands for a missing value.
const UNKNOWN: &str = "?";

/// Writes the table of a run, as the C tool's `console_printer` shows it at the end.
pub(crate) fn write(out: &mut dyn Write, run: &Run) -> io::Result<()> {
    let border = format!("+{}+\n", "-".repeat(INNER_WIDTH));
    out.write_all(border.as_bytes())?;
    let accelerator = &run.environment.accelerator;
    let memory = match accelerator.memory_gb {
        Some(gb) => format!("{} GiB", Fixed(gb, 1)),
        None => UNKNOWN.to_owned(),
    };
    title(out, accelerator.name.as_ref(), &memory.as_str().into())?;
    let model = run.model();
    let quant = model.and_then(|model| model.model_quant_str.clone());
    title(
        out,
        model.and_then(|model| model.model_name.as_ref()),
        &quant.unwrap_or_else(|| UNKNOWN.into()),
    )?;
    out.write_all(border.as_bytes())?;

    row(out, &COLUMNS.map(|(name, _)| name.into()))?;
    row(
        out,
        &COLUMNS.map(|(_, width)| "-".repeat(width.unsigned_abs().into()).as_str().into()),
    )?;
    for test in &run.tests {
        row(out, &cells(test))?;
    }
    out.write_all(border.as_bytes())
}

/// Writes one of the two centred lines, `NAME - DETAIL`, as the C tool does: the text is cut at 255
/// bytes but padded by its full length, and a negative padding counts as a positive one.
fn title(out: &mut dyn Write, name: Option<&Text>, detail: &Text) -> io::Result<()> {
    let unknown = UNKNOWN.into();
    let name = name.unwrap_or(&unknown);
    let length = name.c_len() + 3 + detail.c_len();
    let (left, right) = if length <= INNER_WIDTH {
        let left = (INNER_WIDTH - length) / 2;
        (left, INNER_WIDTH - length - left)
    } else {
        let left = (length - INNER_WIDTH) / 2;
        (left, length - INNER_WIDTH - left)
    };
    let whole = [name.as_bytes(), b" - ", detail.as_bytes()].concat();
    let shown = Text::from(whole).cut(TITLE_BYTES);
    out.write_all(b"|")?;
    spaces(out, left)?;
    out.write_all(&shown.printed())?;
    spaces(out, right)?;
    out.write_all(b"|\n")
}

/// Writes spaces. (`{:width$}` panics on a width of more than 16 bits.)
fn spaces(out: &mut dyn Write, count: usize) -> io::Result<()> {
    io::copy(&mut io::repeat(b' ').take(count as u64), out).map(drop)
}

fn row(out: &mut dyn Write, cells: &[Text; 7]) -> io::Result<()> {
    out.write_all(b"|")?;
    for (cell, (_, width)) in cells.iter().zip(COLUMNS) {
        let padding = usize::from(width.unsigned_abs()).saturating_sub(cell.c_len());
        let (left, right) = if width < 0 {
            (0, padding)
        } else {
            (padding, 0)
        };
        spaces(out, left + 1)?;
        out.write_all(&cell.printed())?;
        spaces(out, right + 1)?;
        out.write_all(b"|")?;
    }
    out.write_all(b"\n")
}

fn cells(test: &Test) -> [Text; 7] {
    let (run_number, tokens) = match test.repetitions() {
        Some(n) => {
            let total = i128::from(test.n_prompt) + i128::from(test.n_gen);
            let total = total.saturating_mul(i128::try_from(n).unwrap_or(i128::MAX));
            (format!("{n}/{n}"), format!("{total} / {total}"))
        }
        None => (UNKNOWN.to_owned(), UNKNOWN.to_owned()),
    };
    [
        test.name.clone(),
        run_number.as_str().into(),
        time(test.avg_time_ms).as_str().into(),
        tokens.as_str().into(),
        speed(test.prompt_tps).as_str().into(),
        speed(test.gen_tps).as_str().into(),
        time(test.ttft_ms).as_str().into(),
    ]
}

fn speed(tps: Option<f64>) -> String {
    tps.map_or_else(|| UNKNOWN.to_owned(), |tps| Fixed(tps, 2).to_string())
}

/// A time, converted to a 32-bit float first, as the C tool does.
fn time(ms: Option<f64>) -> String {
    let Some(ms) = ms else {
        return UNKNOWN.to_owned();
    };
    #[allow(clippy::cast_possible_truncation, reason = "as the C tool does")]
    let ms = ms as f32;
    if ms < 1000.0 {
        format!("{} ms", Fixed(ms.into(), 2))
    } else {
        format!("{} s", Fixed(f64::from(ms) / 1e3, 2))
    }
}

/// Larger tables are refused.
const MAX_BYTES: usize = 16 << 20;

/// Tables with more columns are refused.
const MAX_COLUMNS: usize = 1024;

/// Reads a table line by line. Rows may be redrawn; the last state of each counts.
///
/// Columns are found by their names, since an older layout has the column `power`.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    borders: usize,
    titles: Vec<Vec<u8>>,
    columns: Vec<String>,
    rows: Vec<Row>,
    bytes: usize,
}

/// The state of the table after a line.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "one at a time")]
pub(crate) enum Step {
    /// The table continues.
    More,
    /// This is not a table of LocalScore.
    NoTable,
    /// The table is complete.
    Done(Document),
    /// The table is cut off; these tests are complete.
    Cut(Document),
    /// Invalid row.
    Bad(String),
}

/// The last state of a row.
#[derive(Debug)]
struct Row {
    test: Test,
    finished: bool,
}

/// Whether the line is a border: `+---…---+`.
#[must_use]
pub(crate) fn is_border(line: &[u8]) -> bool {
    let line = trim(line);
    let inner = line
        .strip_prefix(b"+")
        .and_then(|rest| rest.strip_suffix(b"+"));
    inner.is_some_and(|inner| inner.len() >= 60 && inner.iter().all(|&byte| byte == b'-'))
}

/// Whether the line is a row or a title: `|…|`.
#[must_use]
pub(crate) fn is_row(line: &[u8]) -> bool {
    let line = plain(line);
    let line = trim(&line);
    line.len() > 60 && line.starts_with(b"|") && line.ends_with(b"|")
}

/// The line as a terminal shows it: without escape sequences and its end, and after a carriage
/// return only what overwrites the text before it.
#[must_use]
pub(crate) fn plain(line: &[u8]) -> Cow<'_, [u8]> {
    let line = line.trim_ascii_end();
    let line = memchr::memrchr(b'\r', line).map_or(line, |at| &line[at + 1..]);
    if memchr::memchr(0x1b, line).is_none() {
        return Cow::Borrowed(line);
    }
    let mut text = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = memchr::memchr(0x1b, rest) {
        text.extend_from_slice(&rest[..at]);
        rest = after_escape(&rest[at + 1..]);
    }
    text.extend_from_slice(rest);
    Cow::Owned(text.trim_ascii_end().to_vec())
}

/// The text after an escape sequence, whose first byte has been removed.
fn after_escape(rest: &[u8]) -> &[u8] {
    let skip = |length: usize| rest.get(length..).unwrap_or_default();
    match rest.first() {
        // A control sequence ends with a letter.
        Some(b'[') => {
            let is_letter = |byte: &u8| (0x40..=0x7e).contains(byte);
            let end = rest[1..].iter().position(is_letter);
            end.map_or(&[][..], |end| skip(end + 2))
        }
        // A window title or a link ends with BEL or with an escape and a backslash.
        Some(b']') => match memchr::memchr2(0x07, 0x1b, rest) {
            Some(end) if rest[end] == 0x07 => skip(end + 1),
            Some(end) => skip(end + 2),
            None => &[],
        },
        // A character set.
        Some(b'(' | b')') => skip(2),
        _ => skip(1),
    }
}

/// The line without white space and without the quotation marks of a mail around it.
fn trim(line: &[u8]) -> &[u8] {
    let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
    let mut line = line.trim_ascii();
    while let Some(rest) = line.strip_prefix(b">") {
        line = rest.trim_ascii_start();
    }
    line
}

impl Reader {
    /// Reads the next line; the first one is the border.
    pub(crate) fn push(&mut self, line: &[u8]) -> Step {
        self.bytes += line.len();
        if self.bytes > MAX_BYTES {
            return Step::Bad("a table of more than 16 MiB".to_owned());
        }
        let line = plain(line);
        let line = trim(&line);
        if is_border(line) {
            self.borders += 1;
            return match self.borders {
                1 | 2 if self.columns.is_empty() => Step::More,
                3 if !self.columns.is_empty() => self.done(),
                _ => Step::NoTable,
            };
        }
        let cells = line
            .strip_prefix(b"|")
            .and_then(|rest| rest.strip_suffix(b"|"));
        match (self.borders, cells) {
            (1, Some(title)) if self.titles.len() < 2 => {
                self.titles.push(title.trim_ascii().to_vec());
                Step::More
            }
            (2, Some(cells)) if self.columns.is_empty() => self.header(cells),
            (2, Some(cells)) => self.row(cells),
            (2, None) if !self.columns.is_empty() => self.end(),
            _ => Step::NoTable,
        }
    }

    /// Whether there is a row.
    #[must_use]
    pub(crate) fn has_rows(&self) -> bool {
        !self.rows.is_empty()
    }

    /// Ends a table whose last border is missing.
    pub(crate) fn end(&mut self) -> Step {
        if self.columns.is_empty() {
            return Step::NoTable;
        }
        // The test of the last row may still have been running: if it has several repetitions,
        // only the next row shows that it is finished.
        if let Some(last) = self.rows.last_mut() {
            let once = last.test.reps == Some(1);
            let timed = last.test.avg_time_ms.is_some_and(|ms| ms > 0.0);
            last.finished &= once && timed;
        }
        Step::Cut(self.document())
    }

    fn done(&mut self) -> Step {
        if self.rows.is_empty() {
            return Step::Bad("no test in this table".to_owned());
        }
        if self.rows.iter().any(|row| !row.finished) {
            return Step::Cut(self.document());
        }
        Step::Done(self.document())
    }

    fn header(&mut self, row: &[u8]) -> Step {
        self.columns = split(row)
            .take(MAX_COLUMNS)
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect();
        let has = |name: &str| self.columns.iter().any(|column| column == name);
        if has("test") && has("pp t/s") && has("tg t/s") {
            Step::More
        } else {
            Step::NoTable
        }
    }

    fn row(&mut self, row: &[u8]) -> Step {
        let cells: Vec<&[u8]> = split(row).take(MAX_COLUMNS + 1).collect();
        if cells.iter().copied().flatten().all(|&byte| byte == b'-') {
            return Step::More;
        }
        if cells.len() != self.columns.len() {
            return self.end();
        }
        let cell = |name: &str| {
            let index = self.columns.iter().position(|column| column == name);
            index.map(|index| cells[index])
        };
        let row = match Row::read(cell) {
            Ok(row) => row,
            Err(why) => return Step::Bad(why),
        };
        let full = self.rows.len() >= MAX_TESTS;
        match self.rows.last_mut() {
            Some(last) if last.test.name == row.test.name => *last = row,
            _ if full => return Step::Bad(format!("a run of more than {MAX_TESTS} tests")),
            _ => self.rows.push(row),
        }
        Step::More
    }

    /// The run with the finished tests.
    fn document(&mut self) -> Document {
        let mut run = Run {
            source: Source::Console,
            ..Run::default()
        };
        let mut titles = std::mem::take(&mut self.titles).into_iter();
        if let Some(title) = titles.next() {
            let (name, memory_gb) = split_accelerator(title);
            run.environment.accelerator.name = known(name);
            run.environment.accelerator.memory_gb = memory_gb;
        }
        let (name, quant) = titles
            .next()
            .map_or((None, None), |title| split_model(&title));
        run.tests = std::mem::take(&mut self.rows)
            .into_iter()
            .filter(|row| row.finished)
            .map(|row| Test {
                model: Model {
                    model_name: name.clone(),
                    model_quant_str: quant.clone(),
                    ..Model::default()
                },
                ..row.test
            })
            .collect();
        Document {
            run,
            ..Document::default()
        }
    }
}

impl Row {
    fn read<'a>(cell: impl Fn(&str) -> Option<&'a [u8]>) -> Result<Self, String> {
        let shown = |text: &[u8]| super::lexer::quoted(text);
        let name = cell("test").unwrap_or_default();
        let (n_prompt, n_gen) =
            tokens(name).ok_or_else(|| format!("{} is not the name of a test", shown(name)))?;
        let value = |column: &str, unit: fn(&[u8]) -> Option<f64>| {
            let text = cell(column).filter(|&text| text != UNKNOWN.as_bytes());
            text.map(|text| {
                unit(text).ok_or_else(|| format!("\"{column}\" is {}, not a number", shown(text)))
            })
            .transpose()
        };
        let pair = |column: &str, mark: u8| {
            let text = cell(column)?;
            let at = memchr::memchr(mark, text)?;
            let part = |text: &[u8]| number::parse_integer(text.trim_ascii());
            Some((part(&text[..at])?, part(&text[at + 1..])?))
        };
        let runs = pair("run number", b'/');
        let processed = pair("tokens processed", b'/');
        let finished = [runs, processed]
            .iter()
            .flatten()
            .all(|(now, total)| now == total);
        Ok(Self {
            finished,
            test: Test {
                name: name.to_vec().into(),
                n_prompt,
                n_gen,
                avg_time_ms: value("avg time", milliseconds)?,
                prompt_tps: value("pp t/s", number::parse)?,
                gen_tps: value("tg t/s", number::parse)?,
                ttft_ms: value("ttft", milliseconds)?,
                power_watts: value("power", watts)?,
                reps: runs.and_then(|(_, total)| u64::try_from(total).ok()),
                ..Test::default()
            },
        })
    }
}

/// The cells of a row.
fn split(row: &[u8]) -> impl Iterator<Item = &[u8]> {
    row.split(|&byte| byte == b'|').map(<[u8]>::trim_ascii)
}

/// The token counts in the name of a test: `pp1024+tg16`, `pp512`, `tg128`.
fn tokens(name: &[u8]) -> Option<(i64, i64)> {
    let name = std::str::from_utf8(name).ok()?;
    let count = |digits: &str| {
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| digits.parse::<i64>().ok()).flatten()
    };
    match name.split_once('+') {
        Some((pp, tg)) => Some((
            count(pp.strip_prefix("pp")?)?,
            count(tg.strip_prefix("tg")?)?,
        )),
        None => match name.strip_prefix("pp") {
            Some(pp) => Some((count(pp)?, 0)),
            None => Some((0, count(name.strip_prefix("tg")?)?)),
        },
    }
}

fn milliseconds(text: &[u8]) -> Option<f64> {
    if let Some(ms) = text.strip_suffix(b" ms") {
        // 1000.00 ms is rounded up: from 1000 ms on, the unit is seconds.
        let below = |ms: f64| if ms == 1000.0 { 999.999_9 } else { ms };
        return number::parse(ms.trim_ascii()).map(below);
    }
    // Rounded to six decimals, as in other formats: 2.42 s is exactly 2420 ms.
    let seconds = number::parse(text.strip_suffix(b" s")?.trim_ascii())?;
    Some((seconds * 1e9).round() / 1e6)
}

fn watts(text: &[u8]) -> Option<f64> {
    number::parse(text.strip_suffix(b" W")?.trim_ascii())
}

fn known(text: Vec<u8>) -> Option<Text> {
    (text != UNKNOWN.as_bytes()).then(|| text.into())
}

/// Name and memory of an accelerator, `NAME - N GiB`; other clients omit the memory.
fn split_accelerator(title: Vec<u8>) -> (Vec<u8>, Option<f64>) {
    let (name, memory) = if let Some(memory) = title.strip_prefix(b"- ") {
        (&[][..], memory)
    } else if let Some(at) = memchr::memmem::rfind(&title, b" - ") {
        (&title[..at], &title[at + 3..])
    } else {
        return (title, None);
    };
    let gib = memory.strip_suffix(b" GiB").and_then(number::parse);
    if gib.is_none() && memory != UNKNOWN.as_bytes() {
        return (title, None);
    }
    (name.to_vec(), gib)
}

/// Name and quantisation of a model. Both may contain a dash: they are split at the first dash that
/// precedes one of ggml's quantisations, else at the last one.
fn split_model(title: &[u8]) -> (Option<Text>, Option<Text>) {
    let is_quant = |text: &[u8]| {
        let digit_after = |prefix: &[u8]| {
            let rest = text.strip_prefix(prefix);
            rest.and_then(<[u8]>::first).is_some_and(u8::is_ascii_digit)
        };
        let floats: [&[u8]; 4] = [b"all F32", b"F32", b"F16", b"BF16"];
        digit_after(b"Q")
            || digit_after(b"IQ")
            || digit_after(b"TQ")
            || floats.iter().any(|name| text.starts_with(name))
    };
    let split = memchr::memmem::find_iter(title, b" - ")
        .find(|&at| is_quant(&title[at + 3..]))
        .or_else(|| memchr::memmem::rfind(title, b" - "));
    // Next to an empty part, the space of the dash has been trimmed.
    if let Some(name) = title.strip_suffix(b" -") {
        return (known(name.to_vec()), Some("".into()));
    }
    if let Some(quant) = title.strip_prefix(b"- ") {
        return (Some("".into()), known(quant.to_vec()));
    }
    match split {
        Some(at) => (known(title[..at].to_vec()), known(title[at + 3..].to_vec())),
        None => (known(title.to_vec()), None),
    }
}
