//! The tables there are, and what they are called on disk and in errors. Which of them are kept
//! in bundles is in `bundle.rs`.
//!
//! Names on disk are never changed, and positions only added to: they address trees.

/// Where values are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::snapshot) enum Table {
    /// The state key, the flush generation, the sums. Not summed itself.
    Meta,
    /// Per source, what is published.
    Sources,
    /// Mirror rows by (source, kind, id hash, generation).
    Rows,
    /// Group edges by (source, group hash, member kind, member hash, generation).
    Edges,
    /// The same edges from the member's side.
    MemberOf,
    /// Digest pages by (source, kind, bucket, generation).
    Pages,
    /// Which generation changed what. In bundles.
    Changes,
    /// Links by (target, record).
    Links,
    /// Records by (target, kind, digest of the resource). In bundles.
    Owners,
    /// (target, kind, path, value digest, record). In bundles.
    Values,
    /// Member edges by (target, group record, resource).
    Members,
    /// (target, resource, group record).
    GroupsWith,
    /// Intents by (target, record).
    Intents,
    /// Open rows by (target, record).
    Open,
    /// Spending by (target, time, number).
    Spent,
    /// Progress and totals of each target.
    Progress,
}

impl Table {
    /// Every table; the position is the database's tree.
    pub(super) const ALL: [Table; 16] = [
        Table::Meta,
        Table::Sources,
        Table::Rows,
        Table::Edges,
        Table::MemberOf,
        Table::Pages,
        Table::Changes,
        Table::Links,
        Table::Owners,
        Table::Values,
        Table::Members,
        Table::GroupsWith,
        Table::Intents,
        Table::Open,
        Table::Spent,
        Table::Progress,
    ];

    /// The tree's name on disk, and how errors call what is in it. Names are never changed.
    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Table::Meta => ("meta", "part of its own description"),
            Table::Sources => ("sources", "published source"),
            Table::Rows => ("rows", "record of the mirror"),
            Table::Edges => ("edges", "group edge of the mirror"),
            Table::MemberOf => ("member-of", "group edge of the mirror"),
            Table::Pages => ("pages", "page of digests"),
            Table::Changes => ("changes", "note of a change"),
            Table::Links => ("links", "link"),
            Table::Owners => ("owners", "owner of a resource"),
            Table::Values => ("values", "indexed value"),
            Table::Members => ("members", "member edge"),
            Table::GroupsWith => ("groups-with", "member edge"),
            Table::Intents => ("intents", "intent"),
            Table::Open => ("open", "open row"),
            Table::Spent => ("spent", "spending"),
            Table::Progress => ("progress", "target's progress"),
        }
    }

    /// How errors call a value of this table.
    pub(in crate::snapshot) const fn what(self) -> &'static str {
        self.names().1
    }

    /// The tree's name on disk.
    pub(super) const fn name(self) -> &'static str {
        self.names().0
    }
}

/// The tree names, in the order in which [`Tables`] addresses them.
pub(in crate::snapshot) fn tree_names() -> Vec<&'static str> {
    Table::ALL.iter().map(|table| table.name()).collect()
}
