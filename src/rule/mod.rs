//! Layer 1: the RECUR value (RFC 5545 §3.3.10, RFC 7529) and what it yields on the plain calendar: local
//! seconds in, local seconds out. `ical` uses it to check, `zone` for VTIMEZONE, `recur` for everything else.
//!
//! Not here: zones, EXDATE, RDATE, overrides. A *local second* is the number of seconds from
//! 1970-01-01T00:00:00 on a clock that is never changed.
//!
//! How it stays fast: the days a rule can fall on within one month are a bitmask of that month
//! (`days`), the times within one day are three bitmasks (`times`). An occurrence is found by
//! looking at the month asked for, so that where a series began does not matter (invariant T4).
//!
//! ```
//! use kalends::rule::{civil, Rule, Sequence};
//! let rule: Rule = "FREQ=MONTHLY;BYDAY=-1FR".parse().unwrap();
//! let start = civil::days(2026, 1, 30) * civil::DAY + 9 * 3600;
//! let sequence = Sequence::new(&rule, start);
//! let mut steps = 1_000;
//! let mut late = sequence.from(civil::days(2046, 6, 1) * civil::DAY);
//! let found = late.next(&mut steps).unwrap().unwrap();
//! assert_eq!(civil::naive(found).to_string(), "2046-06-29 09:00:00");
//! ```

mod budget;
pub mod civil;
mod days;
mod parse;
mod sequence;
mod sets;
#[cfg(test)]
mod tests;
mod ticks;
mod times;

pub use budget::{Budget, BudgetExceeded};
pub use parse::{Frequency, InvalidRule, Rule, Skip, Until};
pub use sequence::{Cursor, Sequence};
