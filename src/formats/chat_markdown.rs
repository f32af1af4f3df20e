//! A chat as a Markdown document.
//!
//! Each message is a code block, whose fences are longer than any in the message: nothing that the
//! message leaves open (a fence, a list, a table, HTML) reaches the text after it.

use std::io::{self, Write};

use crate::model::{Chat, Message, Text};

/// Writes the document of a chat and its messages.
pub(crate) fn write(out: &mut dyn Write, chat: &Chat, messages: &[Message]) -> io::Result<()> {
    let title = in_line(chat.title.as_ref());
    if title.is_empty() {
        writeln!(out, "# Chat {}", chat.id)?;
    } else {
        writeln!(out, "# {title}")?;
    }
    let begun = in_line(chat.created_at.as_ref());
    let facts: Vec<String> = [(in_line(chat.model.as_ref()), ""), (begun, " UTC")]
        .into_iter()
        .filter(|(text, _)| !text.is_empty())
        .map(|(text, unit)| text + unit)
        .collect();
    if !facts.is_empty() {
        writeln!(out, "\n{}", facts.join(", "))?;
    }
    for message in messages {
        let role = in_line(message.role.as_ref());
        let role = if role.is_empty() { "unknown" } else { &role };
        writeln!(out, "\n## {role}\n")?;
        let content = message.content.as_ref().map(Text::display);
        write_content(out, content.as_deref().unwrap_or_default())?;
    }
    Ok(())
}

/// The text on one line, with Markdown's special characters escaped.
fn in_line(text: Option<&Text>) -> String {
    let text = text.map(Text::display).unwrap_or_default();
    let mut line = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        for c in word.chars() {
            if "\\`*_[]<>&#|~$".contains(c) {
                line.push('\\');
            }
            line.push(visible(c));
        }
    }
    line
}

/// Viewers show control characters differently, or not at all.
fn visible(c: char) -> char {
    if c.is_control() && c != '\t' {
        '\u{fffd}'
    } else {
        c
    }
}

/// Writes the content of a message, and a newline, between fences.
fn write_content(out: &mut dyn Write, content: &str) -> io::Result<()> {
    let content = content.replace("\r\n", "\n").replace('\r', "\n");
    let content: String = content
        .chars()
        .map(|c| if c == '\n' { c } else { visible(c) })
        .collect();
    let fences = content.split(|c| c != '`').map(str::len);
    let fence = "`".repeat(fences.max().unwrap_or(0).max(2) + 1);
    writeln!(out, "{fence}\n{content}\n{fence}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(content: &str) -> String {
        let mut out = Vec::new();
        write_content(&mut out, content).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// What a reader of Markdown takes for the code of the block with which the document begins.
    fn read(document: &str) -> Option<(&str, &str)> {
        let fence = &document[..document.find(|c| c != '`')?];
        let code = document.strip_prefix(fence)?.strip_prefix('\n')?;
        let mut start = 0;
        for line in code.split_inclusive('\n') {
            let is_end =
                line.trim().len() >= fence.len() && line.trim().trim_matches('`').is_empty();
            if is_end {
                return Some((&code[..start], &code[start + line.len()..]));
            }
            start += line.len();
        }
        None
    }

    #[test]
    fn a_fence_is_longer_than_any_in_the_message() {
        let cases = [
            ("a *b*\n# c\n", "```\na *b*\n# c\n\n```\n"),
            ("```\nx", "````\n```\nx\n````\n"),
            ("a ````` b\n~~~", "``````\na ````` b\n~~~\n``````\n"),
            ("", "```\n\n```\n"),
            ("a\r\nb\rc\u{1b}[0m\t", "```\na\nb\nc\u{fffd}[0m\t\n```\n"),
        ];
        for (content, expected) in cases {
            assert_eq!(written(content), expected, "{content:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_was_written_reads_back(
            content in "[-a<>`~#=*|\\\\ \t\n\u{2028}1.é]{0,80}",
            next in "[`a\n]{0,20}",
        ) {
            let document = written(&content) + &written(&next);
            let (first, rest) = read(&document).unwrap();
            proptest::prop_assert_eq!(first, content + "\n");
            let (second, rest) = read(rest).unwrap();
            proptest::prop_assert_eq!((second, rest), (&*(next + "\n"), ""));
        }
    }
}
