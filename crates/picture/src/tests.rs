//! Whatever the data, a picture is well-formed and its text stays inside.

use proptest::prelude::*;

use super::*;

/// Names that mean something to SVG, HTML, terminals or readers of right-to-left text.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ -~]{0,200}",
        Just("</text><script>alert(1)</script>".to_owned()),
        Just("\" onload=\"x\" a='&amp;&#0;]]>".to_owned()),
        Just("\u{0}\u{1b}[2J\u{202e}\u{fffe}\u{ffff}\u{7f}".to_owned()),
        Just("W".repeat(300)),
        Just("模型".repeat(90)),
        // Terminals show a family in two columns, others as four people.
        Just("\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}\u{200d}\u{1f466}".repeat(17)),
    ]
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        0.001..1e6_f64,
        Just(0.0),
        Just(f64::NAN),
        Just(1e-300)
    ]
}

/// Parses the picture; every place and length must be a number within the frame.
fn check(picture: &Picture) {
    let text = picture.document();
    let document = roxmltree::Document::parse(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
    let root = document.root_element();
    let frame: Vec<f64> = root
        .attribute("viewBox")
        .unwrap()
        .split(' ')
        .map(|number| number.parse().unwrap())
        .collect();
    for node in root.descendants().filter(roxmltree::Node::is_element) {
        assert!(!matches!(
            node.tag_name().name(),
            "script" | "image" | "a" | "foreignObject"
        ));
        for attribute in node.attributes() {
            assert!(!attribute.name().starts_with("on"));
            let value = attribute.value();
            // A name may well be such a word.
            let is_drawn = attribute.name() != "aria-label";
            assert!(
                !is_drawn || !(value.contains("NaN") || value.contains("inf")),
                "{}={value}",
                attribute.name()
            );
            let limit = match attribute.name() {
                "x" | "x1" | "x2" | "cx" => frame[2],
                "y" | "y1" | "y2" | "cy" => frame[3],
                _ => continue,
            };
            let place: f64 = attribute.value().parse().unwrap();
            assert!(
                (0.0..=limit).contains(&place),
                "{}={place}: {text}",
                attribute.name()
            );
        }
        if node.tag_name().name() == "text" {
            let words = node.text().unwrap_or_default();
            let size = match node.attribute("class") {
                Some("title") => crate::text::TITLE_SIZE,
                Some("better" | "worse") => crate::text::BOLD,
                _ => crate::text::SIZE,
            };
            let wide = crate::text::width(words, size);
            let x: f64 = node.attribute("x").unwrap().parse().unwrap();
            let (from, to) = match node.attribute("text-anchor") {
                None => (x, x + wide),
                Some("middle") => (x - wide / 2.0, x + wide / 2.0),
                _ => (x - wide, x),
            };
            assert!(
                from >= -1.0 && to <= frame[2] + 1.0,
                "{words} from {from} to {to}"
            );
        }
    }
}

fn point() -> impl Strategy<Value = Point> {
    let run = (
        0..i64::from(u32::MAX),
        any::<i64>(),
        any::<bool>(),
        value(),
        name(),
    );
    run.prop_map(|(run, time, is_guessed, value, label)| Point {
        run,
        time,
        is_guessed,
        value,
        shown: value.to_string(),
        label,
    })
}

fn change() -> impl Strategy<Value = LevelChange> {
    (0..40_usize, value(), value(), any::<bool>(), name(), name()).prop_map(
        |(index, before, after, is_better, words, cause)| LevelChange {
            index,
            before,
            after,
            is_better,
            words,
            cause,
        },
    )
}

fn series() -> impl Strategy<Value = Series> {
    (name(), name()).prop_map(|(name, key)| Series { name, key })
}

fn bar() -> impl Strategy<Value = Option<Bar>> {
    let interval = prop::option::of((value(), value()));
    let bar = (value(), interval, name()).prop_map(|(value, interval, verdict)| Bar {
        value,
        interval,
        verdict,
        tone: Tone::Better,
    });
    prop::option::of(bar)
}

fn caption() -> impl Strategy<Value = Caption> {
    (name(), name(), name()).prop_map(|(title, sentence, note)| Caption {
        title,
        sentence,
        note,
    })
}

proptest! {
    #[test]
    fn a_trend(
        (title, sentence) in (name(), name()),
        points in prop::collection::vec(point(), 0..30),
        changes in prop::collection::vec(change(), 0..9),
        width in prop_oneof![Just(WIDTH), Just(COLUMN)],
    ) {
        let unit = "score".to_owned();
        let any = points.iter().any(|point| point.value.is_finite() && point.value.abs() < 1e99);
        let picture = Trend { title, sentence, unit, higher_is_better: true, points, changes, width }.draw();
        prop_assert!(picture.is_some() || !any);
        picture.iter().for_each(check);
    }

    #[test]
    fn bars(
        caption in caption(),
        runs in prop::collection::vec(series(), 1..9),
        groups in prop::collection::vec(
            (name(), prop::option::of(value()), prop::collection::vec(bar(), 0..9)), 0..6),
        tick in prop::option::of(name()),
    ) {
        let groups = groups.into_iter().map(|(name, tick, bars)| Group { name, tick, bars }).collect();
        let panel = BarsPanel { unit: "t/s".to_owned(), higher_is_better: true, groups };
        let panels = vec![panel.clone(), panel];
        Bars { caption, runs, panels, tick }.draw().iter().for_each(check);
    }

    #[test]
    fn lines(
        caption in caption(),
        runs in prop::collection::vec(series(), 1..9),
        points in prop::collection::vec((value(), value(), name()), 0..20),
        is_log in any::<bool>(),
        is_from_zero in any::<bool>(),
    ) {
        let points = points.into_iter().map(|(tokens, value, test)| LinePoint { tokens, value, test });
        let panel = LinesPanel {
            unit: "ms".to_owned(),
            higher_is_better: false,
            tokens: "tokens".to_owned(),
            is_from_zero,
            is_log,
            series: vec![points.collect()],
        };
        Lines { caption, runs, panels: vec![panel] }.draw().iter().for_each(check);
    }
}

proptest! {
    #[test]
    fn a_course(
        caption in caption(),
        lines in prop::collection::vec(
            (series(), prop::collection::vec((any::<u64>(), value(), name()), 0..20)), 0..13),
        parts in prop_oneof![0..2000_u64, any::<u64>()],
    ) {
        let line = |(series, points): (Series, Vec<(u64, f64, String)>)| {
            let mut points: Vec<CoursePoint> = points
                .into_iter()
                .map(|(part, value, shown)| CoursePoint { part, value, shown })
                .collect();
            points.sort_by_key(|point| point.part);
            CourseLine { series, points }
        };
        let lines = lines.into_iter().map(line).collect();
        Course { caption, unit: "tests".to_owned(), parts, lines }.draw().iter().for_each(check);
    }
}

#[test]
fn names_with_control_characters_have_the_room_that_they_are_shown_in() {
    let name = "\u{0}\u{1b}\u{7f}".to_owned();
    let bar = Bar {
        value: 1.0,
        interval: None,
        verdict: String::new(),
        tone: Tone::Neutral,
    };
    let group = Group {
        name: name.clone(),
        tick: None,
        bars: vec![Some(bar)],
    };
    let bars = Bars {
        caption: Caption::default(),
        runs: vec![Series {
            name: String::new(),
            key: name,
        }],
        panels: vec![BarsPanel {
            unit: "t/s".to_owned(),
            higher_is_better: true,
            groups: vec![group],
        }],
        tick: None,
    };
    let picture = bars.draw().unwrap();
    check(&picture);
    let shown = r"\x00\x1b\x7f";
    let wide = crate::text::width(shown, crate::text::SIZE);
    let end = 16.0 + wide + 12.0 + wide;
    let key = format!(
        "<text x=\"{}\" y=\"89\" text-anchor=\"end\" class=\"soft\">{shown}<",
        svg::Px(end)
    );
    let drawn = picture.document();
    assert!(drawn.contains(&key), "{key}: {drawn}");
}

/// A course of this many suites over this many parts.
fn course(suites: u64, parts: u64) -> Course {
    let point = |suite: u64, part: u64| CoursePoint {
        part,
        value: if part < suite {
            f64::NAN
        } else {
            f64::from(u32::try_from(part / 2 + suite).unwrap())
        },
        shown: (part / 2 + suite).to_string(),
    };
    let line = |suite: u64| CourseLine {
        series: Series {
            name: format!("suite {suite}"),
            key: String::new(),
        },
        points: (1..=parts).map(|part| point(suite, part)).collect(),
    };
    Course {
        caption: Caption::default(),
        unit: "passed tests".to_owned(),
        parts,
        lines: (1..=suites).map(line).collect(),
    }
}

#[test]
fn a_course_goes_on_until_the_next_value_and_has_no_marks_in_a_heap() {
    let drawn = course(1, 1).draw().unwrap().document();
    assert_eq!(
        drawn.matches("<circle").count(),
        2,
        "in the legend and in the plot"
    );
    let drawn = course(1, 4).draw().unwrap().document();
    assert_eq!(drawn.matches("<circle").count(), 1 + 3);
    assert!(
        drawn.contains("<title>suite 1, part 2: 2</title>"),
        "{drawn}"
    );
    // Across to the next part, then up.
    let line = drawn.split("class=\"line d0\" d=\"").nth(1).unwrap();
    let line = line.split('"').next().unwrap();
    let places: Vec<Vec<f64>> = line
        .split(['M', 'L'])
        .skip(1)
        .map(|place| {
            place
                .split(' ')
                .map(|number| number.parse().unwrap())
                .collect()
        })
        .collect();
    assert_eq!(places.len(), 6);
    assert!(
        places
            .windows(2)
            .all(|pair| pair[0][0] == pair[1][0] || pair[0][1] == pair[1][1])
    );
    let many = course(2, 1000).draw().unwrap().document();
    let marks = many.matches("class=\"mark\"").count();
    assert!(marks < 200, "{marks}");
    check(&course(12, 1000).draw().unwrap());
    assert_eq!(
        course(12, 9)
            .draw()
            .unwrap()
            .document()
            .matches(">passed tests<")
            .count(),
        2
    );
    assert!(course(0, 3).draw().is_none());
}

#[test]
fn nothing_to_draw_is_no_picture() {
    let mut trend = Trend {
        title: String::new(),
        sentence: String::new(),
        unit: String::new(),
        higher_is_better: true,
        points: Vec::new(),
        changes: Vec::new(),
        width: WIDTH,
    };
    assert!(trend.draw().is_none());
    trend.points.push(Point {
        run: 1,
        time: 0,
        is_guessed: false,
        value: f64::NAN,
        shown: String::new(),
        label: String::new(),
    });
    assert!(trend.draw().is_none());
}

/// A trend of this number of runs.
fn trend(runs: u32) -> Trend {
    let point = |n: u32| Point {
        run: n.into(),
        time: 86_400 * i64::from(n),
        is_guessed: false,
        value: 100.0 + f64::from(n % 7),
        shown: (100 + n % 7).to_string(),
        label: String::new(),
    };
    Trend {
        title: "A <b> & C".to_owned(),
        sentence: "score 100 since run 0; 3 runs, no change".to_owned(),
        unit: "score".to_owned(),
        higher_is_better: true,
        points: (0..runs).map(point).collect(),
        changes: Vec::new(),
        width: WIDTH,
    }
}

#[test]
fn the_same_data_give_the_same_bytes_and_say_what_they_are() {
    let trend = trend(3);
    let text = trend.draw().unwrap().document();
    assert_eq!(text, trend.draw().unwrap().document());
    assert!(text.contains(
        "<title>A &lt;b&gt; &amp; C</title><desc>score 100 since run 0; 3 runs, no change</desc>"
    ));
    assert!(
        text.contains("<title>run 2, 1970-01-03 00:00: 102</title>"),
        "{text}"
    );
}

#[test]
fn a_guessed_date_is_hollow() {
    let mut trend = trend(3);
    let drawn = trend.draw().unwrap().document();
    assert!(!drawn.contains("<g class=\"guessed\">") && !drawn.contains("hollow"));
    trend.points[1].is_guessed = true;
    let drawn = trend.draw().unwrap().document();
    assert_eq!(drawn.matches("<g class=\"guessed\">").count(), 1);
    assert!(drawn.contains("hollow: guessed date"));
}

#[test]
fn very_many_runs_are_thinned_and_the_picture_says_so() {
    let marks = |trend: &Trend| {
        let drawn = trend.draw().unwrap().document();
        (drawn.matches("<circle").count(), drawn.contains("thinned"))
    };
    assert_eq!(marks(&trend(2000)), (2000, false));
    let mut many = trend(5000);
    many.points[3333].value = 200.0;
    many.points[4444].value = 50.0;
    let (count, is_thinned) = marks(&many);
    assert!(is_thinned && (700..=1520).contains(&count), "{count}");
    let drawn = many.draw().unwrap().document();
    assert!(drawn.contains(">5000 runs, thinned<"));
    // The highest and the lowest are there.
    let heights = drawn.split("cy=\"").skip(1);
    let heights: Vec<f64> = heights
        .filter_map(|rest| rest.split('"').next()?.parse().ok())
        .collect();
    let far = |y: f64| {
        heights
            .iter()
            .filter(|other| (*other - y).abs() < 20.0)
            .count()
    };
    let top = heights.iter().copied().fold(f64::INFINITY, f64::min);
    let bottom = heights.iter().copied().fold(0.0, f64::max);
    assert_eq!((far(top), far(bottom)), (1, 1));
    check(&many.draw().unwrap());
}

#[test]
fn a_title_is_wrapped_and_whole() {
    let mut trend = trend(3);
    trend.title = "DeepSeek R1 Distill Qwen 14B Preview, Q4_K_M, NVIDIA RTX PRO 6000 Blackwell \
                   Workstation Edition, llamafile"
        .to_owned();
    for width in [WIDTH, COLUMN] {
        trend.width = width;
        let picture = trend.draw().unwrap();
        check(&picture);
        let text = picture.document();
        let document = roxmltree::Document::parse(&text).unwrap();
        let titles = document.descendants();
        let titles = titles.filter(|node| node.attribute("class") == Some("title"));
        let lines: Vec<&str> = titles.filter_map(|node| node.text()).collect();
        assert!(lines.len() > 1);
        assert_eq!(lines.join(" "), trend.title);
    }
}
