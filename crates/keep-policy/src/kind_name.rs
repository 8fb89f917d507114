//! What kinds of events are called.

/// Kinds by number, in the words of their NIPs.
const NAMES: &[(u16, &str)] = &[
    (0, "profile"),
    (1, "short text note"),
    (3, "list of contacts"),
    (4, "encrypted direct message (old form)"),
    (5, "deletion request"),
    (6, "repost"),
    (7, "reaction"),
    (8, "badge award"),
    (13, "sealed message"),
    (14, "direct message"),
    (15, "file message"),
    (16, "generic repost"),
    (20, "picture"),
    (21, "video"),
    (22, "short video"),
    (40, "channel creation"),
    (41, "channel details"),
    (42, "channel message"),
    (62, "request to vanish"),
    (1059, "gift wrap"),
    (1063, "file details"),
    (1111, "comment"),
    (1311, "live chat message"),
    (1617, "patch"),
    (1621, "issue"),
    (1984, "report"),
    (1985, "label"),
    (9041, "zap goal"),
    (9734, "zap request"),
    (9735, "zap receipt"),
    (9802, "highlight"),
    (10000, "list of muted people"),
    (10001, "list of pinned notes"),
    (10002, "list of relays"),
    (10003, "bookmarks"),
    (10050, "relays for direct messages"),
    (10063, "list of media servers"),
    (13194, "wallet details"),
    (22242, "signing in to a relay"),
    (23194, "wallet request"),
    (24133, "remote signing"),
    (24242, "permission for a media server"),
    (27235, "signing in over HTTP"),
    (30000, "list of people"),
    (30003, "set of bookmarks"),
    (30008, "badges of the profile"),
    (30009, "badge definition"),
    (30023, "article"),
    (30024, "draft of an article"),
    (30078, "application data"),
    (30311, "live event"),
    (30402, "classified listing"),
    (31922, "calendar day"),
    (31923, "calendar event"),
    (31989, "application recommendation"),
    (31990, "application details"),
];

/// What events of this kind are, if the kind is well known.
pub fn kind_name(kind: u16) -> Option<&'static str> {
    NAMES.binary_search_by_key(&kind, |(number, _)| *number).ok().map(|at| NAMES[at].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order() {
        assert!(NAMES.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(kind_name(1), Some("short text note"));
        assert_eq!(kind_name(2), None);
    }
}
