//! Text that may reach a terminal.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::{Display, Write as _};

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The text with every control character escaped, so that a name cannot move the cursor, change the
/// title or hide a line of a terminal.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unprintable) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_unprintable(c) && u32::from(c) < 0x100 => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c if is_unprintable(c) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// `1 run`, `2 runs`.
#[must_use]
pub fn counted<N: Copy + PartialEq + From<u8> + Display>(count: N, thing: &str) -> String {
    let plural = if count == N::from(1) { "" } else { "s" };
    format!("{count} {thing}{plural}")
}

/// The text in one printable line, cut after this number of characters.
#[must_use]
pub fn one_line(text: &str, longest: usize) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    let line = printable(&line);
    match line.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.into_owned(),
    }
}

/// Control characters, characters that reorder the text around them, and noncharacters, which XML
/// and HTML forbid.
fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(c, '\u{fdd0}'..='\u{fdef}')
        || matches!(u32::from(c) & 0xffff, 0xfffe | 0xffff)
}

/// The text on lines of at most this width, broken at spaces, each with the spaces that the text
/// begins with; a longer word has a line of its own.
#[must_use]
pub fn fold(text: &str, width: usize) -> String {
    let words = text.trim_start_matches(' ');
    let indent = &text[..text.len() - words.len()];
    let mut folded = indent.to_owned();
    let mut column = indent.len();
    for (index, word) in words.split(' ').enumerate() {
        let needed = word.width();
        if column > indent.len() && column + 1 + needed > width {
            folded.truncate(folded.trim_end_matches(' ').len());
            folded.push('\n');
            folded += indent;
            column = indent.len();
        } else if index > 0 {
            folded.push(' ');
            column += 1;
        }
        folded += word;
        column += needed;
    }
    folded
}

/// The text if it has at most this width, else its beginning and `…`: cut between words, or where a
/// word must be cut, never among its digits.
#[must_use]
pub fn cut(text: &str, width: usize) -> Cow<'_, str> {
    let text = printable(text);
    if text.width() <= width {
        return text;
    }
    Cow::Owned(format!("{}…", beginning(&text, width.saturating_sub(1))))
}

/// The texts cut to this width. Two that differ still differ where that is possible: the middle goes
/// then, and the end stays if there is room for it.
#[must_use]
pub(crate) fn cut_all(texts: &[&str], width: usize) -> Vec<String> {
    let mut wholes: HashMap<String, Vec<&str>> = HashMap::new();
    let cuts: Vec<String> = texts.iter().map(|text| cut(text, width).into()).collect();
    for (cut, &text) in cuts.iter().zip(texts) {
        let wholes = wholes.entry(cut.clone()).or_default();
        if !wholes.contains(&text) {
            wholes.push(text);
        }
    }
    let cuts = cuts.into_iter().zip(texts);
    cuts.map(|(cut, text)| match wholes[&cut].as_slice() {
        [_] => cut,
        same => without_middle(text, same, width),
    })
    .collect()
}

/// Where text may be cut within a word.
const JOINTS: [char; 6] = [' ', '+', '-', '_', '/', '('];

/// Cuts the middle, so that the word that the others do not have is there, and behind it the end if
/// there is room for that.
fn without_middle(text: &str, others: &[&str], width: usize) -> String {
    let common = |other: &&str| {
        let pairs = text.char_indices().zip(other.chars());
        let mut equal = pairs.take_while(|((_, one), two)| one == two);
        equal
            .by_ref()
            .last()
            .map_or(0, |((at, c), _)| at + c.len_utf8())
    };
    let others = others.iter().filter(|&&other| other != text);
    let common = others.map(common).min().unwrap_or_default();
    let (before, rest) = text.split_at(common);
    let start = match before.rfind(JOINTS) {
        Some(joint) if !rest.starts_with(JOINTS) => joint,
        _ => common,
    };
    let most = width.saturating_sub(1);
    let tail = cut(text[start..].trim_start(), most);
    let text = printable(text);
    let start = beginning(&text, most.saturating_sub(tail.width()));
    let first = text.split(JOINTS).next().unwrap_or_default();
    // Half a word tells less than none.
    let start = if start.len() < first.len() && first.width() < width {
        ""
    } else {
        start
    };
    let short = format!("{start}…{tail}");
    if short.width() <= width {
        short
    } else {
        cut(&text, width).into_owned()
    }
}

/// As much of the text as fits, up to the end of a word.
fn beginning(text: &str, width: usize) -> &str {
    let mut used = 0;
    let end = text.char_indices().find(|(_, c)| {
        used += c.width().unwrap_or_default();
        used > width
    });
    let (fits, rest) = text.split_at(end.map_or(text.len(), |(at, _)| at));
    // A joiner at the end would join the ellipsis.
    let fits = fits.trim_end_matches('\u{200d}');
    if rest.is_empty() || rest.starts_with(' ') {
        return fits.trim_end();
    }
    let word = fits.rfind(' ').map_or(0, |at| at + 1);
    if word > 0 {
        return fits[..word].trim_end();
    }
    // The first word itself is too long.
    if let Some(joint) = fits.rfind(JOINTS).filter(|&joint| joint > 0) {
        return &fits[..joint];
    }
    let has_digits = rest.starts_with(|c: char| c.is_ascii_digit());
    let without = fits.trim_end_matches(|c: char| has_digits && c.is_ascii_digit());
    if without.is_empty() { fits } else { without }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_reordering_characters_are_escaped_and_text_stays() {
        assert_eq!(printable("GeForce® RTX™"), "GeForce® RTX™");
        assert_eq!(
            printable("a\u{1b}]0;x\u{7}\u{9b}\u{202e}\u{ffff}"),
            "a\\x1b]0;x\\x07\\x9b\\u{202e}\\u{ffff}"
        );
    }

    #[test]
    fn a_line_is_folded_at_spaces() {
        assert_eq!(fold("one two three", 7), "one two\nthree");
        assert_eq!(fold("one two three", 80), "one two three");
        assert_eq!(
            fold("incomprehensibility is long", 8),
            "incomprehensibility\nis long"
        );
        assert_eq!(fold("  indented", 80), "  indented");
        assert_eq!(fold("  two words", 6), "  two\n  words");
        assert_eq!(fold("中文 中文", 5), "中文\n中文");
        assert_eq!(fold("", 5), "");
    }

    #[test]
    fn a_name_is_cut_between_words_and_never_in_a_number() {
        for (text, width, expected) in [
            ("Qwen2.5 14B Instruct", 12, "Qwen2.5 14B…"),
            ("RTX PRO 6000 Blackwell Workstation", 15, "RTX PRO 6000…"),
            ("RTX PRO 6000 Blackwell Workstation", 11, "RTX PRO…"),
            (
                "DeepSeek R1 Distill Qwen 14B",
                26,
                "DeepSeek R1 Distill Qwen…",
            ),
            ("Qwen2.5-Coder-32B-Instruct", 12, "Qwen2.5…"),
            ("RTX40901234567", 8, "RTX…"),
            ("12345678901234", 8, "1234567…"),
            ("short", 5, "short"),
            ("中文中文 中文", 9, "中文中文…"),
            ("a\nb", 80, "a\\nb"),
        ] {
            assert_eq!(cut(text, width), expected, "{text}");
            assert!(expected.width() <= width);
        }
    }

    #[test]
    fn names_that_would_look_the_same_keep_their_ends() {
        let names = [
            "Apple M4 Max 12P+4E+40GPU",
            "Apple M4 Max 12P+4E+32GPU",
            "RTX 3060",
        ];
        assert_eq!(
            cut_all(&names, 15),
            ["Apple M4…+40GPU", "Apple M4…+32GPU", "RTX 3060"]
        );
        let long = [
            "RTX PRO 6000 Blackwell Workstation Edition",
            "RTX PRO 6000 Blackwell Max-Q Workstation Edition",
        ];
        assert_eq!(cut_all(&long, 15), ["…Workstation…", "RTX PRO…Max-Q…"]);
        let models = [
            "Meta Llama 3.1 8B Instruct",
            "Meta Llama 3.1 405B Instruct FP8",
            "Meta Llama 3.3 70B Instruct",
        ];
        assert_eq!(
            cut_all(&models, 13),
            ["Meta…3.1 8B…", "…3.1 405B…", "Meta…3.3 70B…"]
        );
        let ada = [
            "RTX 6000 Ada Generation",
            "RTX 6000 Ada Generation Laptop GPU",
        ];
        assert_eq!(cut_all(&ada, 15), ["RTX…Generation", "RTX…Laptop GPU"]);
        let twice = ["Apple M4 Max 12P+4E+40GPU"; 2];
        assert_eq!(cut_all(&twice, 15), ["Apple M4 Max…"; 2]);
        for width in 0..30 {
            for name in cut_all(&names, width) {
                assert!(name.width() <= width.max(1), "{name} {width}");
            }
        }
    }
}
