//! Text that is wrapped or cut to fit, and numbers as labels.

use unicode_width::UnicodeWidthChar;

use base::{WIDEST, shortened};

/// The size of ordinary text in pixels.
pub(crate) const SIZE: f64 = 12.0;
/// The same for bold text, which is wider.
pub(crate) const BOLD: f64 = 1.12 * SIZE;
/// The size of a title, which is bold, of 14 pixels.
pub(crate) const TITLE_SIZE: f64 = 1.12 * 14.0;

/// The approximate width of the text in pixels, rarely too small: fonts differ, and that of the
/// reader is unknown.
pub(crate) fn width(text: &str, size: f64) -> f64 {
    text.chars().map(em).sum::<f64>() * size
}

/// The largest of these widths.
pub(crate) fn widest(widths: impl Iterator<Item = f64>) -> f64 {
    widths.fold(0.0, f64::max)
}

/// The width of a character in the widest common font, in units of the font size.
fn em(c: char) -> f64 {
    match c {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | ' ' => 0.35,
        'f' | 't' | 'r' | '(' | ')' | '[' | ']' | '-' | '/' => 0.42,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '…' => 1.0,
        '<' | '>' | '=' | '+' | '~' | '^' | '#' | '&' | '\u{2212}' => 0.84,
        '▲' | '▼' | '→' | '●' | '○' => 1.05,
        c if c.is_ascii_uppercase() => 0.75,
        c if c.is_ascii() => 0.64,
        c => match c.width() {
            Some(0) | None => 0.0,
            Some(1) => 0.8,
            Some(_) => 1.05,
        },
    }
}

/// The text made printable and cut to fit into `room` pixels.
pub(crate) fn fit(text: &str, room: f64, size: f64) -> String {
    // No picture is wider.
    let whole = shortened(text, WIDEST);
    if width(&whole, size) <= room {
        return whole.into_owned();
    }
    let mut left = room / size - em('…');
    let kept = whole.chars().take_while(|&c| {
        left -= em(c);
        left >= 0.0
    });
    let kept: String = kept.collect();
    // A trailing joiner would join the ellipsis.
    format!("{}…", kept.trim_end_matches('\u{200d}'))
}

/// The texts made printable and cut to fit into `room` pixels, and the width of the widest: a name that is
/// made printable may be wider than it was.
pub(crate) fn column<'a>(
    texts: impl Iterator<Item = &'a str>,
    room: f64,
    size: f64,
) -> (Vec<String>, f64) {
    let texts: Vec<String> = texts.map(|text| fit(text, room, size)).collect();
    let most = widest(texts.iter().map(|text| width(text, size)));
    (texts, most)
}

/// The text made printable, on lines of at most `room` pixels: broken at spaces, and only a word that is
/// wider than a line inside.
pub(crate) fn wrapped(text: &str, room: f64, size: f64) -> Vec<String> {
    let whole = shortened(text, WIDEST);
    let mut lines: Vec<String> = Vec::new();
    for word in whole.split(' ').filter(|word| !word.is_empty()) {
        if let Some(line) = lines.last_mut() {
            let longer = format!("{line} {word}");
            if width(&longer, size) <= room {
                *line = longer;
                continue;
            }
        }
        let mut part = String::new();
        for c in word.chars() {
            if !part.is_empty() && width(&part, size) + em(c) * size > room {
                lines.push(std::mem::take(&mut part));
            }
            part.push(c);
        }
        lines.push(part);
    }
    lines
}

/// A number to four digits or more, such as `1234.5`, `12.34` or `0.0012`.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        return "no value".to_owned();
    }
    if size == 0.0 {
        return "0".to_owned();
    }
    if !(1e-4..1e7).contains(&size) {
        return format!("{value:.3e}");
    }
    let decimals = match size {
        100_000.0.. => 0,
        100.0.. => 1,
        10.0.. => 2,
        1.0.. => 3,
        _ => 5,
    };
    let text = fixed(value, decimals);
    if decimals == 5 {
        text.trim_end_matches('0').to_owned()
    } else {
        text
    }
}

/// The number with this number of decimals.
pub(crate) fn fixed(value: f64, decimals: usize) -> String {
    let text = format!("{:.decimals$}", value.abs());
    let is_zero = text.chars().all(|c| matches!(c, '0' | '.'));
    let minus = if value < 0.0 && !is_zero {
        "\u{2212}"
    } else {
        ""
    };
    format!("{minus}{text}")
}

/// The format of a date.
pub(crate) const DATE: &str = "%Y-%m-%d";

/// A time in seconds since 1970, in UTC; `?` if it is out of range.
pub(crate) fn moment(time: i64, format: &str) -> String {
    jiff::Timestamp::from_second(time)
        .map_or_else(|_| "?".to_owned(), |time| time.strftime(format).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_exact_enough() {
        let cases = [
            (0.0, "0"),
            (0.001, "0.001"),
            (0.012_345, "0.01235"),
            (1.5, "1.500"),
            (12.345, "12.35"),
            (133.333, "133.3"),
            (8305.28, "8305.3"),
            (1_234_567.0, "1234567"),
            (-123_456.0, "\u{2212}123456"),
            (1e9, "1.000e9"),
            (1e-9, "1.000e-9"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn long_names_are_cut_with_an_ellipsis() {
        assert_eq!(fit("short", 100.0, SIZE), "short");
        let cut = fit(&"Mixtral ".repeat(40), 100.0, SIZE);
        assert!(cut.ends_with('…') && width(&cut, SIZE) <= 100.0, "{cut}");
        assert!(width(&fit(&"W".repeat(99), 100.0, SIZE), SIZE) <= 100.0);
        assert_eq!(fit("a\u{1b}[2J", 100.0, SIZE), "a\\x1b[2J");
    }

    #[test]
    fn long_titles_are_wrapped_at_spaces() {
        let lines = wrapped("NVIDIA GeForce RTX 4090, llamafile", 120.0, SIZE);
        assert_eq!(lines, ["NVIDIA GeForce", "RTX 4090,", "llamafile"]);
        let lines = wrapped(&"W".repeat(30), 120.0, SIZE);
        assert_eq!(lines.concat(), "W".repeat(30));
        assert!(lines.iter().all(|line| width(line, SIZE) <= 120.0));
        assert!(wrapped("  ", 120.0, SIZE).is_empty());
    }
}
