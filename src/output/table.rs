//! Tables for a terminal and for Markdown.

use std::borrow::Cow;

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Width};

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::terminal::printable;

/// A table of text: a header, rows, some columns aligned right.
pub struct Table {
    inner: comfy_table::Table,
    right: Vec<bool>,
}

impl Table {
    /// A table with these columns; a name that begins with `>` is aligned right.
    #[must_use]
    pub fn new(columns: &[&str]) -> Self {
        let mut inner = comfy_table::Table::new();
        let right: Vec<bool> = columns.iter().map(|name| name.starts_with('>')).collect();
        inner.set_header(columns.iter().map(|name| name.trim_start_matches('>')));
        Self { inner, right }
    }

    /// Adds a row; control characters in it are escaped.
    pub fn row<S: AsRef<str>>(&mut self, cells: &[S]) {
        self.inner.add_row(
            cells
                .iter()
                .map(|cell| printable(cell.as_ref()).into_owned()),
        );
    }

    /// The table for a terminal, `width` columns wide at most, long cells wrapped.
    #[must_use]
    pub fn render(mut self, width: Option<u16>) -> String {
        self.inner.load_preset(comfy_table::presets::NOTHING);
        if let Some(width) = width {
            self.inner
                .set_content_arrangement(ContentArrangement::Dynamic);
            self.inner.set_width(width);
        }
        self.align();
        for (index, column) in self.inner.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            // Numbers and dates stay whole; names give way.
            if self.right[index] || index == 0 {
                column.set_constraint(ColumnConstraint::ContentWidth);
            } else {
                column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(10)));
            }
        }
        trim_lines(&self.inner.to_string())
    }

    /// The table as Markdown.
    #[must_use]
    pub fn markdown(mut self) -> String {
        self.inner.load_preset(comfy_table::presets::ASCII_MARKDOWN);
        self.align();
        let mut lines: Vec<String> = self.inner.to_string().lines().map(str::to_owned).collect();
        // The preset knows no alignment marks.
        if let Some(rule) = lines.get_mut(1) {
            let cells: Vec<String> = rule
                .trim_matches('|')
                .split('|')
                .zip(&self.right)
                .map(|(cell, &right)| match (right, cell.len()) {
                    (true, n) if n > 1 => format!("{}:", &cell[..n - 1]),
                    _ => cell.to_owned(),
                })
                .collect();
            *rule = format!("|{}|", cells.join("|"));
        }
        lines.join("\n") + "\n"
    }

    fn align(&mut self) {
        for (column, &right) in self.inner.column_iter_mut().zip(&self.right) {
            if right {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
}

/// The text made printable and, if it is wider than this on a terminal, cut.
#[must_use]
pub fn shortened(text: &str, columns: usize) -> Cow<'_, str> {
    let text = printable(text);
    if text.width() <= columns {
        return text;
    }
    let mut room = columns.saturating_sub(1);
    let end = text.char_indices().find(|(_, c)| {
        let width = c.width().unwrap_or_default();
        let is_over = width > room;
        room = room.saturating_sub(width);
        is_over
    });
    let end = end.map_or(text.len(), |(end, _)| end);
    // A joiner with nothing behind it would join the mark of the cut.
    Cow::Owned(format!("{}…", text[..end].trim_end_matches('\u{200d}')))
}

fn trim_lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_counts_columns_not_characters() {
        assert_eq!(shortened("short", 5), "short");
        assert_eq!(shortened("longer", 5), "long…");
        assert_eq!(shortened("中文中文", 8), "中文中文");
        assert_eq!(shortened("中文中文", 7), "中文中…");
        assert_eq!(shortened("中文中文", 6), "中文…");
        assert_eq!(
            shortened("e\u{301}e\u{301}e\u{301}", 3),
            "e\u{301}e\u{301}e\u{301}"
        );
        assert_eq!(shortened("👩\u{200d}👩\u{200d}👧 family", 4), "👩…");
        assert_eq!(shortened("a\nb", 80), "a\\nb");
        assert_eq!(shortened("abc", 0), "…");
    }
}
