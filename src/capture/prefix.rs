//! Prefixes that other programs put before each line of a log: a time stamp, the name of a
//! container, a quotation mark, an indentation.

use super::text::indentation;

/// The shape of a prefix: numbers and times differ from line to line, the rest is the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Prefix {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// These bytes.
    Literal(Vec<u8>),
    /// A number, a time or a date.
    Number,
    /// White space before a number, which shrinks as the number grows.
    Padding,
}

/// No prefix is longer than this.
pub(super) const LONGEST: usize = 256;

impl Prefix {
    /// The shape of this prefix.
    pub(super) fn new(text: &[u8]) -> Self {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(&first) = rest.first() {
            let before = text[..text.len() - rest.len()].last().copied();
            let (part, length) = match number(rest) {
                Some(length) if may_begin(before) && may_end(text, rest, length) => {
                    if let Some(Part::Literal(space)) = parts.last_mut()
                        && matches!(space.last(), Some(b' '))
                    {
                        let kept = space.trim_ascii_end().len();
                        space.truncate(kept);
                        parts.push(Part::Padding);
                    }
                    (Part::Number, length)
                }
                _ => (Part::Literal(vec![first]), 1),
            };
            match (parts.last_mut(), part) {
                (Some(Part::Literal(bytes)), Part::Literal(more)) => bytes.extend(more),
                (_, part) => parts.push(part),
            }
            rest = &rest[length..];
        }
        Self { parts }
    }

    /// Whether it consists of white space only.
    pub(super) fn is_indentation(&self) -> bool {
        self.parts
            .iter()
            .all(|part| matches!(part, Part::Literal(bytes) if bytes.trim_ascii_start().is_empty()))
    }

    /// The length of the prefix of this line; `None` if the line does not have it. On an empty line
    /// its last space may be missing.
    pub(super) fn length(&self, line: &[u8]) -> Option<usize> {
        let mut rest = line;
        for (index, part) in self.parts.iter().enumerate() {
            rest = match part {
                Part::Literal(bytes) => match rest.strip_prefix(bytes.as_slice()) {
                    Some(rest) => rest,
                    None if index + 1 == self.parts.len() => {
                        let bare = rest.strip_prefix(bytes.trim_ascii_end())?;
                        let is_blank = bare.trim_ascii_start().is_empty();
                        return is_blank.then(|| line.len() - bare.len() + indentation(bare));
                    }
                    None => return None,
                },
                Part::Padding => rest.trim_ascii_start(),
                Part::Number => &rest[number(rest)?..],
            };
        }
        Some(line.len() - rest.len())
    }
}

/// The length of the number, time, date or month name at the beginning of the text.
fn number(text: &[u8]) -> Option<usize> {
    const MONTHS: &[u8] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let word = &text[..text.len().min(3)];
    if MONTHS.chunks(3).any(|month| month == word) {
        return Some(3);
    }
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut length = digits(text);
    while length > 0
        && let Some(b':' | b'.' | b',' | b'+' | b'-' | b'/' | b'T') = text.get(length)
    {
        let more = digits(&text[length + 1..]);
        if more == 0 {
            break;
        }
        length += 1 + more;
    }
    if length > 0 && text.get(length) == Some(&b'Z') {
        length += 1;
    }
    let units: [&[u8]; 3] = [b"ms ", b"us ", b"s "];
    if length > 0
        && let Some(unit) = units.iter().find(|unit| text[length..].starts_with(unit))
    {
        length += unit.len() - 1;
    }
    (length > 0).then_some(length)
}

/// Whether a number may follow this byte, and is not a part of a name, such as a container's.
fn may_begin(before: Option<u8>) -> bool {
    matches!(
        before,
        None | Some(b' ' | b'\t' | b':' | b'[' | b'(' | b'<' | b'|')
    )
}

/// Whether a number may end there. A number after the name of a program is the id of its process,
/// which is the same on each line.
fn may_end(text: &[u8], rest: &[u8], length: usize) -> bool {
    let begin = text.len() - rest.len();
    let is_process = begin >= 2 && text[begin - 1] == b'[' && text[begin - 2].is_ascii_graphic();
    let after = rest.get(length);
    !is_process
        && matches!(
            after,
            None | Some(b' ' | b'\t' | b':' | b']' | b')' | b'>' | b'|' | 0x1b)
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(prefix: &str, line: &str) -> Option<usize> {
        Prefix::new(prefix.as_bytes()).length(line.as_bytes())
    }

    #[test]
    fn times_and_numbers_differ_and_names_stay() {
        for (prefix, line, expected) in [
            ("> ", "> x", Some(2)),
            ("> ", ">\n", Some(1)),
            ("> ", "x", None),
            ("    ", "    x", Some(4)),
            ("    ", "\tx", None),
            (
                "2026-03-01T12:00:00.1234567Z ",
                "2026-03-01T12:00:07.12Z x",
                Some(24),
            ),
            (
                "2026-03-01 12:00:00,123 INFO ",
                "2026-03-01 12:00:01,7 INFO x",
                Some(27),
            ),
            (
                "2026-03-01 12:00:00,123 INFO ",
                "2026-03-01 12:00:01,7 WARN x",
                None,
            ),
            (
                "Jun 15 15:06:40 host ls[12]: ",
                "Jun 15 15:06:41 host ls[12]: x",
                Some(29),
            ),
            (
                "Jun 15 15:06:40 host ls[12]: ",
                "Jun 15 15:06:41 host ls[13]: x",
                None,
            ),
            ("bench-1  | ", "bench-1  | x", Some(11)),
            ("bench-1  | ", "bench-2  | x", None),
            (
                "\x1b[36mbench-1 | \x1b[0m",
                "\x1b[36mbench-1 | \x1b[0mx",
                Some(19),
            ),
            ("[    9.812345] ", "[   10.1] x", Some(10)),
            ("     9\t", "    10\tx", Some(7)),
            ("9:", "10:+-----+", Some(3)),
            ("run.log:9:", "run.log:10:x", Some(11)),
            ("9ms ", "10ms x", Some(5)),
            ("Jun 30 15:06:40 ", "Jul  1 00:00:01 x", Some(16)),
            ("00:00:05 ", "00:00:10 {", Some(9)),
            (
                "job\tstep one\t2026-03-01T12:00:00Z ",
                "job\tstep one\t2026-03-01T12:00:01Z x",
                Some(34),
            ),
        ] {
            assert_eq!(length(prefix, line), expected, "{prefix:?} {line:?}");
        }
    }
}
