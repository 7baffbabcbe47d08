//! How much work a request may still cause.

/// How much work may still be done: shared by all objects of one request, so that a thousand
/// heavy series are as bounded as one.
#[derive(Debug, Clone)]
pub struct Budget {
    /// Candidate dates that may still be looked at.
    pub steps: u64,
    /// Occurrences that may still be produced.
    pub instances: u64,
}

/// The budget ran out. On the wire: DAV:number-of-matches-within-limits or CALDAV:max-instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the recurrences in the window are more than the limit allows; ask for a shorter window")]
pub struct BudgetExceeded;

impl Budget {
    /// Takes one occurrence off the budget.
    ///
    /// # Errors
    /// [`BudgetExceeded`] if none is left.
    pub fn take_instance(&mut self) -> Result<(), BudgetExceeded> {
        take(&mut self.instances)
    }
}

/// Takes one off `left`.
pub(super) fn take(left: &mut u64) -> Result<(), BudgetExceeded> {
    *left = left.checked_sub(1).ok_or(BudgetExceeded)?;
    Ok(())
}
