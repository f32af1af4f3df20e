//! What may stand around a document, and is no part of it.

/// The number of spaces and tabs with which the line begins.
pub fn indentation(line: &[u8]) -> usize {
    let spaces = line.iter().take_while(|byte| matches!(byte, b' ' | b'\t'));
    spaces.count()
}

/// The text without white space at its end, and without the zeros of a file that was made larger
/// before it was written.
pub fn trim_end(mut text: &[u8]) -> &[u8] {
    while let Some((b' ' | b'\t' | b'\r' | b'\n' | 0, rest)) = text.split_last() {
        text = rest;
    }
    text
}

/// The text without zeros at its end.
pub fn trim_nuls(mut text: &[u8]) -> &[u8] {
    while let Some((0, rest)) = text.split_last() {
        text = rest;
    }
    text
}

/// The text after what may stand before a document on its line: white space, a byte order mark,
/// and the brackets and commas of an array of documents.
pub fn trim_start(mut line: &[u8]) -> &[u8] {
    const BOM: &[u8] = "\u{feff}".as_bytes();
    loop {
        if let Some(rest) = line.strip_prefix(BOM) {
            line = rest;
        }
        // Such as the end of a colour.
        if let Some(sequence) = line.strip_prefix(b"\x1b[") {
            let end = sequence
                .iter()
                .position(|byte| (0x40..=0x7e).contains(byte));
            line = end.map_or(&[][..], |end| &sequence[end + 1..]);
        }
        match line.split_first() {
            Some((b' ' | b'\t' | b'\r' | b',' | b'[' | b']' | 0, rest)) => line = rest,
            _ => return line,
        }
    }
}
