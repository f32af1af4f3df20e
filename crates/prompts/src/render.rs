//! What fails only when a prompt is rendered: the library takes the override, and its program stops
//! later.

use std::collections::HashSet;

use crate::document::Document;
use crate::json::position;
use crate::judge::Judged;
use crate::name::trimmed;
use crate::problem::{Entry, Kind, Problem};

/// The longest description of a tool, in characters.
const LONGEST: usize = 200;

/// The most placeholders of a text that are told of.
const MOST: usize = 3;

/// What fails of the entries that apply. Placeholders count where the document names the parameters,
/// descriptions where it tells the library by its format.
#[must_use]
pub(crate) fn problems(judged: &Judged, document: &Document) -> Vec<Problem> {
    let placeholders = judged.sections.iter().filter_map(|(path, entry)| {
        let params = document.section(path)?.params.as_deref()?;
        let why = placeholders(entry.string("body")?, params)?;
        let entry = Entry::Section(path.join("/"));
        Some(Problem::new(Some(entry), Kind::Placeholder, why))
    });
    let descriptions = judged.tools.iter().filter_map(|(name, entry)| {
        document.format?;
        let why = description(entry.string("description")?)?;
        let entry = Entry::Tool(name.clone());
        Some(Problem::new(Some(entry), Kind::Description, why))
    });
    placeholders.chain(descriptions).collect()
}

/// Why Python's `string.Template`, which the library uses, cannot put the parameters into the text.
fn placeholders(text: &str, params: &[String]) -> Option<String> {
    let params: HashSet<&str> = params.iter().map(String::as_str).collect();
    let mut wrong = Vec::new();
    let mut count = 0;
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('$') {
        let at = text.len() - after.len() - 1;
        rest = after;
        if let Some(after) = after.strip_prefix('$') {
            rest = after;
            continue;
        }
        let braced = after.strip_prefix('{');
        let start = braced.unwrap_or(after);
        let name = identifier(start);
        let is_closed = braced.is_none() || start[name.len()..].starts_with('}');
        let why = match name {
            name if name.is_empty() || !is_closed => "a '$' without a name".to_owned(),
            name if params.contains(name) => continue,
            name => format!("no parameter '{name}'"),
        };
        count += 1;
        if count <= MOST {
            wrong.push(format!("{why}, {} of the text", position(text, at)));
        }
    }
    if count > MOST {
        wrong.push(format!("{} more", count - MOST));
    }
    (count > 0).then(|| wrong.join("; "))
}

/// The identifier that the text begins with; empty if it begins with none.
fn identifier(text: &str) -> &str {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    match text.as_bytes().first() {
        Some(b'0'..=b'9') => "",
        _ => &text[..end],
    }
}

/// Why the library makes no tool of this description.
fn description(text: &str) -> Option<String> {
    let text = trimmed(text);
    let length = text.chars().count();
    if text.is_empty() {
        return Some("it is empty".to_owned());
    }
    if length > LONGEST {
        return Some(format!("{length} characters, more than {LONGEST}"));
    }
    let other = text.chars().find(|c| !c.is_ascii())?;
    Some(format!("'{other}' is not ASCII"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With the parameters `a` and `name`.
    fn told(text: &str) -> String {
        placeholders(text, &["a".to_owned(), "name".to_owned()]).unwrap_or_default()
    }

    #[test]
    fn placeholders_are_those_of_pythons_template() {
        for text in [
            "",
            "$$ $a ${name} $$name $a-b $name$a",
            "$$$a $$$$",
            "a${a}${a}",
        ] {
            assert_eq!(told(text), "", "{text}");
        }
        for (text, why) in [
            ("$", "a '$' without a name, line 1 column 1 of the text"),
            ("$$$", "a '$' without a name, line 1 column 3 of the text"),
            (
                "é\n $5",
                "a '$' without a name, line 2 column 2 of the text",
            ),
            ("${a", "a '$' without a name, line 1 column 1 of the text"),
            (
                "${a b}",
                "a '$' without a name, line 1 column 1 of the text",
            ),
            ("${}", "a '$' without a name, line 1 column 1 of the text"),
            ("$é", "a '$' without a name, line 1 column 1 of the text"),
            ("$A", "no parameter 'A', line 1 column 1 of the text"),
            (
                "$aé $names",
                "no parameter 'names', line 1 column 5 of the text",
            ),
            ("${_x1}", "no parameter '_x1', line 1 column 1 of the text"),
        ] {
            assert_eq!(told(text), why, "{text}");
        }
        assert!(told("$ $ $ $ $").ends_with("; 2 more"));
    }

    #[test]
    fn a_description_is_short_and_ascii() {
        assert_eq!(description(&format!(" {}\n", "x".repeat(200))), None);
        assert_eq!(
            description(&"x".repeat(201)).unwrap(),
            "201 characters, more than 200"
        );
        assert_eq!(description(" \u{1f}").unwrap(), "it is empty");
        assert_eq!(description("Grüße").unwrap(), "'ü' is not ASCII");
    }
}
