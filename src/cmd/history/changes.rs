//! The changes of a trend in words.

use unicode_width::UnicodeWidthStr;

use super::chart::{sign, style};
use super::{Trend, verdict};
use crate::model::Difference;
use crate::stats::ChangePoint;
use base::time::date;
use base::{Column, Markup, Screen, Table, number, printable};

/// A change of level, and what else changed there.
pub(crate) struct TrendChange {
    /// Where, and by how much.
    pub(crate) point: ChangePoint,
    /// How the first run at the new level differs from the last whole one before it.
    pub(crate) differences: Vec<Difference>,
}

/// What makes another one redundant: who has the first does not need the second.
const TOLD_BY: [(&str, &str); 5] = [
    ("kernel", "system version"),
    ("version", "runtime commit"),
    ("version", "build commit"),
    ("version", "build"),
    ("runtime commit", "build commit"),
];

impl TrendChange {
    /// `version 0.9.2 → 0.9.3`, `kernel 6.8.0-51 → 6.11.0-29`; empty if nothing else is known to have
    /// changed. The number of repetitions counts only if nothing else changed.
    pub(crate) fn causes(&self) -> Vec<String> {
        let all = || self.differences.iter();
        let is_told = |difference: &Difference| {
            let told_by = |(by, told): &(&str, &str)| {
                *told == difference.name && all().any(|other| other.name == *by)
            };
            TOLD_BY.iter().any(told_by)
        };
        let others = all().filter(|one| one.name != "repetitions" && !is_told(one));
        let others: Vec<String> = others.map(cause).collect();
        if others.is_empty() {
            all().map(cause).collect()
        } else {
            others
        }
    }
}

fn cause(difference: &Difference) -> String {
    let name = difference.name;
    let known = |value: &Option<String>| value.clone().unwrap_or_else(|| "?".to_owned());
    let mut values: Vec<String> = difference.values.iter().map(known).collect();
    if name == "kernel" {
        // `-generic` says nothing if both have it.
        let end = values
            .first()
            .and_then(|first| first.rfind('-').map(|at| first[at..].to_owned()));
        let is_flavour = |end: &String| end.chars().skip(1).all(char::is_alphabetic);
        if let Some(end) = end.filter(is_flavour)
            && values.iter().all(|value| value.ends_with(&end))
        {
            for value in &mut values {
                value.truncate(value.len() - end.len());
            }
        }
    }
    format!("{name} {}", values.join(" → "))
}

/// The causes stand behind the change if there is so much room for them.
const ROOM: usize = 24;

/// A line a change, the oldest first; more where its causes need them.
pub(super) fn in_words(trend: &Trend, markup: Markup) -> String {
    let causes = trend.changes.iter().map(|change| {
        let mut causes = change.causes();
        if causes.is_empty() {
            causes.push("nothing else is known to have changed".to_owned());
        }
        causes
    });
    match markup {
        Markup::Text(screen) => {
            let lines = lines(trend, screen);
            let wide = lines.iter().map(|line| line.width()).max().unwrap_or(0) + 2;
            let room = screen.width.map(|width| width.saturating_sub(wide));
            let changes = trend.changes.iter().zip(lines).zip(causes);
            let text = changes.map(|((change, line), causes)| {
                let painted = painted(&line, trend.is_better(change), screen);
                let spaces = " ".repeat(wide - line.width());
                match room {
                    None => format!("{painted}{spaces}{}\n", folded(&causes, usize::MAX, 0)),
                    Some(room) if room >= ROOM => {
                        format!("{painted}{spaces}{}\n", folded(&causes, room, wide))
                    }
                    Some(_) => {
                        let room = screen.width.unwrap_or(usize::MAX) - 2;
                        format!("{painted}\n  {}\n", folded(&causes, room, 2))
                    }
                }
            });
            text.collect()
        }
        Markup::Markdown => {
            let changes = trend.changes.iter().zip(causes);
            let item = |(change, causes): (&TrendChange, Vec<String>)| {
                let (is_better, words) = (trend.is_better(change), trend.in_words(change));
                let causes = causes.join(", ");
                markup.item(&format!("{} {words}: {causes}", sign(is_better)))
            };
            changes.map(item).collect()
        }
    }
}

/// The causes on lines of this width, all but the first indented: as long as they fit, none is broken.
fn folded(causes: &[String], width: usize, indent: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for (index, cause) in causes.iter().enumerate() {
        let comma = if index + 1 < causes.len() { "," } else { "" };
        let cause = format!("{}{comma}", printable(cause));
        match lines.last_mut() {
            Some(line) if line.width() + 1 + cause.width() <= width => {
                line.extend([" ", &cause]);
            }
            _ => lines.push(cause),
        }
    }
    let lines = lines.iter().map(|line| base::fold(line, width));
    let text = lines.collect::<Vec<_>>().join("\n");
    text.replace('\n', &format!("\n{}", " ".repeat(indent)))
}

/// Run, date, levels, change and verdict.
pub(super) fn cells(trend: &Trend, change: &TrendChange) -> [String; 5] {
    let (point, is_better) = (&change.point, trend.is_better(change));
    let run = &trend.runs[point.index];
    let [before, after] = [point.before, point.after].map(|level| trend.metric.value(level));
    [
        format!("run {}", run.id),
        date(run.measured_at),
        format!("{before} → {after}"),
        number::percent(point.change_percent),
        verdict(is_better).to_owned(),
    ]
}

/// The changes without their causes, under one another.
fn lines(trend: &Trend, screen: Screen) -> Vec<String> {
    let mut table = Table::new(&[
        ("run", Column::Whole),
        ("on", Column::Whole),
        ("levels", Column::Whole),
        ("by", Column::Number),
        ("is", Column::Whole),
    ]);
    for change in &trend.changes {
        let mut cells = cells(trend, change);
        cells[0] = format!("{} {}", sign(trend.is_better(change)), cells[0]);
        table.row(&cells);
    }
    table.leave_out(screen, &["on", "levels", "by"]);
    let plain = Screen {
        color: false,
        ..screen
    };
    let lines = table.render(plain);
    lines.lines().skip(1).map(str::to_owned).collect()
}

/// The line with the colour of its sign and its verdict.
fn painted(line: &str, is_better: bool, screen: Screen) -> String {
    let paint = |word| screen.paint(style(is_better), word);
    let (sign, verdict) = (sign(is_better), verdict(is_better));
    let line = line.strip_prefix(sign).unwrap_or(line);
    let line = line.strip_suffix(verdict).unwrap_or(line);
    [paint(sign).as_str(), line, &paint(verdict)].concat()
}
