//! A chat as a Markdown document that reads well wherever Markdown is shown.
//!
//! What was written stands in block quotes: whatever it opens and does not close (a fence, a list,
//! a table, HTML) ends with its quote, and code is left as it is. Outside of code, what a forge
//! would take for HTML and hide is escaped, headings are put below those of the document, and
//! line breaks are kept.

use std::io::{self, Write};

use crate::model::{Chat, Message, Text};

/// The level of the headings over messages.
const MESSAGE_LEVEL: usize = 2;

/// The deepest heading that Markdown has.
const DEEPEST: usize = 6;

/// Writes the document of a chat and its messages.
pub fn write(out: &mut dyn Write, chat: &Chat, messages: &[Message]) -> io::Result<()> {
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
        writeln!(out, "\n{} {role}\n", "#".repeat(MESSAGE_LEVEL))?;
        let content = message.content.as_ref().map(Text::display);
        write_quote(out, content.as_deref().unwrap_or_default())?;
    }
    Ok(())
}

/// Text that is one line of the document and nothing but text.
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

/// Forges show control characters in ways of their own, or not at all.
fn visible(c: char) -> char {
    if c.is_control() && c != '\t' {
        '\u{fffd}'
    } else {
        c
    }
}

fn write_quote(out: &mut dyn Write, content: &str) -> io::Result<()> {
    if content.trim().is_empty() {
        return out.write_all(b"> *empty*\n");
    }
    let content = content.replace("\r\n", "\n").replace('\r', "\n");
    let content: String = content
        .chars()
        .map(|c| if c == '\n' { c } else { visible(c) })
        .collect();
    for line in quoted_lines(content.trim_end()) {
        if line.is_empty() {
            out.write_all(b">\n")?;
        } else {
            writeln!(out, "> {line}")?;
        }
    }
    Ok(())
}

/// The lines of a content, changed as little as its place in the document asks for.
fn quoted_lines(content: &str) -> Vec<String> {
    let lines: Vec<&str> = content.split('\n').collect();
    let mut quoted = Vec::with_capacity(lines.len());
    let mut fence: Option<Fence<'_>> = None;
    // The backticks of a code span that goes on in the next line, and where its paragraph ends.
    let mut span = None;
    let mut end = 0;
    for (index, &line) in lines.iter().enumerate() {
        if let Some(open) = &fence {
            quoted.push(line.to_owned());
            if open.is_closed_by(line) {
                fence = None;
            }
            continue;
        }
        if line.trim().is_empty() {
            quoted.push(String::new());
            continue;
        }
        if let Some(level) = underlined(line)
            && let Some(heading) = one_line_paragraph(&mut quoted)
        {
            *heading = format!("{} {}", "#".repeat(level + MESSAGE_LEVEL), heading.trim());
            continue;
        }
        fence = Fence::opened_by(line);
        if fence.is_some() {
            quoted.push(line.to_owned());
            continue;
        }
        if end <= index {
            let rest = lines[index + 1..].iter();
            end = index + 1 + rest.take_while(|line| !interrupts(line)).count();
            span = None;
        }
        let mut text = escape_html(line, &mut span, &lines[index + 1..end]);
        let level = heading_level(line);
        if let Some(level) = level {
            let deeper = (level + MESSAGE_LEVEL).min(DEEPEST);
            let start = text.find('#').unwrap_or_default();
            text.replace_range(start..start + level, &"#".repeat(deeper));
        }
        let goes_on = level.is_none()
            && lines
                .get(index + 1)
                .is_some_and(|next| !next.trim().is_empty() && Fence::opened_by(next).is_none());
        if goes_on && !text.ends_with("  ") && !text.ends_with('\\') {
            text.push_str("  ");
        }
        quoted.push(text);
    }
    quoted
}

/// Whether a paragraph, and with it a code span, ends before this line.
fn interrupts(line: &str) -> bool {
    let text = line.trim_start();
    text.is_empty()
        || heading_level(line).is_some()
        || Fence::opened_by(line).is_some()
        || item(text).is_some()
}

/// What follows the mark of an item of a list: a bullet, or a number.
fn item(text: &str) -> Option<&str> {
    let after = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let marks: &[char] = if after.len() < text.len() {
        &['.', ')']
    } else {
        &['-', '*', '+']
    };
    let item = after.strip_prefix(marks)?;
    item.starts_with([' ', '\t']).then_some(item)
}

/// The level of a heading that begins with `#`.
fn heading_level(line: &str) -> Option<usize> {
    let text = line.trim_start_matches(' ');
    let level = text.len() - text.trim_start_matches('#').len();
    let after = text[level..].chars().next();
    let is_heading = line.len() - text.len() <= 3
        && (1..=DEEPEST).contains(&level)
        && after.is_none_or(char::is_whitespace);
    is_heading.then_some(level)
}

/// The level of a heading whose underline this line is, if there is text above it.
fn underlined(line: &str) -> Option<usize> {
    let text = line.trim();
    match text.chars().next()? {
        '=' if text.trim_start_matches('=').is_empty() => Some(1),
        '-' if text.trim_start_matches('-').is_empty() => Some(2),
        _ => None,
    }
}

/// The last line, if it is all of a paragraph, and not the beginning of something else.
fn one_line_paragraph(lines: &mut [String]) -> Option<&mut String> {
    let (last, before) = lines.split_last_mut()?;
    let is_first = before.last().is_none_or(String::is_empty);
    let is_text = !last.is_empty()
        && heading_level(last).is_none()
        && !last.contains('|')
        && !last.starts_with([' ', '\t', '>', '-', '*', '+', '`', '~']);
    (is_first && is_text).then_some(last)
}

/// The beginning of a block of code.
struct Fence<'a> {
    /// Its backticks or tildes.
    mark: &'a str,
}

impl<'a> Fence<'a> {
    /// A fence may stand in lists and quotes, behind their marks.
    fn opened_by(line: &'a str) -> Option<Self> {
        let text = line.trim_start_matches([' ', '\t', '>']);
        let text = item(text).map_or(text, str::trim_start);
        let c = text.chars().next().filter(|c| "`~".contains(*c))?;
        let info = text.trim_start_matches(c);
        let mark = &text[..text.len() - info.len()];
        // Backticks behind backticks are a code span.
        (mark.len() >= 3 && !(c == '`' && info.contains('`'))).then_some(Self { mark })
    }

    fn is_closed_by(&self, line: &str) -> bool {
        let text = line.trim_start_matches([' ', '\t', '>']).trim_end();
        text.len() >= self.mark.len() && text.trim_start_matches(&self.mark[..1]).is_empty()
    }
}

/// Escapes each `<` that could begin HTML, but not in code spans and not of a link `<https://…>`.
///
/// `span` is the length of the backticks that opened a code span in an earlier line; `paragraph`
/// is the rest of the paragraph, in which one that opens here may end.
fn escape_html(line: &str, span: &mut Option<usize>, paragraph: &[&str]) -> String {
    let mut out = String::with_capacity(line.len() + 8);
    let mut rest = line;
    while let Some(at) = rest.find(['`', '<', '\\']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix('\\') {
            // What is escaped already stays so; in a code span this is an ordinary character.
            out.push('\\');
            let next = after.chars().next().filter(|_| span.is_none());
            let next = next.filter(char::is_ascii_punctuation);
            out.extend(next);
            rest = &after[next.map_or(0, char::len_utf8)..];
        } else if let Some(after) = rest.strip_prefix('<') {
            if span.is_none() && begins_html(after) {
                out.push('\\');
            }
            out.push('<');
            rest = after;
        } else {
            let after = rest.trim_start_matches('`');
            let length = rest.len() - after.len();
            out.push_str(&rest[..length]);
            rest = after;
            match *span {
                Some(open) if open == length => *span = None,
                Some(_) => {}
                None => {
                    let is_closed = has_backticks(after, length)
                        || paragraph.iter().any(|line| has_backticks(line, length));
                    *span = is_closed.then_some(length);
                }
            }
        }
    }
    out + rest
}

/// Whether exactly so many backticks stand together somewhere in the text.
fn has_backticks(text: &str, length: usize) -> bool {
    text.split(|c| c != '`').any(|run| run.len() == length)
}

fn begins_html(after: &str) -> bool {
    let name = after.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || "+.-".contains(c));
    let is_link = name.len() + 2 <= after.len()
        && (name.starts_with(':') || name.starts_with('@'))
        && name
            .split(['>', ' ', '<'])
            .next()
            .is_some_and(|link| name[link.len()..].starts_with('>'));
    !is_link && after.starts_with(|c: char| c.is_ascii_alphabetic() || "/!?".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(content: &str) -> String {
        let mut out = Vec::new();
        write_quote(&mut out, content).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn html_is_escaped_outside_of_code_only() {
        let cases = [
            ("a <b> </b> <!-- <?x", "> a \\<b> \\</b> \\<!-- \\<?x\n"),
            ("1 < 2, <3 and <", "> 1 < 2, <3 and <\n"),
            ("<https://a.b> <me@a.b>", "> <https://a.b> <me@a.b>\n"),
            ("<a:b c> <x@y", "> \\<a:b c> \\<x@y\n"),
            ("`<b>` <i> ``a`<b>``", "> `<b>` \\<i> ``a`<b>``\n"),
            ("`a\n<b>` <i>", "> `a  \n> <b>` \\<i>\n"),
            ("`never closed <b>", "> `never closed \\<b>\n"),
            ("`\n\n<b>`", "> `\n>\n> \\<b>`\n"),
            ("- ` a\n- <b>`", "> - ` a  \n> - \\<b>`\n"),
            ("\\<b> \\` <i> \\`", "> \\<b> \\` \\<i> \\`\n"),
            (
                "1. ~~~\n<b>\n   ~~~~\n<i>",
                "> 1. ~~~\n> <b>\n>    ~~~~\n> \\<i>\n",
            ),
            (
                "```\n<b>\n~~~\n``\n```x\n<i>",
                "> ```\n> <b>\n> ~~~\n> ``\n> ```x\n> <i>\n",
            ),
            ("```a`b <i>``` <b>", "> ```a`b <i>``` \\<b>\n"),
        ];
        for (content, expected) in cases {
            assert_eq!(quoted(content), expected, "{content:?}");
        }
    }

    #[test]
    fn headings_stand_below_those_of_the_document() {
        let cases = [
            ("# a", "> ### a\n"),
            ("   ##### a #", ">    ###### a #\n"),
            ("#a\n    # b", "> #a  \n>     # b\n"),
            ("a\n===", "> ### a\n"),
            ("a\n\n---", "> a\n>\n> ---\n"),
            ("- a\n---", "> - a  \n> ---\n"),
            (" \n\t\n", "> *empty*\n"),
        ];
        for (content, expected) in cases {
            assert_eq!(quoted(content), expected, "{content:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_leaves_its_quote(content in "[-a<>`~#=*|\\\\ \t\r\n\u{b}\u{1b}\u{2028}1.é]{0,80}") {
            for line in quoted(&content).split_terminator('\n') {
                proptest::prop_assert!(line == ">" || line.starts_with("> "), "{line:?}");
                proptest::prop_assert!(!line.contains(['\r', '\u{1b}', '\u{b}']), "{line:?}");
            }
        }
    }
}
