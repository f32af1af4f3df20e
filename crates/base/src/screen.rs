//! What people read on: its width and its colours.

use crate::text::fold;

/// The place that text for people is made for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Screen {
    /// Its width in columns; `None`: lines may have any length.
    pub width: Option<usize>,
    /// Whether text may be painted.
    pub color: bool,
}

/// The narrowest screen that text is made for.
const NARROWEST: usize = 40;

/// The meaning of a piece of text, which gives it its colour. The text says the same without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// For the worse: red.
    Worse,
    /// For the better: green.
    Better,
    /// Not decided: yellow.
    Undecided,
    /// A remark.
    Dim,
    /// The best.
    Bold,
}

impl Screen {
    /// The screen behind a stream: as wide as the terminal, else as `COLUMNS` says, else unlimited.
    #[must_use]
    pub(crate) fn of(is_terminal: bool, size: Option<u16>) -> Self {
        let told = || std::env::var("COLUMNS").ok()?.parse().ok();
        let size = size.filter(|_| is_terminal);
        let width = size.map(usize::from).or_else(told);
        let is_dumb = || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let has_color = is_terminal && super::color_wanted() && !is_dumb();
        #[cfg(windows)]
        let has_color = has_color && crate::console::obeys_escapes();
        Self {
            width: width.map(|width| width.max(NARROWEST)),
            color: has_color,
        }
    }

    /// The text with its colour, if there are colours here. It must be printable.
    #[must_use]
    pub fn paint(self, style: Style, text: &str) -> String {
        let code = match style {
            Style::Worse => "31",
            Style::Better => "32",
            Style::Undecided => "33",
            Style::Dim => "2",
            Style::Bold => "1",
        };
        if self.color && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    /// The text on as many lines as it needs here, without a newline at the end. It must not be
    /// painted yet.
    #[must_use]
    pub fn fold(self, text: &str) -> String {
        match self.width {
            Some(width) => fold(text, width),
            None => text.to_owned(),
        }
    }
}
