//! The report: one self-contained HTML page without scripts.
//!
//! It consists of plain text, tables and pictures, and is independent of the store. The templates
//! escape every text, after control characters and characters that reorder text are made printable.

mod table;

pub(crate) use table::{Cell, Table};

use maud::{DOCTYPE, Markup, PreEscaped, Render, html};

use base::{WIDEST, shortened};
use picture::{Picture, STYLE, Tone};

/// The page.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    /// The heading.
    pub title: String,
    /// What is on it, such as `64 runs, 18 configurations`; may be empty.
    pub summary: String,
    /// Remarks, for example on what is left out; may be empty.
    pub remarks: Vec<String>,
    /// What the runs of each tool have to say.
    pub parts: Vec<Part>,
}

/// What the page has of the runs of one tool.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// What all of them have to say.
    pub sections: Vec<Section>,
    /// A section for each configuration.
    pub configurations: Vec<Section>,
}

/// A part of the page with a heading.
#[derive(Debug, Clone)]
pub(crate) struct Section {
    /// What links to it; unique on the page.
    pub id: String,
    /// The heading.
    pub title: String,
    /// Its contents.
    pub blocks: Vec<Block>,
}

/// A part of a section.
#[derive(Debug, Clone)]
pub(crate) enum Block {
    /// A sentence.
    Text(String),
    /// The answer, which comes first.
    Answer(Cell),
    /// What the section is about, less important than the rest.
    Facts(String),
    /// A command for the reader.
    Command(String),
    /// Changes, one a line.
    News(Vec<News>),
    /// Pictures, side by side if there is room.
    Pictures(Vec<Picture>),
    /// A table.
    Table(Table),
    /// Two groups, side by side if there is room.
    Beside(Vec<Block>, Vec<Block>),
    /// What is closed until its line is clicked.
    Closed(String, Vec<Block>),
}

/// A change of level.
#[derive(Debug, Clone)]
pub(crate) struct News {
    /// Where on the page there is more: the id of a section.
    pub section: String,
    /// Its run, with the sign of the change.
    pub run: String,
    /// When.
    pub date: String,
    /// The change in words.
    pub change: Cell,
    /// What changed.
    pub configuration: String,
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
                        @if !self.summary.is_empty() {
                            p { (Words(&self.summary)) }
                        }
                    }
                    @for remark in &self.remarks {
                        p { (Words(remark)) }
                    }
                    main {
                        @for part in &self.parts {
                            @for section in &part.sections {
                                (section)
                            }
                            div class="configurations" {
                                @for section in &part.configurations {
                                    (section)
                                }
                            }
                        }
                    }
                }
            }
        };
        page.into_string() + "\n"
    }
}

impl Render for Section {
    fn render(&self) -> Markup {
        html! {
            section id=(self.id) {
                h2 { (Words(&self.title)) }
                @for block in &self.blocks {
                    (block)
                }
            }
        }
    }
}

impl Render for Block {
    fn render(&self) -> Markup {
        html! {
            @match self {
                Self::Text(words) => p { (Words(words)) },
                Self::Answer(words) => p class="answer" { (words) },
                Self::Facts(words) => p class="facts" { (Words(words)) },
                Self::Command(words) => p { code { (Words(words)) } },
                Self::News(news) => {
                    ul class="news" {
                        @for one in news { li { (one) } }
                    }
                },
                Self::Pictures(pictures) => {
                    div class="pictures" {
                        @for picture in pictures { (picture.element()) }
                    }
                },
                Self::Table(table) => (table),
                Self::Beside(left, right) => {
                    div class="beside" {
                        @for group in [left, right] {
                            div { @for block in group { (block) } }
                        }
                    }
                },
                Self::Closed(title, blocks) => {
                    details {
                        summary { (Words(title)) }
                        @for block in blocks { (block) }
                    }
                },
            }
        }
    }
}

impl Render for News {
    fn render(&self) -> Markup {
        html! {
            span { a href={ "#" (self.section) } { (Words(&self.run)) } } " "
            span { (Words(&self.date)) } " "
            span { (self.change) } " "
            span { (Words(&self.configuration)) }
        }
    }
}

/// The class of what is better or worse.
fn class(tone: Tone) -> Option<&'static str> {
    match tone {
        Tone::Better => Some("better"),
        Tone::Worse => Some("worse"),
        Tone::Neutral => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use base::Column;

    fn page(name: &str) -> Page {
        let text = || name.to_owned();
        let table = Table {
            caption: text(),
            heads: vec![(text(), Column::Number)],
            groups: vec![(
                text(),
                vec![vec![Cell::from(name).link(format!("#{name}"))]],
            )],
        };
        let news = News {
            section: "c0".to_owned(),
            run: text(),
            date: text(),
            change: Cell::from(name),
            configuration: text(),
        };
        let blocks = vec![
            Block::Text(text()),
            Block::Answer(Cell::from(name)),
            Block::Facts(text()),
            Block::Command(text()),
            Block::News(vec![news]),
            Block::Closed(text(), vec![Block::Table(table)]),
        ];
        let section = Section {
            id: "c0".to_owned(),
            title: text(),
            blocks,
        };
        Page {
            title: text(),
            summary: text(),
            remarks: vec![text()],
            parts: vec![Part {
                sections: vec![section.clone()],
                configurations: vec![section],
            }],
        }
    }

    #[test]
    fn names_are_escaped() {
        let page = page("</title><script>\"x' & \u{202e}\u{1b}[2J").html();
        assert!(!page.contains("<script"));
        assert!(!page.contains(['\u{202e}', '\u{1b}']));
        assert!(page.contains("&lt;/title&gt;&lt;script&gt;&quot;x' &amp; \\u{202e}\\x1b[2J"));
    }

    #[test]
    fn only_a_place_on_the_web_or_on_the_page_is_a_link() {
        for (address, is_link) in [
            ("https://www.localscore.ai/result/7", true),
            ("http://127.0.0.1:8377/result/7", true),
            ("#c0", true),
            ("javascript:alert(1)", false),
            ("JavaScript:alert(1)", false),
            ("data:text/html,x", false),
            ("7", false),
        ] {
            let cell = Cell::from("7").link(address).render().into_string();
            assert_eq!(cell.contains("<a "), is_link, "{address}");
        }
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
