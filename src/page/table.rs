//! The tables of the page.

use maud::{Markup, Render, html};

use super::Words;
use base::Column;
use picture::Tone;

/// A table, which scrolls in its own box if it is too wide; its first column stays in sight.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    /// What it shows.
    pub caption: String,
    /// The columns.
    pub heads: Vec<(String, Column)>,
    /// The rows in groups, each with its title, which may be empty. The first cell of a row is its
    /// head.
    pub groups: Vec<(String, Vec<Vec<Cell>>)>,
}

/// A cell, or a phrase.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cell {
    /// Its text.
    pub text: String,
    /// Better or worse, which sets the colour.
    pub tone: Tone,
    /// What it links to: an address on the web, or `#` and the id of a section.
    link: Option<String>,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }
}

impl Cell {
    /// It with its tone.
    pub(crate) fn tone(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }

    /// It with a link; the address of anything else than a place on the web or on the page is
    /// ignored.
    pub(crate) fn link(self, address: impl Into<String>) -> Self {
        let address = address.into();
        let is_place = ["#", "http://", "https://"]
            .iter()
            .any(|start| address.starts_with(start));
        Self {
            link: is_place.then_some(address),
            ..self
        }
    }
}

impl Render for Cell {
    fn render(&self) -> Markup {
        let text = html! {
            @match super::class(self.tone) {
                Some(class) => b class=(class) { (Words(&self.text)) },
                None => (Words(&self.text)),
            }
        };
        html! {
            @match &self.link {
                Some(address) => a href=(Words(address)) rel="noreferrer" { (text) },
                None => (text),
            }
        }
    }
}

fn class(column: Column) -> Option<&'static str> {
    match column {
        Column::Text | Column::Short(_) | Column::Long(_) => Some("text"),
        Column::Whole => None,
        Column::Number => Some("number"),
    }
}

impl Render for Table {
    fn render(&self) -> Markup {
        html! {
            figure {
                figcaption {
                    span { (Words(&self.caption)) }
                    span class="cue" aria-hidden="true" { "scroll →" }
                }
                // The keyboard can scroll only an element that can have the focus.
                div class="table" tabindex="0" role="region" aria-label=(Words(&self.caption)) {
                    table {
                        thead {
                            tr {
                                @for (name, column) in &self.heads {
                                    th scope="col" class=[class(*column)] { (Words(name)) }
                                }
                            }
                        }
                        @for (title, rows) in &self.groups {
                            tbody {
                                @if !title.is_empty() {
                                    tr {
                                        th scope="rowgroup" colspan=(self.heads.len()) {
                                            (Words(title))
                                        }
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
}

impl Table {
    fn row(&self, row: &[Cell]) -> Markup {
        html! {
            tr {
                @for (index, (cell, (_, column))) in row.iter().zip(&self.heads).enumerate() {
                    @let class = class(*column);
                    @if index == 0 {
                        th scope="row" class=[class] { (cell) }
                    } @else {
                        td class=[class] { (cell) }
                    }
                }
            }
        }
    }
}
