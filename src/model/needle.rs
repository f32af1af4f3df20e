//! Case-insensitive search.

use std::ops::Range;

/// A text to search for in many others, ignoring case in all scripts.
///
/// Two characters are equal if their lowercase forms are; the two lowercase sigmas of Greek are
/// equal. The others are bytes, since a store may contain invalid UTF-8. They are neither copied nor
/// validated, for there may be many, and most do not match.
#[derive(Debug, Clone)]
pub(crate) struct Needle {
    folded: Vec<char>,
    /// The UTF-8 of every character that folds to the first one.
    starts: Vec<Vec<u8>>,
    /// The last bytes of these, which are rarer than the first ones.
    anchors: Vec<u8>,
}

/// The last character whose lowercase is another character.
const LAST_UPPERCASE: char = '\u{1e921}';

/// The maximum number of characters shown before a match.
const BEFORE: usize = 40;

/// The maximum number of characters shown of a line.
const SHOWN: usize = 160;

impl Needle {
    /// The search for this text; an empty text is found in every other.
    #[must_use]
    pub(crate) fn new(text: &str) -> Self {
        let folded: Vec<char> = text.chars().flat_map(fold).collect();
        let starts = folded.first().map_or_else(Vec::new, |&first| starts(first));
        let mut anchors: Vec<u8> = starts.iter().filter_map(|s| s.last().copied()).collect();
        anchors.sort_unstable();
        anchors.dedup();
        Self {
            folded,
            starts,
            anchors,
        }
    }

    /// The first match in the text, in bytes.
    #[must_use]
    pub(crate) fn find(&self, text: &[u8]) -> Option<Range<usize>> {
        if self.folded.is_empty() {
            return Some(0..0);
        }
        match *self.anchors.as_slice() {
            [a] => self.first_match(text, memchr::memchr_iter(a, text)),
            [a, b] => self.first_match(text, memchr::memchr2_iter(a, b, text)),
            [a, b, c] => self.first_match(text, memchr::memchr3_iter(a, b, c, text)),
            ref anchors => {
                let is_anchor = |at: &usize| anchors.contains(&text[*at]);
                self.first_match(text, (0..text.len()).filter(is_anchor))
            }
        }
    }

    /// The first line of the text that matches, or the part of a very long one around the match.
    #[must_use]
    pub(crate) fn line(&self, text: &[u8]) -> Option<String> {
        let found = self.find(text)?;
        let start = memchr::memrchr(b'\n', &text[..found.start]).map_or(0, |at| at + 1);
        let end = memchr::memchr(b'\n', &text[found.start..])
            .map_or(text.len(), |at| found.start + at)
            .max(start);
        let before = String::from_utf8_lossy(&text[start..found.start]);
        let before = before.trim_start();
        let from = String::from_utf8_lossy(&text[found.start..end]);
        let from = from.trim_end();

        let hidden = before.chars().count().saturating_sub(BEFORE);
        let mut line = String::new();
        if hidden > 0 {
            line.push('…');
        }
        line.extend(before.chars().skip(hidden));
        let room = SHOWN - line.chars().count();
        if from.chars().count() > room {
            line.extend(from.chars().take(room));
            line.push('…');
        } else {
            line.push_str(from);
        }
        Some(line)
    }

    fn first_match(
        &self,
        text: &[u8],
        mut anchors: impl Iterator<Item = usize>,
    ) -> Option<Range<usize>> {
        anchors.find_map(|anchor| {
            self.starts.iter().find_map(|first| {
                let start = (anchor + 1).checked_sub(first.len())?;
                if text[start..=anchor] != **first {
                    return None;
                }
                Some(start..start + self.matched(&text[start..])?)
            })
        })
    }

    /// The length of the match at the beginning of the text, in bytes.
    fn matched(&self, text: &[u8]) -> Option<usize> {
        let mut wanted = self.folded.iter();
        let mut at = 0;
        while !wanted.as_slice().is_empty() {
            let c = char_at(&text[at..])?;
            for folded in fold(c) {
                // The search may end within the fold of one character.
                match wanted.next() {
                    Some(&wanted) if wanted != folded => return None,
                    Some(_) => {}
                    None => break,
                }
            }
            at += c.len_utf8();
        }
        Some(at)
    }
}

/// The character at the beginning of the bytes, if they begin with one.
fn char_at(bytes: &[u8]) -> Option<char> {
    let first = *bytes.first()?;
    if first.is_ascii() {
        return Some(char::from(first));
    }
    let chunk = bytes[..bytes.len().min(4)].utf8_chunks().next()?;
    chunk.valid().chars().next()
}

fn fold(c: char) -> impl Iterator<Item = char> {
    c.to_lowercase().map(|c| if c == 'ς' { 'σ' } else { c })
}

/// The UTF-8 of every character whose fold begins with this one.
fn starts(folded: char) -> Vec<Vec<u8>> {
    let mut starts: Vec<char> = ('\0'..=LAST_UPPERCASE)
        .filter(|&c| fold(c).next() == Some(folded))
        .collect();
    if !starts.contains(&folded) {
        starts.push(folded);
    }
    starts.iter().map(|c| c.to_string().into_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'a>(wanted: &str, text: &'a str) -> Option<&'a str> {
        let range = Needle::new(wanted).find(text.as_bytes())?;
        Some(&text[range])
    }

    #[test]
    fn case_does_not_matter_in_any_script() {
        assert_eq!(found("SKY", "Why is the sky blue?"), Some("sky"));
        assert_eq!(found("grüsse", "xx GRÜSSE"), Some("GRÜSSE"));
        assert_eq!(found("ПРИВЕТ", "скажи привет"), Some("привет"));
        assert_eq!(found("ΟΔΟΣ", "η οδος ή οδός"), Some("οδος"));
        assert_eq!(found("οδος", "Η ΟΔΟΣ"), Some("ΟΔΟΣ"));
        assert_eq!(found("中文", "Grüße 中文 😀"), Some("中文"));
        assert_eq!(found("😀", "Grüße 中文 😀"), Some("😀"));
        assert_eq!(found("kelvin", "300 \u{212a}elvin"), Some("\u{212a}elvin"));
        assert_eq!(found("straße", "STRAẞE"), Some("STRAẞE"));
        assert_eq!(found("i", "İ"), Some("İ"));
        assert_eq!(found("zz", "zaz"), None);
        assert_eq!(found("ab", "aab"), Some("ab"));
        assert_eq!(found("i\u{307}x", "İX"), Some("İX"));
        assert_eq!(found("кто", "Коктейль, КТО-то"), Some("КТО"));
    }

    /// No character beyond those that are gone through has another case.
    #[test]
    fn every_character_that_folds_alike_is_found() {
        for c in (LAST_UPPERCASE..=char::MAX).skip(1) {
            assert_eq!(fold(c).next(), Some(c));
        }
        assert_ne!(fold(LAST_UPPERCASE).next(), Some(LAST_UPPERCASE));
        assert_eq!(starts('k'), [&b"K"[..], b"k", "\u{212a}".as_bytes()]);
        assert_eq!(starts('σ'), ["Σ", "ς", "σ"].map(str::as_bytes));
        assert_eq!(starts('ǆ'), ["Ǆ", "ǅ", "ǆ"].map(str::as_bytes));
        assert_eq!(starts('ᾀ'), ["ᾀ", "ᾈ"].map(str::as_bytes));
        assert_eq!(starts('中'), ["中".as_bytes()]);
        assert_eq!(starts('\u{10ffff}'), ["\u{10ffff}".as_bytes()]);
    }

    #[test]
    fn bytes_that_are_no_text_do_not_matter() {
        let needle = Needle::new("b");
        assert_eq!(needle.find(b"\xff\xe2\x84b"), Some(3..4));
        assert_eq!(Needle::new("k").find(b"\xe2\x84"), None);
        assert_eq!(Needle::new("é").find(b"\xc3"), None);
    }

    #[test]
    fn the_line_is_the_one_that_matches() {
        let line = |text: &str| Needle::new("x").line(text.as_bytes());
        assert_eq!(line("a\n  b x c  \nx").as_deref(), Some("b x c"));
        assert_eq!(line("a\r\nx\r\n").as_deref(), Some("x"));
        assert_eq!(line("abc"), None);
        let long = line(&format!("{}x{}", "a".repeat(900), "b".repeat(900))).unwrap();
        let expected = format!("…{}x{}…", "a".repeat(40), "b".repeat(118));
        assert_eq!(long, expected);
        assert_eq!(Needle::new("").line(b"").as_deref(), Some(""));
        assert_eq!(Needle::new("a\nb").line(b"xa\nb").as_deref(), Some("xa"));
    }
}
