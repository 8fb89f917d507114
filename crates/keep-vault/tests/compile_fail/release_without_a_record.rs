//! A held answer cannot be read, and its record cannot be made up.

fn peek(held: keep_vault::Held<keep_types::Answer>) -> keep_types::Answer {
    held.value
}

fn make_up(job: keep_types::JobId) -> keep_vault::Committed {
    keep_vault::Committed { job }
}

fn main() {}
