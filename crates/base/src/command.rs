//! Commands in hints: each runs as it is printed.

use std::borrow::Cow;
use std::sync::OnceLock;

/// The options behind the name of the program.
static OPTIONS: OnceLock<String> = OnceLock::new();

/// Sets the options that every printed command needs to mean the same store, such as
/// `--db other.sqlite3`.
pub fn set_command_options(options: String) {
    // The first call is the one that knows them.
    let _ = OPTIONS.set(options);
}

/// The text with the options in each command, which begins the text or a part of it.
pub(crate) fn runnable(text: &str) -> Cow<'_, str> {
    match OPTIONS.get() {
        Some(options) => with_options(text, options).into(),
        None => text.into(),
    }
}

fn with_options(text: &str, options: &str) -> String {
    const NAME: &str = "localstore ";
    let mut full = String::new();
    for (index, part) in text.split(NAME).enumerate() {
        if index > 0 {
            let is_command = full.is_empty() || full.ends_with(['\'', '(']) || full.ends_with("| ");
            full += NAME;
            if is_command && !part.starts_with("--db") {
                full += options;
                full.push(' ');
            }
        }
        full += part;
    }
    full
}

/// The text as one word of a shell's command line.
#[must_use]
pub fn shell_word(text: &str) -> String {
    // The shells of Windows take a backslash as it is.
    let separator = std::path::MAIN_SEPARATOR;
    let is_plain = |c: char| c.is_alphanumeric() || "-_./,:=@%+~".contains(c) || c == separator;
    if !text.is_empty() && !text.starts_with('~') && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_gets_the_options_once() {
        let full = |text| with_options(text, "--db x");
        assert_eq!(full("localstore list"), "localstore --db x list");
        assert_eq!(
            full("the last is 68; 'localstore list' shows all"),
            "the last is 68; 'localstore --db x list' shows all"
        );
        assert_eq!(
            full("localstore --db x list -o json"),
            "localstore --db x list -o json"
        );
        assert_eq!(full("a localstore store"), "a localstore store");
    }

    #[test]
    fn a_word_of_a_shell_is_quoted_where_it_must_be() {
        assert_eq!(shell_word("runs/last~1.json"), "runs/last~1.json");
        assert_eq!(shell_word(""), "''");
        assert_eq!(shell_word("~x"), "'~x'");
        assert_eq!(shell_word("it's $x"), r"'it'\''s $x'");
    }
}
