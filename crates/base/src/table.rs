//! Tables for a terminal and for Markdown.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::error::Result;
use crate::screen::{Screen, Style};
use crate::streams::Stdout;
use crate::text::{cut_all, printable};

/// The layout of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// Text that is cut if the screen is narrow.
    Text,
    /// The same, and it takes no more than this as long as other text would be cut for it.
    Short(usize),
    /// Text that keeps this much, as long as other columns can be left out or cut for it.
    Long(usize),
    /// Text that is never cut.
    Whole,
    /// Aligned right and never cut. A mark behind the number (`p`, `*`, `▲`, `▼`) hangs over, so that
    /// digits stand under digits.
    Number,
}

/// The markup of a document for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Markup {
    /// Plain text.
    Text(Screen),
    /// Markdown.
    Markdown,
}

impl Markup {
    /// A line of a list, with control characters and markup escaped.
    #[must_use]
    pub fn item(self, text: &str) -> String {
        match self {
            Self::Text(screen) => format!("{}\n", screen.fold(&printable(text))),
            Self::Markdown => format!("- {}\n", markdown(text)),
        }
    }

    /// The table in this markup.
    #[must_use]
    pub fn table(self, table: &Table) -> String {
        match self {
            Self::Text(screen) => table.render(screen),
            Self::Markdown => table.markdown(),
        }
    }
}

/// The head of a column, its layout, and the cell of an item.
pub type ColumnOf<T> = (&'static str, Column, fn(&T) -> String);

/// The style of a cell, from its text.
type StyleOf = fn(&str) -> Option<Style>;

/// A table of text.
pub struct Table {
    columns: Vec<Cells>,
}

struct Cells {
    head: String,
    layout: Column,
    texts: Vec<String>,
    style: Option<StyleOf>,
}

/// A column is not made narrower than this, as long as another one can be.
const NARROW: usize = 12;

/// The maximum width of a cell, since measuring is slow for long text.
pub const WIDEST: usize = 500;

/// The most characters that share one column, such as a letter with its marks or a joined emoji.
const MARKS: usize = 8;

/// Between two columns.
const GAP: &str = "  ";

impl Table {
    /// A table with these columns.
    #[must_use]
    pub fn new<S: AsRef<str>>(columns: &[(S, Column)]) -> Self {
        let columns = columns.iter().map(|(head, layout)| Cells {
            head: printable(head.as_ref()).into_owned(),
            layout: *layout,
            texts: Vec::new(),
            style: None,
        });
        Self {
            columns: columns.collect(),
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
    pub fn column(&mut self, head: &str, layout: Column, cells: impl Iterator<Item = String>) {
        self.columns.push(Cells {
            head: printable(head).into_owned(),
            layout,
            texts: cells.map(|cell| cell_text(&cell)).collect(),
            style: None,
        });
    }

    /// Adds a row; a cell that is missing at its end is empty. Control characters are escaped, and very
    /// long text is cut.
    pub fn row<S: AsRef<str>>(&mut self, cells: &[S]) {
        for (index, column) in self.columns.iter_mut().enumerate() {
            let cell = cells.get(index).map_or("", AsRef::as_ref);
            column.texts.push(cell_text(cell));
        }
    }

    /// Paints the cells of the columns of that head.
    pub fn paint(&mut self, head: &str, style: StyleOf) {
        for column in self.columns.iter_mut().filter(|column| column.head == head) {
            column.style = Some(style);
        }
    }

    /// Leaves out columns until the rows fit on the screen: the first of these that there is, then the
    /// next one. Returns the heads of those left out.
    pub fn leave_out<'a>(&mut self, screen: Screen, least_important: &[&'a str]) -> Vec<&'a str> {
        let mut left_out = Vec::new();
        for head in least_important {
            let least = spaced(self.columns.iter().map(Cells::least_width));
            if screen.width.is_none_or(|width| least <= width) {
                break;
            }
            let before = self.columns.len();
            self.columns.retain(|column| column.head != *head);
            if self.columns.len() < before {
                left_out.push(*head);
            }
        }
        left_out
    }

    /// Prints it; a narrow screen gets it without some of the least important columns, which a note names.
    pub fn print(mut self, least_important: &[&str], out: &mut Stdout) -> Result<()> {
        let screen = out.screen();
        let hidden = self.leave_out(screen, least_important);
        out.styled(self.render(screen).as_bytes())?;
        if !hidden.is_empty() {
            let hidden = hidden.join(", ");
            out.note(&format!("hidden: {hidden}; '-o jsonl' has all"));
        }
        Ok(())
    }

    /// The table in plain text, every row one line. On a screen of limited width long text is cut.
    #[must_use]
    pub fn render(&self, screen: Screen) -> String {
        let mut columns: Vec<Shown> = self.columns.iter().map(Shown::of).collect();
        if let Some(width) = screen.width {
            for index in 0..columns.len() {
                let all = spaced(columns.iter().map(Shown::width));
                let column = &mut columns[index];
                if let Column::Short(most) = column.layout {
                    let others = all - column.width();
                    column.cut(most.max(width.saturating_sub(others)));
                }
            }
            // First to a legible width, then to any.
            for least in [NARROW, 1] {
                let widest = columns.iter().map(|column| column.width).max();
                let fits = |most: &usize| {
                    let widths = columns.iter().map(|column| column.within(*most, least));
                    spaced(widths) <= width
                };
                let most = (least..=widest.unwrap_or(0))
                    .rev()
                    .find(fits)
                    .unwrap_or(least);
                for column in &mut columns {
                    column.cut(column.within(most, least) - column.hang);
                }
            }
        }
        let rows = columns.first().map_or(0, |column| column.cells.len());
        let mut text = String::new();
        for row in std::iter::once(None).chain((0..rows).map(Some)) {
            let mut line = String::new();
            for (column, cells) in columns.iter().zip(&self.columns) {
                if !line.is_empty() {
                    line += GAP;
                }
                let style = row.and_then(|row| cells.style?(cells.texts.get(row)?));
                line += &column.padded(row, style.map(|style| (screen, style)));
            }
            text += line.trim_end();
            text.push('\n');
        }
        text
    }

    /// The table as Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let cells = |column: &Cells| {
            let cells = column.texts.iter().map(|cell| markdown(cell));
            let texts = std::iter::once(markdown(&column.head)).chain(cells);
            let texts: Vec<String> = texts.collect();
            let width = texts.iter().map(|text| text.width()).max().unwrap_or(0);
            (texts, width, column.layout)
        };
        let columns: Vec<_> = self.columns.iter().map(cells).collect();
        let rows = columns.first().map_or(0, |(texts, _, _)| texts.len());
        let mut text = String::new();
        for row in 0..rows {
            for (texts, width, layout) in &columns {
                let cell = texts.get(row).map_or("", String::as_str);
                let cell = padded(cell, *width, *layout == Column::Number);
                text.extend(["| ", &cell, " "]);
            }
            text += "|\n";
            if row == 0 {
                for (_, width, layout) in &columns {
                    let end = if *layout == Column::Number { ":" } else { "-" };
                    text.extend(["|", &"-".repeat(width + 1), end]);
                }
                text += "|\n";
            }
        }
        text
    }
}

/// The text of a cell as it is kept.
fn cell_text(text: &str) -> String {
    shortened(text, WIDEST).into_owned()
}

impl Cells {
    /// The width below which it is only cut if nothing else can be.
    fn least_width(&self) -> usize {
        Shown::of(self).within(NARROW, NARROW)
    }
}

/// A column as it is shown.
struct Shown<'a> {
    head: &'a str,
    layout: Column,
    wholes: &'a [String],
    cells: Vec<Cow<'a, str>>,
    /// The width of the marks that hang over.
    hang: usize,
    width: usize,
}

impl<'a> Shown<'a> {
    fn of(column: &'a Cells) -> Self {
        let cells: Vec<Cow<'_, str>> = column
            .texts
            .iter()
            .map(|cell| cell.as_str().into())
            .collect();
        let mut shown = Self {
            head: &column.head,
            layout: column.layout,
            wholes: &column.texts,
            cells,
            hang: 0,
            width: 0,
        };
        shown.measure();
        shown
    }

    fn measure(&mut self) {
        let hangs = self.cells.iter().map(|cell| self.hang_of(cell));
        self.hang = hangs.max().unwrap_or(0);
        let widths = self
            .cells
            .iter()
            .map(|cell| cell.width() - self.hang_of(cell));
        self.width = widths.max().unwrap_or(0).max(self.head.width());
    }

    fn hang_of(&self, cell: &str) -> usize {
        if self.layout != Column::Number {
            return 0;
        }
        let number = cell.trim_end_matches(['p', '*', '▲', '▼', ' ']);
        if number.ends_with(|c: char| c.is_ascii_digit()) {
            cell[number.len()..].width()
        } else {
            0
        }
    }

    fn width(&self) -> usize {
        self.width + self.hang
    }

    fn least(&self, least: usize) -> usize {
        least.max(self.head.width())
    }

    /// Its width if it is cut to this one, but not below the least.
    fn within(&self, most: usize, least: usize) -> usize {
        match self.layout {
            Column::Short(short) => self.width.min(most.max(self.least(least.min(short)))),
            Column::Long(long) if least > 1 => self.width.min(most.max(self.least(long))),
            Column::Text | Column::Long(_) => self.width.min(most.max(self.least(least))),
            Column::Whole | Column::Number => self.width(),
        }
    }

    fn cut(&mut self, width: usize) {
        let width = width.max(self.head.width());
        if self.width <= width {
            return;
        }
        let wholes: Vec<&str> = self.wholes.iter().map(String::as_str).collect();
        self.cells = cut_all(&wholes, width)
            .into_iter()
            .map(Cow::Owned)
            .collect();
        self.measure();
    }

    /// The cell of that row, or the head, with the spaces that it needs.
    fn padded(&self, row: Option<usize>, paint: Option<(Screen, Style)>) -> String {
        let text = match row {
            None => self.head,
            Some(row) => self.cells.get(row).map_or("", |cell| cell),
        };
        let hang = row.map_or(0, |_| self.hang_of(text));
        let is_number = self.layout == Column::Number;
        let spaces = self.width.saturating_sub(text.width() - hang);
        let after = self.hang - hang.min(self.hang);
        let text = match paint {
            Some((screen, style)) => screen.paint(style, text),
            None => text.to_owned(),
        };
        if is_number {
            format!("{}{text}{}", " ".repeat(spaces), " ".repeat(after))
        } else {
            format!("{text}{}", " ".repeat(spaces))
        }
    }
}

/// The width of a row of cells of these widths.
fn spaced(widths: impl ExactSizeIterator<Item = usize>) -> usize {
    let gaps = GAP.len() * widths.len().saturating_sub(1);
    widths.sum::<usize>() + gaps
}

fn padded(text: &str, width: usize, is_number: bool) -> String {
    let spaces = " ".repeat(width.saturating_sub(text.width()));
    if is_number {
        spaces + text
    } else {
        text.to_owned() + &spaces
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

    fn screen(width: usize) -> Screen {
        Screen {
            width: Some(width),
            color: false,
        }
    }

    #[test]
    fn a_short_row_has_empty_cells_at_its_end() {
        let mut table = Table::new(&[("a", Column::Text), ("b", Column::Number)]);
        table.row(&["head"]);
        table.row(&["x", "1"]);
        assert_eq!(table.render(screen(80)), "a     b\nhead\nx     1\n");
    }

    fn table() -> Table {
        let columns = [
            ("id", Column::Number),
            ("model", Column::Text),
            ("accelerator", Column::Short(15)),
            ("score", Column::Number),
            ("tags", Column::Text),
        ];
        let mut table = Table::new(&columns);
        table.row(&["68", "Meta Llama 3.1 8B Instruct", "RTX 4090", "1576p", ""]);
        table.row(&[
            "7",
            "通义千问 Qwen3 🚀 14B Chat",
            "RTX PRO 6000 Blackwell",
            "~541",
            "rec",
        ]);
        table
    }

    #[test]
    fn columns_share_what_room_there_is() {
        let shown = |width| table().render(screen(width));
        insta::assert_snapshot!(shown(80), @r"
        id  model                       accelerator             score   tags
        68  Meta Llama 3.1 8B Instruct  RTX 4090                 1576p
         7  通义千问 Qwen3 🚀 14B Chat  RTX PRO 6000 Blackwell   ~541   rec
        ");
        insta::assert_snapshot!(shown(50), @r"
        id  model            accelerator    score   tags
        68  Meta Llama 3.1…  RTX 4090        1576p
         7  通义千问 Qwen3…  RTX PRO 6000…   ~541   rec
        ");
        insta::assert_snapshot!(table().render(Screen::default()), @r"
        id  model                       accelerator             score   tags
        68  Meta Llama 3.1 8B Instruct  RTX 4090                 1576p
         7  通义千问 Qwen3 🚀 14B Chat  RTX PRO 6000 Blackwell   ~541   rec
        ");
        for width in 40..100 {
            for line in shown(width).lines() {
                assert!(line.width() <= width, "{width}: {line}");
            }
        }
    }

    #[test]
    fn the_least_important_columns_are_left_out_first() {
        let mut narrow = table();
        let left_out = narrow.leave_out(screen(30), &["tags", "accelerator", "score"]);
        assert_eq!(left_out, ["tags", "accelerator"]);
        insta::assert_snapshot!(narrow.render(screen(30)), @r"
        id  model               score
        68  Meta Llama 3.1 8B…   1576p
         7  通义千问 Qwen3 🚀…   ~541
        ");
        assert!(table().leave_out(screen(80), &["tags"]).is_empty());
        assert!(table().leave_out(Screen::default(), &["tags"]).is_empty());
    }

    #[test]
    fn a_painted_cell_stands_where_the_plain_one_does() {
        let mut table = table();
        table.paint("score", |score| {
            score.ends_with('p').then_some(Style::Worse)
        });
        let mut colors = screen(80);
        assert_eq!(table.render(colors), self::table().render(colors));
        colors.color = true;
        let painted = table.render(colors);
        assert!(painted.contains(" \x1b[31m1576p\x1b[0m"), "{painted:?}");
        let plain = painted.replace("\x1b[31m", "").replace("\x1b[0m", "");
        assert_eq!(plain, self::table().render(screen(80)));
    }

    #[test]
    fn markdown_has_its_numbers_on_the_right() {
        insta::assert_snapshot!(table().markdown(), @r"
        | id | model                      | accelerator            | score | tags |
        |---:|----------------------------|------------------------|------:|------|
        | 68 | Meta Llama 3.1 8B Instruct | RTX 4090               | 1576p |      |
        |  7 | 通义千问 Qwen3 🚀 14B Chat | RTX PRO 6000 Blackwell |  ~541 | rec  |
        ");
    }
}
