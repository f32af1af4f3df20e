//! The rule for runs on the same machine.

use super::Environment;

impl Environment {
    /// Whether these may be the same machine. Missing values agree with any. The kernel may have been
    /// updated, and the memory that kernel and driver report varies a little.
    #[must_use]
    pub(crate) fn is_same_machine(&self, other: &Self) -> bool {
        fn agree<T: PartialEq>(one: &Option<T>, other: &Option<T>) -> bool {
            one.is_none() || other.is_none() || one == other
        }
        let (one, two) = (&self.accelerator, &other.accelerator);
        let has_other_memory = match (one.memory_gb, two.memory_gb) {
            (Some(one), Some(two)) => (one - two).abs() > 0.1 * one.max(two).max(1.0),
            _ => false,
        };
        agree(&one.name, &two.name)
            && agree(&one.kind, &two.kind)
            && !has_other_memory
            && agree(&self.system.cpu_name, &other.system.cpu_name)
            && agree(&self.system.kernel_type, &other.system.kernel_type)
    }
}
