//! A bound on work: specs come from outside, and some never match.

/// How much work a search may still do. One step looks at one day of one calendar, or at one time that is excluded.
#[derive(Debug, Clone)]
pub struct Steps(u32);

/// The search was given up: nothing was found within the steps allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the schedule calendar specification has too many exclusions. Please modify the specification.")]
pub struct OutOfSteps;

impl Steps {
    /// Enough for every reasonable spec, and done within a fraction of a second.
    pub const USUAL: u32 = 4_000_000;

    /// A bound of this many steps.
    pub fn new(steps: u32) -> Self {
        Steps(steps)
    }

    pub(crate) fn take(&mut self) -> Result<(), OutOfSteps> {
        self.0 = self.0.checked_sub(1).ok_or(OutOfSteps)?;
        Ok(())
    }
}

impl Default for Steps {
    fn default() -> Self {
        Steps(Self::USUAL)
    }
}
