//! Numbers of things, in words.

use std::fmt::Display;

/// `1 rule`, `2 rules`, `3 entries`, `4 addresses`: the noun is given in the singular, with what stands before it.
pub fn counted<N: Display + PartialEq + From<u8>>(number: N, one: &str) -> String {
    if number == N::from(1) {
        return format!("{number} {one}");
    }
    let many = match one.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o']) => format!("{stem}ies"),
        None if one.ends_with("ss") => format!("{one}es"),
        Some(_) | None => format!("{one}s"),
    };
    format!("{number} {many}")
}

/// `is` of one thing, `are` of all others.
pub fn are<N: PartialEq + From<u8>>(number: N) -> &'static str {
    if number == N::from(1) { "is" } else { "are" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_no_plural() {
        assert_eq!(counted(1_usize, "rule"), "1 rule");
        assert_eq!(counted(0_u64, "rule"), "0 rules");
        assert_eq!(counted(2_u32, "older entry"), "2 older entries");
        assert_eq!(counted(3_usize, "threshold key"), "3 threshold keys");
        assert_eq!(counted(4_usize, "address"), "4 addresses");
        assert_eq!([are(0_u32), are(1), are(2)], ["are", "is", "are"]);
    }
}
