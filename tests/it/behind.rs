//! Texts as logs show them.

/// Puts a prefix before each line, made from its number.
pub(crate) fn behind(text: &str, prefix: impl Fn(usize) -> String) -> String {
    let lines = text.lines().enumerate();
    lines
        .map(|(number, line)| prefix(number) + line + "\n")
        .collect()
}
