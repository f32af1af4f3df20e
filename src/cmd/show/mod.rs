mod bench;

use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use super::list::{self, ABOUT};
use super::{Context, resolve, words};
use crate::formats::{console, jsonl};
use crate::model::{
    Environment, Field, HeaderField, Run, SubmissionState, Test, Text, Tool, Value,
};
use crate::store::{Listed, Store, runs, select};
use base::number::two_decimals;
use base::rows;
use base::time::utc;
use base::{Column, Result, Screen, Table, fold, printable};

/// Show a run: its score, its machine and its tests
///
/// On a terminal of at least 101 columns, and in a pipe, the tests are the table of LocalScore; on a
/// narrower one they are a smaller table. 'localstore score' prints the large digits.
///
/// Of a run of llama-bench, each test stands beside the settings in which its tests differ; those that
/// all have in common stand above.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  localstore show last~1
  localstore show 12 --details
  localstore show 12 -o json")]
pub(crate) struct Args {
    /// An id, 'last', 'last~N', 'best' or a tag
    #[arg(default_value = "last")]
    run: String,
    /// Print every stored field, a line each, with the names that the tool gives it
    #[arg(long)]
    details: bool,
    /// The output format
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
    /// No effect: there are no large digits any more.
    #[arg(long, hide = true)]
    plaintext: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people
    Text,
    /// An object with every stored field
    Json,
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Result<()> {
    let store = Store::open_readonly(&context.location)?;
    let id = resolve(&store, &args.run)?;
    let listed = store.read(|db| select::listed(db, id))?;
    if listed.tool == Tool::LlamaBench {
        return match args.output {
            Output::Json => bench::json(&store, &listed, context),
            Output::Text => bench::print(&store, &listed, args.details, context),
        };
    }
    let run = store.read(|db| runs::read(db, id))?;
    let out = &mut context.out;
    let screen = out.screen();
    if args.output == Output::Json {
        let (row, measurements) = (list::row(&listed), jsonl::Measurements(&run));
        return rows::json(&Document { row, measurements }, out);
    }
    let mut text = screen.fold(&first_line(&run, &listed)) + "\n";
    if args.details {
        text += "\n";
        text += &pairs(&details(&run, &listed), screen);
        out.styled(text.as_bytes())?;
    } else {
        text += &screen.fold(&printable(&second_line(&run)));
        text += "\n\n";
        text += &pairs(&facts(&run, &listed), screen);
        text += "\n";
        out.styled(text.as_bytes())?;
        match screen.width {
            Some(width) if width < TABLE_OF_LOCALSCORE => {
                let mut table = tests(&run.tests, width);
                table.leave_out(screen, &["watts"]);
                out.styled(table.render(screen).as_bytes())?;
            }
            _ => console::write(out, &run)?,
        }
    }
    if listed.source.is_rounded() || listed.measured_guessed {
        context.note(ABOUT);
    }
    Ok(())
}

/// The width of the table of LocalScore.
const TABLE_OF_LOCALSCORE: usize = 101;

/// Everything about a run.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    row: list::Row,
    #[serde(flatten)]
    measurements: jsonl::Measurements<'a>,
}

/// The score and the averages; of a partial run, that they do not count.
fn first_line(run: &Run, listed: &Listed) -> String {
    let id = listed.id;
    let summary = run.summary();
    let score = summary.listed_score();
    let about = if listed.source.is_rounded() { "~" } else { "" };
    if run.is_partial() {
        let (present, all) = (run.present_tests(), run.suite().expected().len());
        return format!(
            "run {id}: partial, {present} of {all} tests; score {about}{score} not comparable"
        );
    }
    let [pp, tg, ttft] = [
        summary.avg_prompt_tps,
        summary.avg_gen_tps,
        summary.avg_ttft_ms,
    ]
    .map(two_decimals);
    format!("run {id}: score {about}{score}, pp {pp} t/s, tg {tg} t/s, ttft {ttft} ms")
}

/// The model and the accelerator.
fn second_line(run: &Run) -> String {
    let model = run.model();
    let name = model.and_then(|model| model.model_name.clone());
    let quant = model.and_then(|model| model.model_quant_str.clone());
    let accelerator = &run.environment.accelerator;
    let memory = accelerator.memory_gb.map(|gib| format!(" ({gib:.1} GiB)"));
    let parts = [
        Some(words::known(&name, "model")),
        quant.map(|quant| quant.to_string()),
        Some(words::known(&accelerator.name, "accelerator") + &memory.unwrap_or_default()),
    ];
    joined(parts, ", ")
}

/// A name and the lines of its value.
type Pair = (String, Vec<String>);

/// What is known about the run.
fn facts(run: &Run, listed: &Listed) -> Vec<Pair> {
    let source = listed.source.name();
    let rounded = if listed.source.is_rounded() {
        ", rounded values"
    } else {
        ""
    };
    let facts = [
        ("measured", vec![measured(listed)]),
        ("machine", machine(&run.environment)),
        ("runtime", vec![runtime(run)]),
        ("tags", vec![or(listed.tags.join(", "), "none")]),
        ("submitted", vec![submitted(listed)]),
        ("source", vec![format!("{source}{rounded}")]),
    ];
    let facts = facts.into_iter();
    facts
        .map(|(name, lines)| (name.to_owned(), lines))
        .collect()
}

fn measured(listed: &Listed) -> String {
    let time = utc(listed.measured_at).unwrap_or_default();
    let time = time.replace('T', " ").replace('Z', " UTC");
    let time = if listed.measured_guessed {
        format!("~{time}")
    } else {
        time
    };
    let added = listed.added_at.as_deref().and_then(|at| at.get(..16));
    joined(
        [Some(time), added.map(|added| format!("added {added}"))],
        ", ",
    )
}

/// The computer, and on a line of its own its kernel.
fn machine(environment: &Environment) -> Vec<String> {
    let system = &environment.system;
    let text =
        |text: &Option<Text>| Some(text.as_ref()?.to_string()).filter(|text| !text.is_empty());
    let memory = system.ram_gb.map(|gib| format!("{gib:.1} GiB"));
    let computer = joined(
        [text(&system.cpu_name), memory, text(&system.cpu_arch)],
        ", ",
    );
    let kernel = joined(
        [text(&system.kernel_type), text(&system.kernel_release)],
        " ",
    );
    let mut lines = vec![or(computer, "unknown")];
    lines.extend(Some(kernel).filter(|kernel| !kernel.is_empty()));
    lines
}

fn runtime(run: &Run) -> String {
    let runtime = &run.environment.runtime;
    let text = |text: &Option<Text>| Some(text.as_ref()?.to_string());
    let commit = text(&runtime.commit).map(|commit| format!("({commit})"));
    let name = joined([text(&runtime.name), text(&runtime.version), commit], " ");
    let counts: Vec<usize> = run.tests.iter().filter_map(Test::repetitions).collect();
    joined([Some(or(name, "unknown")), repetitions(&counts)], ", ")
}

/// `4 repetitions`, where the tests have as many; `None` where no number is known.
fn repetitions(counts: &[usize]) -> Option<String> {
    let (least, most) = (counts.iter().min()?, counts.iter().max()?);
    Some(match (least, most) {
        (1, 1) => "1 repetition".to_owned(),
        _ if least == most => format!("{most} repetitions"),
        _ => format!("{least}…{most} repetitions"),
    })
}

fn submitted(listed: &Listed) -> String {
    let Some(submission) = &listed.submission else {
        return "no".to_owned();
    };
    let at = &submission.changed_at;
    let day = at.get(..10).unwrap_or(at);
    let reason = submission.reason.as_ref();
    let why = reason.map_or_else(String::new, |reason| format!(": {reason}"));
    let site = submission.site.as_ref();
    let site = site.map_or_else(String::new, |site| format!(", {site}"));
    match submission.state {
        SubmissionState::Submitted => {
            let link = submission
                .link
                .as_deref()
                .unwrap_or("(its link is not known)");
            format!("{day} {link}")
        }
        SubmissionState::Pending => format!("queued since {day}{site}{why}"),
        SubmissionState::Failed => format!("no, {day}{site}{why}"),
        SubmissionState::Unknown => format!("unknown since {day}{site}{why}"),
    }
}

/// The parts that are there.
fn joined<const N: usize>(parts: [Option<String>; N], between: &str) -> String {
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    parts.join(between)
}

/// The text, or this if it is empty.
fn or(text: String, other: &str) -> String {
    if text.is_empty() {
        other.to_owned()
    } else {
        text
    }
}

/// Every stored field. What all tests have in common stands there once.
fn details(run: &Run, listed: &Listed) -> Vec<Pair> {
    let pair = |name: String, value: String| (name, vec![value]);
    let row = list::row(listed);
    let mut details: Vec<Pair> = rows::fields(&row)
        .map(|(name, value)| pair(name.to_owned(), value))
        .collect();
    for (object, fields) in HeaderField::OBJECTS {
        for field in fields {
            let value = field_text(field.get(&run.environment));
            details.push(pair(format!("{object}.{}", field.name()), value));
        }
    }
    let (shared, own): (Vec<Field>, Vec<Field>) = Field::ALL.iter().partition(|field| {
        let mut values = run.tests.iter().map(|test| field_text(field.get(test)));
        let first = values.next();
        values.all(|value| Some(value) == first)
    });
    if let Some(test) = run.tests.first() {
        details.extend(
            shared
                .iter()
                .map(|field| pair(field.name().to_owned(), field_text(field.get(test)))),
        );
    }
    for test in &run.tests {
        for field in &own {
            let value = field_text(field.get(test));
            details.push(pair(format!("{}.{}", test.name, field.name()), value));
        }
        if let Some(samples) = &test.samples_ns {
            let samples: Vec<String> = samples.iter().map(u64::to_string).collect();
            details.push(pair(format!("{}.samples_ns", test.name), samples.join(" ")));
        }
    }
    details
}

fn field_text(value: Value<'_>) -> String {
    match value {
        Value::Missing => String::new(),
        Value::Text(text) => text.to_string(),
        Value::Integer(value) => value.to_string(),
        Value::Unsigned(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
    }
}

/// Names and values in two columns. A line that the screen has no room for is folded; what has no
/// room beside its name stands below, and a long word as far to the right as it can.
fn pairs(pairs: &[Pair], screen: Screen) -> String {
    let width = screen.width.unwrap_or(usize::MAX);
    let names = pairs.iter().map(|(name, _)| printable(name).width());
    let indent = (names.max().unwrap_or(0) + 3).min(width / 2);
    let mut text = String::new();
    for (name, lines) in pairs {
        let name = printable(name);
        let lines = lines
            .iter()
            .map(|line| fold(&printable(line), width - indent));
        let lines = lines.collect::<Vec<_>>().join("\n");
        text += &name;
        let mut column = name.width() + 2;
        for line in lines.lines() {
            let from = indent.min(width.saturating_sub(line.width()));
            if column > from {
                text.push('\n');
                column = 2;
            }
            text.extend([&" ".repeat(from + 2 - column), line]);
            column = width;
        }
        text.push('\n');
    }
    text
}

/// The width from which on the whole time of a test is shown, and that from which on deviations are.
const TOTAL: usize = 70;
const DEVIATIONS: usize = 50;

/// The tests in less room than the table of LocalScore takes.
fn tests(tests: &[Test], width: usize) -> Table {
    let mut table = Table::new(&[("test", Column::Text)]);
    for test in tests {
        table.row(&[test.name.to_string()]);
    }
    let number = |value: Option<f64>| value.map_or_else(|| "?".to_owned(), two_decimals);
    if width >= TOTAL {
        let seconds = |test: &Test| number(test.avg_time_ms.map(|ms| ms / 1e3));
        table.column("total s", Column::Number, tests.iter().map(seconds));
    }
    let speeds: [(&str, Measured, Measured); 2] = [
        (
            "pp t/s",
            |test| test.prompt_tps,
            |test| test.prompt_tps_stddev,
        ),
        ("tg t/s", |test| test.gen_tps, |test| test.gen_tps_stddev),
    ];
    for (head, speed, deviation) in speeds {
        let speeds = tests.iter().map(|test| number(speed(test)));
        let is_repeated = |test: &&Test| width >= DEVIATIONS && test.repetitions() != Some(1);
        let percent =
            |test| Some(100.0 * deviation(test)? / speed(test)?).filter(|p| p.is_finite());
        let percents = tests
            .iter()
            .map(|test| Some(test).filter(is_repeated).and_then(percent));
        let percents: Vec<Option<f64>> = percents.collect();
        if percents.iter().all(Option::is_none) {
            table.column(head, Column::Number, speeds);
            continue;
        }
        let speeds: Vec<String> = speeds.collect();
        let widest = speeds.iter().map(String::len).max().unwrap_or(0);
        let cells = speeds.iter().zip(percents).map(|(speed, percent)| {
            let deviation = percent.map(|percent| format!(" ± {percent:.1}%"));
            format!("{speed:>widest$}{}", deviation.unwrap_or_default())
        });
        table.column(head, Column::Whole, cells);
    }
    table.column(
        "ttft ms",
        Column::Number,
        tests.iter().map(|test| number(test.ttft_ms)),
    );
    let watts = |test: &Test| test.power_watts.filter(|&watts| watts != 0.0);
    if tests.iter().any(|test| watts(test).is_some()) {
        let cells = tests
            .iter()
            .map(|test| watts(test).map(two_decimals).unwrap_or_default());
        table.column("watts", Column::Number, cells);
    }
    table
}

/// A measured value of a test.
type Measured = fn(&Test) -> Option<f64>;

/// The note that the score of a partial run is not comparable.
pub(crate) fn partial_remark(id: i64, run: &Run) -> Option<String> {
    run.is_partial().then(|| {
        format!(
            "run {id} is partial with {} of the {} tests: its score is not comparable",
            run.present_tests(),
            run.suite().expected().len()
        )
    })
}
