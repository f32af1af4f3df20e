//! Tests of the comparison on runs made by hand.

use proptest::prelude::*;

use crate::model::{LocalScore, Mismatch, Run, Suite, Test};
use crate::stats::{
    Comparison, Direction, GateOutcome, Method, Metric, Options, Outcome, Reason, Row, Unit,
    Verdict, Why, compare,
};

/// A complete run with these speeds and deviations and as many repetitions.
fn run(prompt_tps: f64, gen_tps: f64, deviation: f64, repetitions: u64) -> Run {
    let test = |(n_prompt, n_gen): (i64, i64)| Test {
        name: format!("pp{n_prompt}+tg{n_gen}").as_str().into(),
        n_prompt,
        n_gen,
        prompt_tps: Some(prompt_tps),
        prompt_tps_stddev: Some(deviation),
        gen_tps: Some(gen_tps),
        gen_tps_stddev: Some(deviation * gen_tps / prompt_tps),
        ttft_ms: Some(1e6 / prompt_tps),
        samples_ns: Some(
            (0..repetitions)
                .map(|index| 5_000_000_000 + index * 7_000_000)
                .collect(),
        ),
        ..Test::default()
    };
    Run {
        tests: LocalScore.expected().iter().copied().map(test).collect(),
        ..Run::default()
    }
}

fn of(base: &Run, new: &Run) -> Comparison {
    compare(&[base], &[new], &[], &Options::default())
}

fn count(comparison: &Comparison, verdict: Verdict) -> usize {
    let rows = comparison.rows.iter();
    rows.filter(|row| row.verdict == verdict).count()
}

fn mean(comparison: &Comparison, metric: Metric) -> &Row {
    let of_metric = |row: &&Row| row.metric == metric;
    comparison.means.iter().find(of_metric).unwrap()
}

#[test]
fn a_slower_generation_is_found_and_named() {
    let comparison = of(&run(1000.0, 50.0, 5.0, 4), &run(1000.0, 44.0, 5.0, 4));
    assert_eq!(comparison.gate.outcome, GateOutcome::Regression);
    assert_eq!(comparison.rows.len(), 36);
    assert_eq!(count(&comparison, Verdict::Worse), 9);
    let row = mean(&comparison, Metric::GenTps);
    assert!((row.base - 50.0).abs() < 1e-9 && (row.new - 44.0).abs() < 1e-9);
    assert!((row.change_percent + 12.0).abs() < 1e-9);
    assert_eq!(row.direction, Some(Direction::Worse));
    assert!(row.regression && row.test.is_none());
    assert!(matches!(row.method, Method::Welch(counts) if counts.unit == Unit::Repetitions));
    let prompt = mean(&comparison, Metric::PromptTps);
    assert_eq!((prompt.verdict, prompt.direction), (Verdict::Same, None));
    assert_eq!(
        mean(&comparison, Metric::TtftMs).method,
        Method::Unverified(Why::NoDeviation)
    );
    let time = comparison
        .rows
        .iter()
        .find(|row| row.metric == Metric::AvgTimeMs);
    assert_eq!(time.unwrap().method.name(), "rank");
}

#[test]
fn a_faster_run_is_better_and_no_regression() {
    let comparison = of(&run(1000.0, 50.0, 5.0, 4), &run(1200.0, 60.0, 5.0, 4));
    assert_eq!(comparison.gate.outcome, GateOutcome::Ok);
    assert_eq!(
        mean(&comparison, Metric::PromptTps).verdict,
        Verdict::Better
    );
    let ttft = mean(&comparison, Metric::TtftMs);
    assert!(ttft.change_percent < 0.0);
    assert_eq!(ttft.direction, Some(Direction::Better));
    let score = comparison.score.unwrap();
    assert!((score.change_percent - 100.0 * (1.2_f64 - 1.0)).abs() < 1e-9);
}

#[test]
fn one_repetition_without_history_verifies_nothing() {
    let comparison = of(&run(1000.0, 50.0, 0.0, 1), &run(500.0, 25.0, 0.0, 1));
    assert_eq!(count(&comparison, Verdict::Unverified), 36);
    assert_eq!(comparison.gate.asked, 0);
    // Half the speed is a regression whatever the noise; a fifth less may be noise.
    assert_eq!(comparison.gate.outcome, GateOutcome::Regression);
    let comparison = of(&run(1000.0, 50.0, 0.0, 1), &run(800.0, 40.0, 0.0, 1));
    assert_eq!(comparison.gate.outcome, GateOutcome::Undecided);
    assert_eq!(comparison.outcome, Outcome::Undecided);
    assert!(!comparison.is_noise_known());
    let single = Method::Unverified(Why::SingleRepetition);
    assert_eq!(mean(&comparison, Metric::GenTps).method, single);
}

#[test]
fn a_deviation_that_is_none_is_not_used() {
    let new = run(800.0, 40.0, f64::NAN, 4);
    let comparison = of(&run(1000.0, 50.0, 5.0, 4), &new);
    let method = mean(&comparison, Metric::GenTps).method;
    assert_eq!(method, Method::Unverified(Why::NoDeviation));
    // One test is not all of them.
    let mut new = run(800.0, 40.0, 5.0, 4);
    new.tests[3].gen_tps_stddev = Some(f64::NAN);
    let comparison = of(&run(1000.0, 50.0, 5.0, 4), &new);
    assert!(mean(&comparison, Metric::GenTps).regression);
}

#[test]
fn samples_that_are_not_known_verify_nothing() {
    let mut new = run(1000.0, 50.0, 5.0, 4);
    for test in &mut new.tests {
        test.samples_ns = None;
        test.avg_time_ms = Some(5000.0);
    }
    let comparison = of(&run(1000.0, 50.0, 5.0, 4), &new);
    let method = mean(&comparison, Metric::GenTps).method;
    assert_eq!(method, Method::Unverified(Why::UnknownRepetitions));
}

#[test]
fn large_noise_is_no_verdict() {
    let comparison = of(&run(1000.0, 50.0, 300.0, 4), &run(900.0, 50.0, 300.0, 4));
    let row = &comparison.rows[0];
    assert_eq!(
        (row.metric, row.verdict),
        (Metric::PromptTps, Verdict::Noise)
    );
    let comparison = of(&run(1000.0, 50.0, 300.0, 4), &run(990.0, 50.0, 300.0, 4));
    assert_eq!(comparison.rows[0].verdict, Verdict::Unclear);
    assert_ne!(comparison.gate.outcome, GateOutcome::Regression);
}

#[test]
fn earlier_runs_are_the_noise() {
    let earlier: Vec<Run> = [1000.0, 1010.0, 990.0, 1005.0, 995.0]
        .map(|tps| run(tps, tps / 20.0, 0.0, 1))
        .into();
    let history: Vec<&Run> = earlier.iter().collect();
    let base = &earlier[4];
    let options = Options::default();
    let slow = run(850.0, 42.0, 0.0, 1);
    let comparison = compare(&[base], &[&slow], &history, &options);
    let row = mean(&comparison, Metric::TtftMs);
    // The base is one of the five, not a sixth.
    assert_eq!(row.method, Method::Prediction { earlier: 5 });
    assert!(row.regression && row.verdict == Verdict::Worse);
    // With few, only a large change is significant over all rows.
    let gate = |new: &Run| {
        let comparison = compare(&[base], &[new], &history[..2], &options);
        let row = mean(&comparison, Metric::TtftMs);
        assert_eq!(row.method, Method::Prediction { earlier: 3 });
        row.regression
    };
    assert!(gate(&slow));
    assert!(!gate(&run(940.0, 47.0, 0.0, 1)));
}

/// A slow run that the gate stopped, or an outlier, stays in the store.
#[test]
fn a_slow_run_among_the_earlier_ones_does_not_hide_the_next() {
    let speeds = [1000.0, 1010.0, 990.0, 1005.0, 995.0, 1000.0, 1008.0, 992.0];
    let mut earlier: Vec<Run> = speeds.map(|tps| run(tps, tps / 20.0, 0.0, 1)).into();
    earlier.extend([900.0, 905.0].map(|tps| run(tps, tps / 20.0, 0.0, 1)));
    let history: Vec<&Run> = earlier.iter().collect();
    let comparison = compare(
        &[history[0]],
        &[&run(900.0, 45.0, 0.0, 1)],
        &history,
        &Options::default(),
    );
    let row = mean(&comparison, Metric::PromptTps);
    assert_eq!(row.method, Method::Prediction { earlier: 8 });
    assert!(row.regression);
}

/// One disturbed repetition moves a mean, but not the result of the ranks.
#[test]
fn a_change_of_total_time_is_one_of_medians() {
    let base = run(1000.0, 50.0, 5.0, 8);
    let mut new = base.clone();
    for test in &mut new.tests {
        test.samples_ns.as_mut().unwrap()[7] *= 2;
    }
    let comparison = of(&base, &new);
    let row = mean(&comparison, Metric::AvgTimeMs);
    assert_eq!(row.change_percent, 0.0);
    assert_ne!(comparison.gate.outcome, GateOutcome::Regression);
}

#[test]
fn nothing_in_common_cannot_be_forced() {
    let forced = Options {
        force: true,
        ..Options::default()
    };
    let base = run(1000.0, 50.0, 5.0, 4);
    let comparison = compare(&[&base], &[&Run::default()], &[], &forced);
    assert_eq!(comparison.gate.outcome, GateOutcome::NotComparable);
}

#[test]
fn several_runs_a_side_are_the_unit() {
    let runs = |factor: f64| {
        [1000.0, 1010.0, 990.0, 1005.0].map(|tps| run(factor * tps, factor * tps / 20.0, 5.0, 4))
    };
    let (base, new) = (runs(1.0), runs(0.9));
    let base: Vec<&Run> = base.iter().collect();
    let new: Vec<&Run> = new.iter().collect();
    let comparison = compare(&base, &new, &[], &Options::default());
    let row = mean(&comparison, Metric::GenTps);
    assert!(matches!(row.method, Method::Rank(counts) if counts.unit == Unit::Runs));
    assert!(row.regression);
    let test = &comparison.rows[0];
    assert!((test.base - 1002.5).abs() < 1e-9, "the median of the runs");
    // Five of the base against one: median-of-5.
    let five = [&base[..], &base[..1]].concat();
    let comparison = compare(&five, &new[..1], &[], &Options::default());
    let row = mean(&comparison, Metric::GenTps);
    assert_eq!(row.method, Method::Prediction { earlier: 5 });
    let comparison = compare(&base[..2], &new[..2], &[], &Options::default());
    let method = mean(&comparison, Metric::GenTps).method;
    assert_eq!(method.name(), "welch");
    // Neither two runs of the base nor repetitions measure the noise between runs.
    let comparison = compare(&base[..2], &new[..1], &[], &Options::default());
    let method = mean(&comparison, Metric::GenTps).method;
    assert_eq!(method, Method::Unverified(Why::FewRuns));
}

#[test]
fn what_only_one_side_has_is_named() {
    let base = run(1000.0, 50.0, 5.0, 4);
    let mut new = base.clone();
    let removed = new.tests.remove(2);
    new.tests[0].gen_tps = Some(f64::NAN);
    let comparison = of(&base, &new);
    assert_eq!(comparison.only_base, [removed.name.to_string()]);
    assert!(comparison.only_new.is_empty());
    let missing = Reason::MissingValue {
        test: new.tests[0].name.clone(),
        metric: Metric::GenTps,
    };
    assert_eq!(
        comparison.reasons,
        [
            Reason::Mismatch(Mismatch::TestSet),
            Reason::Mismatch(Mismatch::Partial),
            missing
        ]
    );
    assert_eq!(comparison.gate.outcome, GateOutcome::NotComparable);
    assert_eq!(comparison.outcome, Outcome::NotComparable);
    assert!(comparison.all_rows().all(|row| row.interval.is_none()));
    let forced = Options {
        force: true,
        ..Options::default()
    };
    let comparison = compare(&[&base], &[&new], &[], &forced);
    assert_eq!(comparison.gate.outcome, GateOutcome::Ok);
}

#[test]
fn nothing_in_common_and_no_runs() {
    let base = run(1000.0, 50.0, 5.0, 4);
    let comparison = of(&base, &Run::default());
    assert!(comparison.reasons.contains(&Reason::NothingInCommon));
    let comparison = compare(&[], &[], &[], &Options::default());
    assert_eq!(comparison.reasons, [Reason::NothingInCommon]);
    assert!(comparison.rows.is_empty() && comparison.means.is_empty());
}

#[test]
fn exactly_the_minimum_counts() {
    let base = run(100.0, 50.0, 0.1, 4);
    let gate = |prompt_tps| of(&base, &run(prompt_tps, 50.0, 0.1, 4)).gate.outcome;
    assert_eq!(gate(95.0), GateOutcome::Regression);
    assert_ne!(gate(95.01), GateOutcome::Regression);
}

/// Right after a step, its size counts as noise: a run far below both levels must not pass.
#[test]
fn noise_that_could_hide_a_loss_leaves_the_gate_undecided() {
    let runs = [1000.0, 1160.0, 1150.0, 930.0].map(|tps| run(tps, tps / 20.0, 0.0, 1));
    let history: Vec<&Run> = runs[..2].iter().collect();
    let gate = |options: &Options| {
        let comparison = compare(&[&runs[2]], &[&runs[3]], &history, options);
        let ttft = mean(&comparison, Metric::TtftMs).interval.unwrap();
        assert!(ttft.high > 75.0 && ttft.low < -20.0, "{ttft:?}");
        assert_eq!(comparison.outcome, Outcome::Undecided);
        comparison.gate.outcome
    };
    assert_eq!(gate(&Options::default()), GateOutcome::Undecided);
    let patient = Options {
        fail_above: 90.0,
        ..Options::default()
    };
    assert_eq!(gate(&patient), GateOutcome::Ok);
}

/// The change is that from the geometric mean of the level, whatever the base's own value.
#[test]
fn one_reference_for_change_and_interval() {
    let runs = [1000.0, 1010.0, 990.0, 1005.0].map(|tps| run(tps, tps / 20.0, 0.0, 1));
    let history: Vec<&Run> = runs[..3].iter().collect();
    let new = run(900.0, 45.0, 0.0, 1);
    let comparison = compare(&[&runs[3]], &[&new], &history, &Options::default());
    let level = comparison.level.as_ref().unwrap();
    assert_eq!(level.runs, [0, 1, 2, 3]);
    assert!(level.is_reference && level.base_off.is_empty());
    let row = mean(&comparison, Metric::PromptTps);
    let geometric: f64 = (1000.0_f64 * 1010.0 * 990.0 * 1005.0).powf(0.25);
    assert!((row.reference - geometric).abs() < 1e-6);
    assert!((row.change_percent - 100.0 * (900.0 / geometric - 1.0)).abs() < 1e-9);
    assert!((row.base - 1005.0).abs() < 1e-6);
    assert!((row.percent_from_base() - 100.0 * (900.0 / 1005.0 - 1.0)).abs() < 1e-9);
    let score = comparison.score.unwrap();
    assert!(score.reference < score.base, "{score:?}");
}

#[test]
fn a_base_off_its_level_is_the_reference_unless_the_level_stays() {
    let runs = [1000.0, 1010.0, 990.0, 1005.0].map(|tps| run(tps, tps / 20.0, 0.0, 1));
    let history: Vec<&Run> = runs.iter().collect();
    let base = run(1150.0, 57.5, 0.0, 1);
    let new = run(1155.0, 57.75, 0.0, 1);
    let of = |level_stays| {
        let options = Options {
            level_stays,
            ..Options::default()
        };
        compare(&[&base], &[&new], &history, &options)
    };
    let named = of(false);
    let level = named.level.as_ref().unwrap();
    assert_eq!(level.runs, [0, 1, 2, 3]);
    assert!(!level.is_reference);
    let (metric, off) = level.base_off[0];
    assert_eq!(metric, Metric::PromptTps);
    assert!((off - 14.9).abs() < 0.1, "{off}");
    let row = mean(&named, Metric::PromptTps);
    assert!((row.reference - 1150.0).abs() < 1e-6);
    // The noise is that of the level.
    assert_eq!(row.method, Method::Prediction { earlier: 4 });
    assert_eq!(named.outcome, Outcome::Same);
    let row = of(true);
    let row = mean(&row, Metric::PromptTps);
    assert!(row.reference < 1010.0 && row.verdict == Verdict::Better);
}

fn any_test() -> impl Strategy<Value = Test> {
    let value = || prop::option::of(any::<f64>());
    let samples = prop::option::of(prop::collection::vec(any::<u64>(), 0..6));
    let values = (value(), value(), value(), value(), value(), value());
    (0..3_i64, 0..3_i64, values, samples).prop_map(|(n_prompt, n_gen, values, samples_ns)| Test {
        n_prompt,
        n_gen,
        prompt_tps: values.0,
        prompt_tps_stddev: values.1,
        gen_tps: values.2,
        gen_tps_stddev: values.3,
        ttft_ms: values.4,
        avg_time_ms: values.5,
        samples_ns,
        ..Test::default()
    })
}

fn any_runs(most: usize) -> impl Strategy<Value = Vec<Run>> {
    let run = prop::collection::vec(any_test(), 0..4).prop_map(|tests| Run {
        tests,
        ..Run::default()
    });
    prop::collection::vec(run, 0..most)
}

proptest! {
    #[test]
    fn nothing_panics(
        base in any_runs(5),
        new in any_runs(5),
        history in any_runs(7),
        min_change in any::<f64>(),
        alpha in any::<f64>(),
    ) {
        let options = Options { min_change, alpha, ..Options::default() };
        let [base, new, history] =
            [&base, &new, &history].map(|runs| runs.iter().collect::<Vec<_>>());
        let comparison = compare(&base, &new, &history, &options);
        for row in comparison.rows.iter().chain(&comparison.means) {
            prop_assert!(!row.base.is_nan() && !row.new.is_nan());
            if let Some(interval) = row.interval {
                prop_assert!(interval.low <= row.change_percent);
                prop_assert!(row.change_percent <= interval.high);
            }
            prop_assert!(row.gate_p.is_none_or(|p| (0.0..=1.0).contains(&p)));
        }
    }
}
