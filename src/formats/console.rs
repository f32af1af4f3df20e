//! The table that LocalScore shows while it measures (`-o console`, once called `md`).

use std::io::{self, Write};

use super::number::write_fixed;
use crate::model::{Run, Test, Text};

/// The columns: name, and width, negative for a column that is aligned left.
const COLUMNS: [(&str, i8); 7] = [
    ("test", 13),
    ("run number", -10),
    ("avg time", -10),
    ("tokens processed", -16),
    ("pp t/s", -10),
    ("tg t/s", -10),
    ("ttft", -10),
];

/// What lies between the outer bars.
const INNER_WIDTH: usize = 99;

/// A title is printed into a buffer of this many bytes and a zero.
const TITLE_BYTES: usize = 255;

/// What stands for a value that the run does not know.
const UNKNOWN: &str = "?";

/// Writes the table of a run, as the C tool's `console_printer` leaves it when all is done.
pub fn write(out: &mut dyn Write, run: &Run) -> io::Result<()> {
    let border = format!("+{}+\n", "-".repeat(INNER_WIDTH));
    out.write_all(border.as_bytes())?;
    let accelerator = &run.environment.accelerator;
    let memory = match accelerator.memory_gb {
        Some(gb) => format!("{} GiB", fixed(gb, 1)),
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

/// Writes one of the two centred lines, `NAME - DETAIL`, cut and padded as by C: the text is cut
/// at 255 bytes while its whole length counts, and a negative padding pads all the same.
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
    write!(out, "|{:left$}", "")?;
    out.write_all(&shown.printed())?;
    writeln!(out, "{:right$}|", "")
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
        write!(out, " {:left$}", "")?;
        out.write_all(&cell.printed())?;
        write!(out, "{:right$} |", "")?;
    }
    out.write_all(b"\n")
}

fn cells(test: &Test) -> [Text; 7] {
    let (run_number, tokens) = match test.repetitions() {
        Some(n) => {
            let total = i128::from(test.n_prompt) + i128::from(test.n_gen);
            let total = total * i128::from(n);
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
    tps.map_or_else(|| UNKNOWN.to_owned(), |tps| fixed(tps, 2))
}

/// A time, rounded to a 32-bit float before it is printed, as the C tool does.
fn time(ms: Option<f64>) -> String {
    let Some(ms) = ms else {
        return UNKNOWN.to_owned();
    };
    #[allow(clippy::cast_possible_truncation, reason = "as the C tool does")]
    let ms = ms as f32;
    if ms < 1000.0 {
        format!("{} ms", fixed(ms.into(), 2))
    } else {
        format!("{} s", fixed(f64::from(ms) / 1e3, 2))
    }
}

fn fixed(value: f64, decimals: usize) -> String {
    let mut text = Vec::new();
    // Writing to memory cannot fail.
    let _ = write_fixed(&mut text, value, decimals);
    String::from_utf8_lossy(&text).into_owned()
}
