//! Finds a change of state in few runs.

/// The state of the first of `count` things and, if that of the last differs, the index of one that differs
/// from the thing before it and from the first: the only one if the state changes once. Asks for about log2
/// of `count` states; there must be one thing.
pub(crate) fn first_change<E>(
    count: usize,
    mut state: impl FnMut(usize) -> Result<bool, E>,
) -> Result<(bool, Option<usize>), E> {
    let first = state(0)?;
    let (mut same, mut other) = (0, count.saturating_sub(1));
    if other == 0 || state(other)? == first {
        return Ok((first, None));
    }
    while other - same > 1 {
        let middle = usize::midpoint(same, other);
        if state(middle)? == first {
            same = middle;
        } else {
            other = middle;
        }
    }
    Ok((first, Some(other)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_finds_what_a_linear_search_finds_in_log2_runs(
            count in 1..300_usize, change in 0..400_usize, first in any::<bool>(),
        ) {
            let states: Vec<bool> = (0..count).map(|index| (index >= change.max(1)) != first).collect();
            let mut runs = 0;
            let found = first_change(count, |index| {
                runs += 1;
                Ok::<_, ()>(states[index])
            });
            let linear = states.iter().position(|state| *state != states[0]);
            prop_assert_eq!(found, Ok((states[0], linear)));
            prop_assert!(runs <= count.next_power_of_two().trailing_zeros() + 2, "{} {}", count, runs);
        }

        #[test]
        fn it_finds_a_change_among_any_states(states in prop::collection::vec(any::<bool>(), 1..60)) {
            let (first, found) = first_change(states.len(), |index| Ok::<_, ()>(states[index])).unwrap();
            prop_assert_eq!(first, states[0]);
            if let Some(index) = found {
                prop_assert!(states[index] != first && states[index - 1] == first);
            } else {
                prop_assert_eq!(states.last(), states.first());
            }
        }
    }
}
