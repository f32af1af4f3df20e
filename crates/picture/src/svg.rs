//! The document: style, frame and basic shapes.

use maud::{Markup, PreEscaped, html};

use crate::text::{SIZE, TITLE_SIZE, wrapped};

/// The style of every picture, for a page with pictures; a standalone picture contains it.
///
/// Custom properties would be shorter, but not every SVG viewer supports them: they only move the legend
/// of a narrow picture. The series are blue, grey, teal and violet, which the colour-blind can
/// distinguish, each with its own dash and mark; the verdicts are darker, with a shape and a word. All have
/// a contrast of 3 or more against the background, text of 4.5.
pub const STYLE: &str = "\
svg.plot{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Liberation Sans',Arial,sans-serif;\
font-size:12px;max-width:100%;height:auto}\
svg.plot .paper{fill:#fff}\
svg.plot text{fill:#1f2328;white-space:pre}\
svg.plot .title{font-size:14px;font-weight:600}\
svg.plot .soft{fill:#59636e}\
svg.plot .grid{stroke:#d8dee4}\
svg.plot .axis{stroke:#59636e}\
svg.plot .line{fill:none;stroke:currentColor;stroke-width:1.5;stroke-linejoin:round}\
svg.plot .thin{stroke-width:1;stroke-opacity:.45}\
svg.plot .level{stroke-width:2;stroke-dasharray:7 4}\
svg.plot .mark{fill:currentColor;stroke:#fff;stroke-width:.75}\
svg.plot .dense .mark{stroke:none}\
svg.plot .guessed .mark,svg.plot .dense .guessed .mark{fill:#fff;stroke:currentColor;stroke-width:1.5}\
svg.plot .bar{fill:currentColor}\
svg.plot .again .bar{fill-opacity:.6}\
svg.plot .whisker,svg.plot .tick{stroke:#1f2328}\
svg.plot .tick{stroke-width:2;stroke-dasharray:3 2}\
svg.plot .halo{stroke:#fff;stroke-width:3}\
svg.plot .change{stroke-dasharray:2 3}\
svg.plot .better{stroke:#14532d}\
svg.plot .worse{stroke:#9a3412}\
svg.plot path.better,svg.plot text.better{fill:#14532d;stroke:none}\
svg.plot path.worse,svg.plot text.worse{fill:#9a3412;stroke:none}\
svg.plot text.better,svg.plot text.worse{font-weight:600}\
svg.plot .d1{stroke-dasharray:7 3}\
svg.plot .d2{stroke-dasharray:2 3}\
svg.plot .d3{stroke-dasharray:9 3 2 3}\
svg.plot .d4{stroke-dasharray:14 4}\
svg.plot .d5{stroke-dasharray:4 4}\
svg.plot .d6{stroke-dasharray:1 4}\
svg.plot .d7{stroke-dasharray:9 3 2 3 2 3}\
svg.plot .c0{color:#0072b2}svg.plot .c1{color:#69727d}\
svg.plot .c2{color:#0f8a8a}svg.plot .c3{color:#7442c8}\
@media (max-width:480px){\
svg.plot .legend{transform:translateY(var(--down))}\
svg.plot .panels{transform:translateY(var(--up))}\
}\
@media screen and (prefers-color-scheme:dark){\
svg.plot .paper{fill:#0d1117}\
svg.plot text{fill:#e6edf3}\
svg.plot .soft{fill:#9da7b3}\
svg.plot .grid{stroke:#2b333d}\
svg.plot .axis{stroke:#9da7b3}\
svg.plot .mark{stroke:#0d1117}\
svg.plot .guessed .mark,svg.plot .dense .guessed .mark{fill:#0d1117}\
svg.plot .whisker,svg.plot .tick{stroke:#e6edf3}\
svg.plot .halo{stroke:#0d1117}\
svg.plot .better{stroke:#86efac}\
svg.plot .worse{stroke:#fdba74}\
svg.plot path.better,svg.plot text.better{fill:#86efac}\
svg.plot path.worse,svg.plot text.worse{fill:#fdba74}\
svg.plot .c0{color:#56b4e9}svg.plot .c1{color:#a4adb8}\
svg.plot .c2{color:#3cc0bb}svg.plot .c3{color:#b79cff}\
}";

/// A drawn picture.
#[derive(Debug, Clone)]
pub struct Picture {
    title: String,
    /// What it says, in a sentence.
    description: String,
    width: f64,
    height: f64,
    body: Markup,
}

impl Picture {
    /// A picture of this width; `body` is below its heading.
    pub(crate) fn new(heading: Heading, width: f64, height: f64, body: &Markup) -> Self {
        Self {
            title: heading.title,
            description: heading.description,
            width,
            height,
            body: html! { (heading.markup) (body) },
        }
    }

    /// The picture as an element of an HTML page with [`STYLE`].
    #[must_use]
    pub fn element(&self) -> Markup {
        self.svg(&html! {})
    }

    /// The picture as a standalone file.
    #[must_use]
    pub fn document(&self) -> String {
        let style = html! { style { (PreEscaped(STYLE)) } };
        let svg = self.svg(&style).into_string();
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{svg}\n")
    }

    fn svg(&self, style: &Markup) -> Markup {
        let (width, height) = (Px(self.width), Px(self.height));
        let label = match self.description.as_str() {
            "" => self.title.clone(),
            description => format!("{}: {description}", self.title),
        };
        html! {
            svg class="plot" xmlns="http://www.w3.org/2000/svg" role="img" aria-label=(label)
                viewBox={ "0 0 " (width) " " (height) } width=(width) height=(height)
            {
                title { (self.title) }
                @if !self.description.is_empty() {
                    desc { (self.description) }
                }
                (style)
                rect class="paper" width=(width) height=(height) {}
                (self.body)
            }
        }
    }
}

/// What stands above a plot.
pub(crate) struct Heading {
    title: String,
    description: String,
    markup: Markup,
    /// Where it ends.
    pub bottom: f64,
}

impl Heading {
    /// The title and below it what the picture says, whole, on as many lines as they need.
    pub(crate) fn new(title: &str, description: &str, width: f64) -> Self {
        let room = width - 32.0;
        let titles = wrapped(title, room, TITLE_SIZE);
        let words = wrapped(description, room, SIZE);
        let below = 8.0 + 18.0 * count(titles.len());
        Self {
            title: titles.join(" "),
            description: words.join(" "),
            bottom: below + 16.0 * count(words.len()) + 4.0,
            markup: html! {
                @for (index, line) in titles.iter().enumerate() {
                    (text(16.0, 22.0 + 18.0 * count(index), Anchor::Start, "title", line))
                }
                @for (index, line) in words.iter().enumerate() {
                    (text(16.0, below + 14.0 + 16.0 * count(index), Anchor::Start, "soft", line))
                }
            },
        }
    }
}

/// The sign of a change, a triangle at its place.
pub(crate) fn sign(is_better: bool, (x, y): (f64, f64)) -> Markup {
    let up = if is_better { -1.0 } else { 1.0 };
    let corners = [(0.0, 6.0), (6.0, -5.0), (-6.0, -5.0)];
    let d = path(corners.map(|(dx, dy)| (x + dx, y + up * dy)));
    html! { path class=(verdict(is_better)) d=(d + "Z") {} }
}

/// The class of what is better or worse, which is also its name.
pub(crate) fn verdict(is_better: bool) -> &'static str {
    if is_better { "better" } else { "worse" }
}

/// A length or position in the picture, to a tenth of a pixel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Px(pub f64);

impl std::fmt::Display for Px {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        #[allow(
            clippy::cast_possible_truncation,
            reason = "no picture is near so large; integers are printed faster"
        )]
        let tenths = (self.0 * 10.0).round() as i64;
        let sign = if tenths < 0 { "-" } else { "" };
        let (whole, rest) = (tenths.unsigned_abs() / 10, tenths.unsigned_abs() % 10);
        match rest {
            0 => write!(f, "{sign}{whole}"),
            _ => write!(f, "{sign}{whole}.{rest}"),
        }
    }
}

impl maud::Render for Px {
    fn render_to(&self, buffer: &mut String) {
        buffer.push_str(&self.to_string());
    }
}

/// A count as a number, to compute a length.
#[allow(clippy::cast_precision_loss, reason = "no count here is near 2^53")]
pub(crate) fn count(things: usize) -> f64 {
    things as f64
}

/// The direction of an improvement.
pub(crate) fn better(higher_is_better: bool) -> &'static str {
    if higher_is_better {
        "more is better"
    } else {
        "less is better"
    }
}

/// The alignment of a text at its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// A line of text at its baseline.
pub(crate) fn text(x: f64, y: f64, anchor: Anchor, class: &str, text: &str) -> Markup {
    let anchor = match anchor {
        Anchor::Start => None,
        Anchor::Middle => Some("middle"),
        Anchor::End => Some("end"),
    };
    let class = Some(class).filter(|class| !class.is_empty());
    html! {
        text x=(Px(x)) y=(Px(y)) text-anchor=[anchor] class=[class] { (text) }
    }
}

/// A line of ordinary text centred at a position, moved to stay within the width of the picture.
pub(crate) fn label(x: f64, y: f64, picture_width: f64, words: &str) -> Markup {
    let half = crate::text::width(words, crate::text::SIZE) / 2.0 + 2.0;
    let x = x.min(picture_width - half).max(half);
    text(x, y, Anchor::Middle, "soft", words)
}

/// A straight line.
pub(crate) fn line(from: (f64, f64), to: (f64, f64), class: &str) -> Markup {
    html! {
        line x1=(Px(from.0)) y1=(Px(from.1)) x2=(Px(to.0)) y2=(Px(to.1)) class=(class) {}
    }
}

/// The path through these positions.
pub(crate) fn path(places: impl IntoIterator<Item = (f64, f64)>) -> String {
    let place = |(index, (x, y))| {
        let command = if index == 0 { 'M' } else { 'L' };
        format!("{command}{} {}", Px(x), Px(y))
    };
    places.into_iter().enumerate().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_short() {
        assert_eq!(Px(1.0).to_string(), "1");
        assert_eq!(Px(1.26).to_string(), "1.3");
        assert_eq!(Px(-0.01).to_string(), "0");
        assert_eq!(path([(0.0, 1.0), (2.25, 3.0)]), "M0 1L2.3 3");
    }
}
