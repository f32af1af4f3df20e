//! The rule for runs on the same machine.

use super::{Environment, Text};

impl Environment {
    /// Whether these may be the same machine. Unknown values, of which an empty string is one, agree with
    /// any. The kernel may have been updated, programs write kinds in capitals or not, and the memory that
    /// kernel and driver report varies a little.
    #[must_use]
    pub(crate) fn is_same_machine(&self, other: &Self) -> bool {
        let (one, two) = (&self.accelerator, &other.accelerator);
        let has_other_memory = match (one.memory_gb, two.memory_gb) {
            (Some(one), Some(two)) => (one - two).abs() > 0.1 * one.max(two).max(1.0),
            _ => false,
        };
        let is_equal = |one: &[u8], two: &[u8]| one == two;
        !has_other_memory
            && agree(&one.name, &two.name, is_equal)
            && agree(&self.system.cpu_name, &other.system.cpu_name, is_equal)
            && agree(&one.kind, &two.kind, <[u8]>::eq_ignore_ascii_case)
            && agree(
                &self.system.kernel_type,
                &other.system.kernel_type,
                <[u8]>::eq_ignore_ascii_case,
            )
    }
}

/// Whether two texts are equal by this rule, or one of them is unknown.
fn agree(one: &Option<Text>, two: &Option<Text>, is_equal: impl Fn(&[u8], &[u8]) -> bool) -> bool {
    match (one, two) {
        (Some(one), Some(two)) => {
            let (one, two) = (one.as_bytes(), two.as_bytes());
            one.is_empty() || two.is_empty() || is_equal(one, two)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(name: &str, kind: &str, kernel: &str, memory: f64) -> Environment {
        let mut machine = Environment::default();
        machine.accelerator.name = Some(name.into());
        machine.accelerator.kind = Some(kind.into());
        machine.accelerator.memory_gb = Some(memory);
        machine.system.kernel_type = Some(kernel.into());
        machine
    }

    #[test]
    fn an_empty_text_is_unknown_and_kinds_ignore_case() {
        let one = machine("A", "GPU", "Linux", 24.0);
        for (name, kind, kernel, same) in [
            ("", "", "", true),
            ("A", "gpu", "linux", true),
            ("a", "GPU", "Linux", false),
            ("A", "CPU", "Linux", false),
            ("A", "GPU", "Darwin", false),
        ] {
            let two = machine(name, kind, kernel, 24.0);
            assert_eq!(one.is_same_machine(&two), same, "{name} {kind} {kernel}");
            assert_eq!(two.is_same_machine(&one), same, "{name} {kind} {kernel}");
        }
        assert!(one.is_same_machine(&Environment::default()));
    }

    #[test]
    fn memory_may_differ_by_a_tenth() {
        for (one, two, same) in [
            (24.0, 21.6, true),
            (24.0, 21.5, false),
            (0.5, 0.41, true),
            (0.5, 0.39, false),
            (f64::NAN, 24.0, true),
        ] {
            let [one_machine, two_machine] =
                [one, two].map(|gib| machine("A", "GPU", "Linux", gib));
            assert_eq!(
                one_machine.is_same_machine(&two_machine),
                same,
                "{one} {two}"
            );
            assert_eq!(
                two_machine.is_same_machine(&one_machine),
                same,
                "{two} {one}"
            );
        }
    }
}
