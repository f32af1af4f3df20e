//! The tables of the page.

use maud::{Markup, Render, html};

use super::Words;
use base::Column;
use picture::Tone;

/// A table, which scrolls in its own box if it is too wide.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    /// What it shows.
    pub caption: String,
    /// The columns.
    pub heads: Vec<(&'static str, Column)>,
    /// The rows in groups, each with its title, which may be empty. The first cell of a row is its
    /// head.
    pub groups: Vec<(String, Vec<Vec<Cell>>)>,
}

/// A cell.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cell {
    /// Its text.
    pub text: String,
    /// Better or worse, which sets the colour.
    pub tone: Tone,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self {
            text: text.into(),
            tone: Tone::Neutral,
        }
    }
}

impl Cell {
    fn class(&self, column: Column) -> Option<&'static str> {
        match self.tone {
            Tone::Better => Some("better"),
            Tone::Worse => Some("worse"),
            Tone::Neutral => class(column),
        }
    }
}

fn class(column: Column) -> Option<&'static str> {
    match column {
        Column::Text | Column::Short(_) => Some("text"),
        Column::Whole => None,
        Column::Number => Some("number"),
    }
}

impl Render for Table {
    fn render(&self) -> Markup {
        html! {
            // The keyboard can scroll only an element that can have the focus.
            div class="table" tabindex="0" role="region" aria-label=(Words(&self.caption)) {
                table {
                    caption { (Words(&self.caption)) }
                    thead {
                        tr {
                            @for (name, column) in &self.heads {
                                th scope="col" class=[class(*column)] { (name) }
                            }
                        }
                    }
                    @for (title, rows) in &self.groups {
                        tbody {
                            @if !title.is_empty() {
                                tr {
                                    th scope="rowgroup" colspan=(self.heads.len()) { (Words(title)) }
                                }
                            }
                            @for row in rows { (self.row(row)) }
                        }
                    }
                }
            }
        }
    }
}

impl Table {
    fn row(&self, row: &[Cell]) -> Markup {
        html! {
            tr {
                @for (index, (cell, (_, column))) in row.iter().zip(&self.heads).enumerate() {
                    @let class = cell.class(*column);
                    @if index == 0 {
                        th scope="row" class=[class] { (Words(&cell.text)) }
                    } @else {
                        td class=[class] { (Words(&cell.text)) }
                    }
                }
            }
        }
    }
}
