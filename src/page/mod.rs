//! The report: one self-contained HTML page without scripts.
//!
//! It consists of plain text, tables and pictures, and is independent of the store. The templates
//! escape every text, after control characters and characters that reorder text are made printable.

mod table;

pub(crate) use table::{Cell, Table};

use maud::{DOCTYPE, Markup, PreEscaped, Render, html};

use base::{WIDEST, shortened};
use picture::{Picture, STYLE};

/// The page.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    /// The heading.
    pub title: String,
    /// Names and values under the title.
    pub facts: Vec<(&'static str, String)>,
    /// The first part, such as the best runs.
    pub first: Part,
    /// The other parts, in groups.
    pub chapters: Vec<Chapter>,
    /// Remarks, for example on what is left out; may be empty.
    pub remarks: Vec<String>,
}

/// Related sections, such as those of a model.
#[derive(Debug, Clone)]
pub(crate) struct Chapter {
    /// The heading.
    pub title: String,
    /// Its parts.
    pub parts: Vec<Part>,
}

/// A section with pictures and tables.
#[derive(Debug, Clone, Default)]
pub(crate) struct Part {
    /// The heading.
    pub title: String,
    /// The paragraphs before them.
    pub paragraphs: Vec<String>,
    /// The pictures.
    pub pictures: Vec<Picture>,
    /// The tables.
    pub tables: Vec<Table>,
}

/// Untrusted text, which is cut if it is absurdly long.
#[derive(Debug, Clone, Copy)]
struct Words<'a>(&'a str);

impl Render for Words<'_> {
    fn render_to(&self, buffer: &mut String) {
        shortened(self.0, 4 * WIDEST).as_ref().render_to(buffer);
    }
}

/// The page may only use its own style.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; \
base-uri 'none'; form-action 'none'";

const PAGE_STYLE: &str = include_str!("page.css");

impl Page {
    /// The page as HTML.
    pub(crate) fn html(&self) -> String {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta http-equiv="Content-Security-Policy" content=(POLICY);
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="generator" content=(concat!("localstore ", env!("CARGO_PKG_VERSION")));
                    title { (Words(&self.title)) }
                    style { (PreEscaped(PAGE_STYLE)) (PreEscaped(STYLE)) }
                }
                body {
                    header {
                        h1 { (Words(&self.title)) }
                        dl {
                            @for (name, value) in &self.facts {
                                div { dt { (name) } dd { (Words(value)) } }
                            }
                        }
                        @for remark in &self.remarks {
                            p { (Words(remark)) }
                        }
                    }
                    (self.contents())
                    main {
                        section id="first" {
                            h2 { (Words(&self.first.title)) }
                            (self.first.body())
                        }
                        @for (number, chapter) in self.chapters.iter().enumerate() {
                            section id={ "c" (number) } {
                                h2 { (Words(&chapter.title)) }
                                @for (part, one) in chapter.parts.iter().enumerate() {
                                    section id={ "c" (number) "-" (part) } {
                                        h3 { (Words(&one.title)) }
                                        (one.body())
                                    }
                                }
                            }
                        }
                    }
                }
            }
        };
        page.into_string() + "\n"
    }

    fn contents(&self) -> Markup {
        html! {
            nav aria-label="Contents" {
                ul {
                    li { a href="#first" { (Words(&self.first.title)) } }
                    @for (number, chapter) in self.chapters.iter().enumerate() {
                        li {
                            a href={ "#c" (number) } { (Words(&chapter.title)) }
                            ul {
                                @for (part, one) in chapter.parts.iter().enumerate() {
                                    li {
                                        a href={ "#c" (number) "-" (part) } {
                                            (Words(&one.title))
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

impl Part {
    fn body(&self) -> Markup {
        html! {
            @for words in &self.paragraphs {
                p { (Words(words)) }
            }
            @if !self.pictures.is_empty() {
                div class="pictures" {
                    @for picture in &self.pictures {
                        (picture.element())
                    }
                }
            }
            @for table in &self.tables {
                (table)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use base::Column;

    fn page(name: &str) -> Page {
        let part = Part {
            title: name.to_owned(),
            paragraphs: vec![name.to_owned()],
            pictures: Vec::new(),
            tables: vec![Table {
                caption: name.to_owned(),
                heads: vec![("run", Column::Number)],
                groups: vec![(name.to_owned(), vec![vec![Cell::from(name)]])],
            }],
        };
        Page {
            title: name.to_owned(),
            facts: vec![("store", name.to_owned())],
            first: part.clone(),
            chapters: vec![Chapter {
                title: name.to_owned(),
                parts: vec![part],
            }],
            remarks: vec![name.to_owned()],
        }
    }

    #[test]
    fn names_are_escaped() {
        let page = page("</title><script>\"x' & \u{202e}\u{1b}[2J").html();
        assert!(!page.contains("<script"));
        assert!(!page.contains(['\u{202e}', '\u{1b}']));
        assert!(page.contains("&lt;/title&gt;&lt;script&gt;&quot;x' &amp; \\u{202e}\\x1b[2J"));
    }

    proptest! {
        /// The page has the same elements whatever the names are.
        #[test]
        fn names_add_no_markup(name in any::<String>().prop_filter("a name", |n| !n.is_empty())) {
            let tags = |page: &str| page.matches('<').count();
            let (hostile, harmless) = (page(&name).html(), page("name").html());
            prop_assert_eq!(tags(&hostile), tags(&harmless));
            prop_assert!(!hostile.contains(|c: char| c.is_control() && c != '\n'));
        }
    }
}
