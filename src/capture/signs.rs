//! What tells what a line is.

use memchr::memmem::{self, Finder};

use super::LONGEST_LINE;
use super::banner;
use super::prefix::LONGEST;
use super::text::{trim_end, trim_lead, trim_start};
use crate::formats::{console, csv, json};
use crate::submit::Site;

/// Where LocalScore shows a submitted result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The id of the result there.
    pub id: i64,
    /// The whole address.
    pub url: String,
}

/// Whether a line begins a document of any kind.
pub fn begins_something(line: &[u8]) -> bool {
    match line.first() {
        Some(b'{') => true,
        Some(b'+') => console::is_border(line),
        // A banner of LocalScore.
        Some(b'=') => line.starts_with(b"====="),
        _ => csv::is_header(line),
    }
}

/// How much of the line stands before something that only begins a line: a table, a banner, the
/// header of a csv, or a json document, which the lines behind it tell.
pub fn prefix_length(signs: Signs, line: &[u8], behind: &[u8]) -> Option<usize> {
    let line = trim_end(line);
    let find = |sign: &[u8]| memmem::find(line, sign);
    let border = || find(b"+----------").filter(|&at| console::is_border(&line[at..]));
    let title = || find(b"=====").filter(|&at| banner::is_title(&line[at..]));
    let json = || {
        let open = line.ends_with(b"{").then(|| line.len() - 1);
        find(b"{\"").or(open).filter(|_| json::is_ours(behind))
    };
    let beginnings: [(usize, &dyn Fn() -> Option<usize>); 4] = [
        (BORDER, &border),
        (TITLE, &title),
        (HEADER, &|| header_start(line)),
        (BRACE, &json),
    ];
    let begin = beginnings
        .iter()
        .find_map(|(sign, begin)| signs.has(*sign).then(begin).flatten());
    begin.filter(|&at| (1..=LONGEST).contains(&at))
}

/// Where the header of a csv begins: behind a space or a colour, and not between two names.
fn header_start(line: &[u8]) -> Option<usize> {
    const MOST_TRIES: usize = 16;
    if line.len() > LONGEST_LINE {
        return None;
    }
    let mut end = memmem::find(line, b"n_prompt")?.min(LONGEST);
    for _ in 0..MOST_TRIES {
        let before = csv::last_separator(&line[..end])?;
        let start = line.len() - trim_lead(&line[before + 1..]).len();
        if csv::is_header(&line[start..]) {
            return Some(start);
        }
        // All of the spaces before it lead to the same place.
        end = line[..before].trim_ascii_end().len();
    }
    None
}

/// Whether the line looks like a part of a result that could not be read.
pub fn is_suspicious(line: &[u8]) -> bool {
    let has = |words: &[u8]| memmem::find(line, words).is_some();
    (has(b"n_prompt") && has(b"n_gen") && has(b"_tps")) || console_row(line)
}

/// Whether the line has cells as those of a table of the console.
fn console_row(line: &[u8]) -> bool {
    let has = |words: &[u8]| memmem::find(line, words).is_some();
    has(b"| run number |") && has(b"| pp t/s ")
}

/// What is said of something that is cut off.
pub fn cut_off(what: &str, tests: usize) -> String {
    match tests {
        0 => format!("the {what} is cut off before its first test is whole"),
        1 => format!("the {what} is cut off after 1 whole test; --partial stores it"),
        n => format!("the {what} is cut off after {n} whole tests; --partial stores them"),
    }
}

/// The link to a submitted result: an address on a site as LocalScore prints it.
pub fn link(line: &[u8]) -> Option<Link> {
    let url = line.strip_prefix(b"Result Link: ")?.trim_ascii();
    let url = std::str::from_utf8(url).ok()?;
    let id = url.rsplit('/').next()?.parse().ok().filter(|&id| id >= 0)?;
    Site::of_link(url, id)?;
    Some(Link {
        id,
        url: url.to_owned(),
    })
}

const LLAMA_BENCH: &str = "this is llama-bench output, not LocalScore's";
const NVIDIA_SMI: &str = "this is nvidia-smi output, not LocalScore's";
const JUPYTER: &str = "this is a Jupyter notebook, whose outputs lie in strings; add what \
     jq -r '.cells[].outputs[]?.text[]?' prints of it";

/// The name of another program whose output the line belongs to.
pub fn foreign(line: &[u8]) -> Option<&'static str> {
    let has = |words: &[u8]| memmem::find(line, words).is_some();
    if has(b"NVIDIA-SMI") || has(b"utilization.gpu") || has(b"memory.used [") {
        return Some(NVIDIA_SMI);
    }
    let sql = line.starts_with(b"INSERT INTO") && has(b"avg_ts");
    let csv = has(b"n_prompt,n_gen,") && has(b",avg_ts,");
    (is_llama_bench_table(line) || sql || csv || has(b"\"avg_ts\":")).then_some(LLAMA_BENCH)
}

/// Whether the line is the header of llama-bench's table: its first column and its last one.
fn is_llama_bench_table(line: &[u8]) -> bool {
    let cells = line.trim_ascii().strip_prefix(b"|");
    let cells = cells.and_then(|cells| cells.strip_suffix(b"|"));
    cells.is_some_and(|cells| {
        let mut cells = cells.split(|&byte| byte == b'|').map(<[u8]>::trim_ascii);
        cells.next() == Some(b"model") && cells.next_back() == Some(b"t/s")
    })
}

/// The same for a json document.
pub fn foreign_json(text: &[u8]) -> Option<&'static str> {
    let has = |key: &[u8]| memmem::find(text, key).is_some();
    if has(b"\"nbformat\"") {
        return Some(JUPYTER);
    }
    (has(b"\"avg_ts\"") || has(b"\"n_batch\"") || has(b"\"backends\"") || has(b"\"cpu_info\""))
        .then_some(LLAMA_BENCH)
}

/// Finds the next line that is worth a look: in a large log there are nearly none.
///
/// For each sign it is kept where it comes next, or up to where it does not, so that the text is
/// searched once for each.
pub struct Search {
    signs: Vec<Sign>,
}

struct Sign {
    finder: Finder<'static>,
    /// Where it was found, in bytes from the beginning of the text.
    found: Option<u64>,
    /// Up to where it was looked for.
    searched: u64,
}

/// What a line that begins something has in it. The link follows a run, all else precedes it.
const SIGNS: [&[u8]; 5] = [
    b"{",
    b"n_prompt",
    b"+----------------",
    b"=====",
    b"Result Link: ",
];

/// The places of the signs in [`SIGNS`].
pub const BRACE: usize = 0;
pub const HEADER: usize = 1;
pub const BORDER: usize = 2;
pub const TITLE: usize = 3;
pub const LINK: usize = 4;

/// What tells another program, or a result that cannot be read: looked for until a run is found.
const WARNINGS: [&[u8]; 6] = [
    b"avg_ts",
    b"NVIDIA-SMI",
    b"utilization.gpu",
    b"memory.used [",
    b"| model ",
    b"| pp t/s ",
];

/// Which signs are in a line, a bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signs(u16);

impl Signs {
    /// Whether this one is.
    pub fn has(self, sign: usize) -> bool {
        self.0 & (1 << sign) != 0
    }

    /// Whether one is that a table or a banner begins with.
    pub fn has_beginning(self) -> bool {
        self.has(HEADER) || self.has(BORDER) || self.has(TITLE)
    }

    /// Whether one is that tells what else the text may be.
    pub fn has_warning(self) -> bool {
        self.0 >> SIGNS.len() != 0 || self.has(HEADER)
    }
}

impl Search {
    /// A search that also looks for what a text without runs may be.
    pub fn new() -> Self {
        let signs = SIGNS.iter().chain(&WARNINGS).map(|sign| Sign {
            finder: Finder::new(sign),
            found: None,
            searched: 0,
        });
        Self {
            signs: signs.collect(),
        }
    }

    /// The signs in this line alone.
    pub fn of_line(&self, line: &[u8]) -> Signs {
        let signs = self.signs.iter().enumerate();
        Signs(signs.fold(0, |bits, (bit, sign)| {
            bits | u16::from(sign.finder.find(line).is_some()) << bit
        }))
    }

    /// There is a run: what else the text may be is of no interest any more.
    pub fn found_run(&mut self) {
        self.signs.truncate(SIGNS.len());
    }

    /// Where the first sign is in this text, which begins at `begin` and ends with a line.
    pub fn next(&mut self, text: &[u8], begin: u64) -> Option<usize> {
        let end = begin + text.len() as u64;
        let mut first = end;
        for sign in &mut self.signs {
            if sign.found.is_some_and(|at| at < begin) {
                (sign.found, sign.searched) = (None, begin);
            }
            if sign.found.is_none() && sign.searched < end {
                let from = usize::try_from(sign.searched.saturating_sub(begin)).unwrap_or(0);
                let found = sign.finder.find(&text[from..]);
                sign.found = found.map(|step| begin + (from + step) as u64);
                sign.searched = end;
            }
            first = first.min(sign.found.unwrap_or(end));
        }
        let first = usize::try_from(first - begin).unwrap_or(text.len());
        (first < text.len()).then_some(first)
    }

    /// The signs in the line that [`Self::next`] has found, which ends at `end`.
    pub fn in_line(&self, end: u64) -> Signs {
        let is_in_it = |sign: &Sign| sign.found.is_some_and(|at| at < end);
        let bits = self.signs.iter().enumerate();
        Signs(bits.fold(0, |bits, (bit, sign)| {
            bits | u16::from(is_in_it(sign)) << bit
        }))
    }
}

/// Whether there is nothing in the text but what may stand between two documents.
pub fn is_junk(text: &[u8]) -> bool {
    trim_start(text).trim_ascii().is_empty()
}
