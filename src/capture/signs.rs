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

/// The error for a Jupyter notebook.
const JUPYTER: &str = "this is a Jupyter notebook, which keeps outputs in strings; add the output \
     of jq -r '.cells[].outputs[]?.text[]?'";

/// The other program whose output has this line.
pub(super) fn other_program(line: &[u8]) -> Option<&'static str> {
    let has = |words: &[u8]| memmem::find(line, words).is_some();
    if has(b"NVIDIA-SMI") || has(b"utilization.gpu") || has(b"memory.used [") {
        return Some("nvidia-smi");
    }
    // Both tools print the same names, and one of them those of its batches besides.
    if has(b"S_PP t/s |") {
        let batches = line
            .split(|&byte| byte == b'|')
            .any(|cell| cell.trim_ascii() == b"B");
        return Some(if batches { BATCHED } else { SWEEP });
    }
    if has(b"\"speed_pp\"") {
        return Some(if has(b"\"pl\"") { BATCHED } else { SWEEP });
    }
    let sql = has(b"test_backend_ops (");
    let csv = has(b"op_name") && has(b"op_params") && has(b"backend_name");
    let console = has(b" runs - ") && has(b" us/run - ");
    (sql || csv || console || is_backend(line)).then_some("test-backend-ops")
}

const BATCHED: &str = "llama-batched-bench";
const SWEEP: &str = "llama-sweep-bench";

/// Whether the line is one that test-backend-ops prints before its tests: `Backend 1/2: CUDA0`.
fn is_backend(line: &[u8]) -> bool {
    let Some(numbers) = line.strip_prefix(b"Backend ") else {
        return false;
    };
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let first = digits(numbers);
    let Some(rest) = numbers[first..].strip_prefix(b"/") else {
        return false;
    };
    let second = digits(rest);
    first > 0 && second > 0 && matches!(rest.get(second), Some(b':' | b' '))
}

/// The error for another program's json document.
pub(super) fn foreign_json(text: &[u8]) -> Option<&'static str> {
    memmem::find(text, b"\"nbformat\"").map(|_| JUPYTER)
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

/// Signs of other benchmarks of llama.cpp.
const OTHER_BENCHMARKS: [&[u8]; 5] = [
    b"S_PP t/s |",
    b"\"speed_pp\"",
    b"op_name",
    b" us/run - ",
    b"Backend 1/",
];

/// Signs of another program, or of a result that cannot be read. They are searched for until a run
/// is found.
const WARNINGS: [&[u8]; 4] = [
    b"NVIDIA-SMI",
    b"utilization.gpu",
    b"memory.used [",
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

    /// Whether a sign of another program is among them.
    pub(super) fn has_warning(self) -> bool {
        self.0 >> READERS.len() != 0
    }
}

impl Search {
    /// A search for the signs of all readers and for those of other programs.
    pub(super) fn new() -> Self {
        let signs = READERS.iter().map(|reader| reader.sign());
        let signs = signs.chain(OTHER_BENCHMARKS).chain(WARNINGS);
        let signs = signs.map(|sign| Sign {
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
        self.signs.truncate(READERS.len() + OTHER_BENCHMARKS.len());
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
