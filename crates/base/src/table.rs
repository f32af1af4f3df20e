//! Tables for a terminal and for Markdown.

use std::borrow::Cow;

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Width};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::text::printable;

/// The layout of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// Text that is cut if the terminal is narrow.
    Text,
    /// Text that is never cut.
    Whole,
    /// Aligned right and never cut.
    Number,
}

/// The markup of a document for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Markup {
    /// Plain text, for a terminal of this width if there is one.
    Text(Option<u16>),
    /// Markdown.
    Markdown,
}

impl Markup {
    /// A line of a list, with control characters and markup escaped.
    #[must_use]
    pub fn item(self, text: &str) -> String {
        match self {
            Self::Text(_) => format!("{}\n", printable(text)),
            Self::Markdown => format!("- {}\n", markdown(text)),
        }
    }

    /// The table in this markup.
    #[must_use]
    pub fn table(self, table: Table) -> String {
        match self {
            Self::Text(width) => table.render(width),
            Self::Markdown => table.markdown(),
        }
    }
}

/// The head of a column, its layout, and the cell of an item.
pub type ColumnOf<T> = (&'static str, Column, fn(&T) -> String);

/// A table of text.
pub struct Table {
    inner: comfy_table::Table,
    columns: Vec<Column>,
}

/// The minimum width of a text column.
const MIN_WIDTH: u16 = 8;

/// The maximum width of a cell: the layout counts columns in 16 bits, and is slow for long text.
pub const WIDEST: usize = 500;

/// The most characters that share one column, such as a letter with its marks or a joined emoji.
const MARKS: usize = 8;

impl Table {
    /// A table with these columns.
    #[must_use]
    pub fn new<S: AsRef<str>>(columns: &[(S, Column)]) -> Self {
        let mut inner = comfy_table::Table::new();
        inner.set_header(columns.iter().map(|(name, _)| name.as_ref()));
        Self {
            inner,
            columns: columns.iter().map(|(_, column)| *column).collect(),
        }
    }

    /// A table with a row for each item.
    #[must_use]
    pub fn of<T>(items: &[T], columns: &[ColumnOf<T>]) -> Self {
        let heads: Vec<_> = columns
            .iter()
            .map(|&(name, kind, _)| (name, kind))
            .collect();
        let mut table = Self::new(&heads);
        for item in items {
            let cells: Vec<String> = columns.iter().map(|(_, _, cell)| cell(item)).collect();
            table.row(&cells);
        }
        table
    }

    /// Adds a column after the others.
    pub fn column(&mut self, name: &str, kind: Column, cells: impl Iterator<Item = String>) {
        if let Some(heads) = self.inner.header() {
            let mut heads = heads.clone();
            heads.add_cell(name.into());
            self.inner.set_header(heads);
        }
        for (row, cell) in self.inner.row_iter_mut().zip(cells) {
            row.add_cell(cell.into());
        }
        self.columns.push(kind);
    }

    /// Adds a row. Control characters are escaped, and very long text is cut.
    pub fn row<S: AsRef<str>>(&mut self, cells: &[S]) {
        let cells = cells
            .iter()
            .map(|cell| shortened(cell.as_ref(), WIDEST).into_owned());
        self.inner.add_row(cells);
    }

    /// The table in plain text. With the width of a terminal, every row is one line, and long text
    /// is cut.
    #[must_use]
    pub fn render(mut self, width: Option<u16>) -> String {
        self.inner.load_preset(comfy_table::presets::NOTHING);
        if let Some(width) = width {
            self.inner
                .set_content_arrangement(ContentArrangement::Dynamic);
            self.inner.set_truncation_indicator("…");
            self.inner.set_width(width);
            for row in self.inner.row_iter_mut() {
                row.max_height(1);
            }
        }
        self.align();
        for (column, kind) in self.inner.column_iter_mut().zip(&self.columns) {
            column.set_padding((0, 2));
            column.set_constraint(match kind {
                Column::Text => ColumnConstraint::LowerBoundary(Width::Fixed(MIN_WIDTH)),
                Column::Whole | Column::Number => ColumnConstraint::ContentWidth,
            });
        }
        let lines = self.inner.to_string();
        lines
            .lines()
            .map(|line| line.trim_end().to_owned() + "\n")
            .collect()
    }

    /// The table as Markdown.
    #[must_use]
    pub fn markdown(mut self) -> String {
        for row in self.inner.row_iter_mut() {
            let cells: Vec<String> = row
                .cell_iter()
                .map(|cell| markdown(&cell.content()))
                .collect();
            *row = comfy_table::Row::from(cells);
        }
        self.inner.load_preset(comfy_table::presets::ASCII_MARKDOWN);
        self.align();
        let lines = self.inner.to_string();
        let mut markdown = String::new();
        for (index, line) in lines.lines().enumerate() {
            // The preset has no alignment marks.
            markdown += &if index == 1 {
                self.rule(line)
            } else {
                line.to_owned()
            };
            markdown.push('\n');
        }
        markdown
    }

    fn rule(&self, line: &str) -> String {
        let cells = line.trim_matches('|').split('|').zip(&self.columns);
        let marked = cells.map(|(cell, kind)| match (kind, cell.len()) {
            (Column::Number, n) if n > 1 => format!("{}:", &cell[..n - 1]),
            _ => cell.to_owned(),
        });
        format!("|{}|", marked.collect::<Vec<_>>().join("|"))
    }

    fn align(&mut self) {
        for (column, &kind) in self.inner.column_iter_mut().zip(&self.columns) {
            if kind == Column::Number {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
}

/// The text made printable, with the special characters of Markdown escaped.
#[must_use]
pub fn markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut before = ' ';
    let printable = printable(text);
    let mut chars = printable.chars().peekable();
    while let Some(c) = chars.next() {
        let special = match c {
            '\\' | '`' | '*' | '[' | ']' | '<' | '>' | '|' | '&' => true,
            // Inside a word it is an ordinary character.
            '_' => !before.is_alphanumeric() || !chars.peek().is_some_and(|c| c.is_alphanumeric()),
            _ => false,
        };
        if special {
            escaped.push('\\');
        }
        escaped.push(c);
        before = c;
    }
    escaped
}

/// The text made printable and, if it takes more than this number of columns, cut. Text far beyond
/// that width is not examined.
#[must_use]
pub fn shortened(text: &str, columns: usize) -> Cow<'_, str> {
    let most = text.char_indices().nth(columns.saturating_mul(MARKS));
    let end = most.map_or(text.len(), |(end, _)| end);
    let is_whole = end == text.len();
    let text = printable(&text[..end]);
    if is_whole && text.width() <= columns {
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
    // A trailing joiner would join the ellipsis.
    Cow::Owned(format!("{}…", text[..end].trim_end_matches('\u{200d}')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_markdown() {
        assert_eq!(markdown("Llama_3 Q4_K - Medium"), "Llama_3 Q4_K - Medium");
        assert_eq!(
            markdown("<img src=x> [a](b) `c` _d_ *e* a|b"),
            r"\<img src=x\> \[a\](b) \`c\` \_d\_ \*e\* a\|b"
        );
    }

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
        // Marks take no column, but neither are they endless.
        let marked = "e".to_owned() + &"\u{301}".repeat(100_000);
        assert_eq!(shortened(&marked, 2).chars().count(), 2 * MARKS + 1);
    }
}
