//! Text that may reach a terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

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

/// Control characters, characters that reorder the text around them, and noncharacters, which XML
/// and HTML forbid.
fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(c, '\u{fdd0}'..='\u{fdef}')
        || matches!(u32::from(c) & 0xffff, 0xfffe | 0xffff)
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
}
