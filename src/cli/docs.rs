//! Documents that are made from tables in the code: `docs/limits.md`.

use crate::base::LIMITS;

/// The text of `docs/limits.md`.
pub fn limits_document() -> String {
    let mut text = String::from(
        "# Limits\n\n\
         Everything that comes from outside is bounded. This is the whole table; it is made from the code (a test keeps it\n\
         current). Each limit is set in the configuration's `[limits]`, or by the environment variable `KALENDS_LIMITS_`\n\
         with the name in capitals.\n\n\
         An answer that a limit causes names it, and `kalends_limit_hits_total{limit}` counts it; those that make a connection wait or\n\
         close it are seen in `kalends_connections`. Preconditions are counted in `kalends_refusals_total{condition}`.\n\n\
         | name | default | unit | what it bounds | who exceeds it gets |\n\
         |---|---:|---|---|---|\n",
    );
    for limit in LIMITS {
        text.push_str(&format!(
            "| `{}` | {} | {} | {} | {} |\n",
            limit.name,
            grouped(limit.default),
            limit.unit,
            limit.meaning,
            limit.error
        ));
    }
    text
}

/// `20971520` as `20,971,520`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_of_limits_is_current() {
        crate::cli::generated("docs/limits.md", &limits_document());
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1_000, 20_971_520].map(grouped), ["0", "999", "1,000", "20,971,520"]);
    }
}
