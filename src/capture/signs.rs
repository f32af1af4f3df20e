//! Signs: short texts that show what a line may be.

use memchr::memmem::{self, Finder};

use super::reader::{CaptureReader, READERS};
use super::text::trim_start;
use crate::model::{LocalScore, Suite};

/// Whether the line looks like a part of a result that cannot be read: the header of a csv or of a
/// console table.
pub(super) fn is_suspicious(line: &[u8]) -> bool {
    let has = |words: &[u8]| memmem::find(line, words).is_some();
    (has(b"n_prompt") && has(b"n_gen") && has(b"_tps"))
        || (has(b"| run number |") && has(b"| pp t/s "))
}

/// The error for a document that is cut off.
pub(super) fn cut_off(tests: usize) -> String {
    let expected = LocalScore.expected().len();
    if tests < expected {
        format!("cut off after {tests} of {expected} tests")
    } else {
        format!("cut off after {tests} tests")
    }
}

const LLAMA_BENCH: &str = "this is llama-bench output, not LocalScore's";
const NVIDIA_SMI: &str = "this is nvidia-smi output, not LocalScore's";
const JUPYTER: &str = "this is a Jupyter notebook, which keeps outputs in strings; add the output \
     of jq -r '.cells[].outputs[]?.text[]?'";

/// The error for a line of another program's output.
pub(super) fn foreign(line: &[u8]) -> Option<&'static str> {
    let has = |words: &[u8]| memmem::find(line, words).is_some();
    if has(b"NVIDIA-SMI") || has(b"utilization.gpu") || has(b"memory.used [") {
        return Some(NVIDIA_SMI);
    }
    let sql = line.starts_with(b"INSERT INTO") && has(b"avg_ts");
    let csv = has(b"n_prompt,n_gen,") && has(b",avg_ts,");
    (is_llama_bench_table(line) || sql || csv || has(b"\"avg_ts\":")).then_some(LLAMA_BENCH)
}

/// Whether the line is the header of llama-bench's table, by its first and last column.
fn is_llama_bench_table(line: &[u8]) -> bool {
    let cells = line.trim_ascii().strip_prefix(b"|");
    let cells = cells.and_then(|cells| cells.strip_suffix(b"|"));
    cells.is_some_and(|cells| {
        let mut cells = cells.split(|&byte| byte == b'|').map(<[u8]>::trim_ascii);
        cells.next() == Some(b"model") && cells.next_back() == Some(b"t/s")
    })
}

/// The error for another program's json document.
pub(super) fn foreign_json(text: &[u8]) -> Option<&'static str> {
    let has = |key: &[u8]| memmem::find(text, key).is_some();
    if has(b"\"nbformat\"") {
        return Some(JUPYTER);
    }
    (has(b"\"avg_ts\"") || has(b"\"n_batch\"") || has(b"\"backends\"") || has(b"\"cpu_info\""))
        .then_some(LLAMA_BENCH)
}

/// Finds the next line with a sign; in a large log there are few.
///
/// For each sign, its next place is kept, or the end of the text that was searched for it, so that
/// the text is searched only once per sign.
pub(super) struct Search {
    signs: Vec<Sign>,
}

struct Sign {
    finder: Finder<'static>,
    /// Its next place, in bytes from the beginning of the text.
    found: Option<u64>,
    /// The end of the text that was searched for it.
    searched: u64,
}

/// Signs of another program, or of a result that cannot be read. They are searched for until a run
/// is found.
const WARNINGS: [&[u8]; 6] = [
    b"avg_ts",
    b"NVIDIA-SMI",
    b"utilization.gpu",
    b"memory.used [",
    b"| model ",
    b"| pp t/s ",
];

/// The signs in a line, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Signs(u32);

impl Signs {
    /// The readers whose signs these are.
    pub(super) fn readers(self) -> impl DoubleEndedIterator<Item = &'static dyn CaptureReader> {
        let readers = READERS.iter().enumerate();
        readers
            .filter(move |(bit, _)| self.0 & (1 << bit) != 0)
            .map(|(_, reader)| *reader)
    }

    /// Whether one of [`WARNINGS`] is among them.
    pub(super) fn has_warning(self) -> bool {
        self.0 >> READERS.len() != 0
    }
}

impl Search {
    /// A search for the signs of all readers and for the warnings.
    pub(super) fn new() -> Self {
        let signs = READERS.iter().map(|reader| reader.sign());
        let signs = signs.chain(WARNINGS).map(|sign| Sign {
            finder: Finder::new(sign),
            found: None,
            searched: 0,
        });
        Self {
            signs: signs.collect(),
        }
    }

    /// The signs in this line.
    pub(super) fn signs_in(&self, line: &[u8]) -> Signs {
        self.matching(|sign| sign.finder.find(line).is_some())
    }

    fn matching(&self, is_match: impl Fn(&Sign) -> bool) -> Signs {
        let signs = self.signs.iter().enumerate();
        let bits = signs.map(|(bit, sign)| u32::from(is_match(sign)) << bit);
        Signs(bits.sum())
    }

    /// Ends the search for warnings, since there is a run.
    pub(super) fn found_run(&mut self) {
        self.signs.truncate(READERS.len());
    }

    /// The place of the first sign in this text, which begins at `begin` and ends with a line.
    pub(super) fn next(&mut self, text: &[u8], begin: u64) -> Option<usize> {
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
    pub(super) fn in_line(&self, end: u64) -> Signs {
        self.matching(|sign| sign.found.is_some_and(|at| at < end))
    }
}

/// Whether the text contains only what may separate two documents.
pub(super) fn is_junk(text: &[u8]) -> bool {
    trim_start(text).trim_ascii().is_empty()
}
