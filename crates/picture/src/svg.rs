//! The document: style, frame and basic shapes.

use maud::{Markup, PreEscaped, html};

/// The style of every picture, for a page with pictures; a standalone picture contains it.
///
/// Custom properties would be shorter, but not every SVG viewer supports them. The colours are those
/// of Okabe and Ito, which the colour-blind can distinguish, darkened or lightened to a contrast of 3
/// against the background.
pub const STYLE: &str = "\
svg.plot{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Liberation Sans',Arial,sans-serif;\
font-size:12px}\
svg.plot .paper{fill:#fff}\
svg.plot text{fill:#1f2328}\
svg.plot .title{font-size:14px;font-weight:600}\
svg.plot .soft{fill:#59636e}\
svg.plot .grid{stroke:#d8dee4}\
svg.plot .axis{stroke:#59636e}\
svg.plot .line{fill:none;stroke:currentColor;stroke-width:1.5;stroke-linejoin:round}\
svg.plot .thin{stroke-width:1;stroke-opacity:.45}\
svg.plot .level{stroke-width:2;stroke-dasharray:7 4}\
svg.plot .mark{fill:currentColor;stroke:#fff;stroke-width:.75}\
svg.plot .dense .mark{stroke:none}\
svg.plot .bar{fill:currentColor}\
svg.plot .whisker{stroke:#1f2328}\
svg.plot .halo{stroke:#fff;stroke-width:3}\
svg.plot .change{stroke:#a3360b;stroke-dasharray:2 3}\
svg.plot .badge{fill:#a3360b}\
svg.plot text.number{fill:#fff;font-size:11px;font-weight:600}\
svg.plot text.better{fill:#116329;font-weight:600}\
svg.plot text.worse{fill:#a3360b;font-weight:600}\
svg.plot .d1{stroke-dasharray:7 3}\
svg.plot .d2{stroke-dasharray:2 3}\
svg.plot .d3{stroke-dasharray:9 3 2 3}\
svg.plot .c0{color:#0072b2}svg.plot .c1{color:#c14a00}svg.plot .c2{color:#00805f}\
svg.plot .c3{color:#a8497f}svg.plot .c4{color:#8a6500}svg.plot .c5{color:#2b7aab}\
svg.plot .c6{color:#5b5b5b}svg.plot .c7{color:#5a3fc0}\
@media screen and (prefers-color-scheme:dark){\
svg.plot .paper{fill:#0d1117}\
svg.plot text{fill:#e6edf3}\
svg.plot .soft{fill:#9da7b3}\
svg.plot .grid{stroke:#2b333d}\
svg.plot .axis{stroke:#9da7b3}\
svg.plot .mark{stroke:#0d1117}\
svg.plot .whisker{stroke:#e6edf3}\
svg.plot .halo{stroke:#0d1117}\
svg.plot .change{stroke:#ff9d6b}\
svg.plot .badge{fill:#ff9d6b}\
svg.plot text.number{fill:#0d1117}\
svg.plot text.better{fill:#56d364}\
svg.plot text.worse{fill:#ff9d6b}\
svg.plot .c0{color:#56b4e9}svg.plot .c1{color:#f0883e}svg.plot .c2{color:#2fbf94}\
svg.plot .c3{color:#e29ac0}svg.plot .c4{color:#f0e442}svg.plot .c5{color:#8fd0ff}\
svg.plot .c6{color:#b5b5b5}svg.plot .c7{color:#b3a2ff}\
}";

/// A drawn picture.
#[derive(Debug, Clone)]
pub struct Picture {
    /// A description for screen readers.
    label: String,
    width: f64,
    height: f64,
    body: Markup,
}

impl Picture {
    pub(crate) fn new(label: String, width: f64, height: f64, body: Markup) -> Self {
        Self {
            label,
            width,
            height,
            body,
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
        html! {
            svg class="plot" xmlns="http://www.w3.org/2000/svg" role="img" aria-label=(self.label)
                viewBox={ "0 0 " (width) " " (height) } width=(width) height=(height)
            {
                title { (self.label) }
                (style)
                rect class="paper" width=(width) height=(height) {}
                (self.body)
            }
        }
    }
}

/// A length or position in the picture, to a tenth of a pixel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Px(pub f64);

impl std::fmt::Display for Px {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tenths = (self.0 * 10.0).round() / 10.0;
        // A negative zero would be printed with its sign.
        write!(f, "{}", tenths + 0.0)
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
