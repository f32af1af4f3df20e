//! Functions that remove the text around a document.

/// The number of spaces and tabs with which the line begins.
pub(super) fn indentation(line: &[u8]) -> usize {
    let spaces = line.iter().take_while(|byte| matches!(byte, b' ' | b'\t'));
    spaces.count()
}

/// The number of spaces and tabs with which the text ends.
pub(super) fn trailing_spaces(text: &[u8]) -> usize {
    let spaces = text.iter().rev();
    spaces
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count()
}

/// The text without white space at its end, and without NULs, with which a crash may leave a file.
pub(super) fn trim_end(mut text: &[u8]) -> &[u8] {
    while let Some((b' ' | b'\t' | b'\r' | b'\n' | 0, rest)) = text.split_last() {
        text = rest;
    }
    text
}

/// The text without NULs at its end.
pub(super) fn trim_nuls(mut text: &[u8]) -> &[u8] {
    while let Some((0, rest)) = text.split_last() {
        text = rest;
    }
    text
}

/// The text without white space, byte order marks and control sequences at its beginning, as they may
/// precede a table.
pub(super) fn trim_lead(line: &[u8]) -> &[u8] {
    trim_all(line, |byte| matches!(byte, b' ' | b'\t' | b'\r' | 0))
}

/// As [`trim_lead`], and without the brackets and commas of an array, as they may precede a json
/// document.
pub(super) fn trim_start(line: &[u8]) -> &[u8] {
    trim_all(line, |byte| {
        matches!(byte, b' ' | b'\t' | b'\r' | 0 | b',' | b'[' | b']')
    })
}

fn trim_all(mut line: &[u8], is_trimmed: impl Fn(u8) -> bool) -> &[u8] {
    const BOM: &[u8] = "\u{feff}".as_bytes();
    loop {
        let skipped = line.iter().position(|&byte| !is_trimmed(byte));
        line = &line[skipped.unwrap_or(line.len())..];
        line = match line.first() {
            Some(0xef) if line.starts_with(BOM) => &line[BOM.len()..],
            Some(0x1b) => match after_sequence(line) {
                Some(rest) => rest,
                None => return line,
            },
            _ => return line,
        }
    }
}

/// The text after the control sequence at its beginning.
fn after_sequence(text: &[u8]) -> Option<&[u8]> {
    const LONGEST: usize = 64;
    let sequence = text.strip_prefix(b"\x1b[")?;
    let mut bytes = sequence.iter().take(LONGEST);
    let end = bytes.position(|byte| (0x40..=0x7e).contains(byte))?;
    Some(&sequence[end + 1..])
}
