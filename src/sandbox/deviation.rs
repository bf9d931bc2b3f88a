//! Deviations on request: lasting ways in which real service providers are not what the RFCs
//! say. Each is one that was seen in the wild.
//!
//! Only names them; what a deviating server does stands where it answers.

use super::fault::FaultHelp;

/// One lasting deviation, written as its name: `ignores-filters`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deviation {
    /// PATCH is 501; PUT replaces.
    NoPatch,
    /// A PATCH operation with a path is refused with 400 invalidPath.
    NoPatchPath,
    /// Booleans are taken as the texts "True" and "False" only; others are 400 invalidValue.
    StringBooleans,
    /// PATCH answers 200 and does nothing.
    IgnoresPatch,
    /// The answer to a POST has no id and no Location.
    NoId,
    /// Writes are answered 202 without a body, and done.
    Accepted,
    /// Errors are pages of HTML.
    HtmlErrors,
    /// Adding a member again lists it twice.
    DuplicateMembers,
    /// A member without `$ref` is refused.
    RefRequired,
    /// `members[value eq "…"]` cannot be removed: 501.
    NoMemberFilter,
    /// externalId is taken and forgotten.
    NoExternalId,
    /// The id of a user is the userName, and changes with it.
    IdsAreNames,
    /// DELETE only switches off, and the userName stays taken.
    SoftDeletes,
    /// DELETE leaves the id of a user in the groups.
    KeepsDeletedMembers,
    /// A filter is not looked at: everybody is the answer.
    IgnoresFilters,
    /// A filter is refused with 400 invalidFilter.
    NoFilters,
    /// A filter finds nobody.
    FiltersFindNothing,
    /// Past the end of a listing the first page comes again.
    FirstPageAgain,
    /// Paging is not looked at: every page is the whole listing.
    IgnoresPaging,
    /// `totalResults` is one too many.
    WrongTotals,
    /// Listed groups show no members.
    HidesMembers,
    /// Inactive users are not listed, and not found by id.
    HidesInactive,
    /// Pages have cursors (RFC 9865) and no start index.
    CursorPaging,
}

impl Deviation {
    /// Every deviation with its name and a line of help.
    pub const ALL: &'static [(Deviation, FaultHelp)] = &[
        help(
            Deviation::NoPatch,
            "no-patch",
            "refuse PATCH with 501; PUT works",
        ),
        help(
            Deviation::NoPatchPath,
            "no-patch-path",
            "refuse PATCH operations that have a path with 400 invalidPath",
        ),
        help(
            Deviation::StringBooleans,
            "string-booleans",
            "take booleans as the texts \"True\" and \"False\" only",
        ),
        help(
            Deviation::IgnoresPatch,
            "ignores-patch",
            "answer PATCH with 200 and do nothing",
        ),
        help(
            Deviation::NoId,
            "no-id",
            "answer POST with 201 and neither id nor Location",
        ),
        help(
            Deviation::Accepted,
            "accepted",
            "do writes, and answer them with 202 and no body",
        ),
        help(
            Deviation::HtmlErrors,
            "html-errors",
            "answer errors with a page of HTML",
        ),
        help(
            Deviation::DuplicateMembers,
            "duplicate-members",
            "list a member twice that is added twice",
        ),
        help(
            Deviation::RefRequired,
            "ref-required",
            "refuse members that have no $ref",
        ),
        help(
            Deviation::NoMemberFilter,
            "no-member-filter",
            "refuse to remove members[value eq \"…\"] with 501",
        ),
        help(
            Deviation::NoExternalId,
            "no-external-id",
            "take externalId and forget it",
        ),
        help(
            Deviation::IdsAreNames,
            "ids-are-names",
            "use a user's userName as id, and change it on a rename",
        ),
        help(
            Deviation::SoftDeletes,
            "soft-deletes",
            "switch off on DELETE, and keep the userName taken",
        ),
        help(
            Deviation::KeepsDeletedMembers,
            "keeps-deleted-members",
            "leave the id of a deleted user in the groups",
        ),
        help(
            Deviation::IgnoresFilters,
            "ignores-filters",
            "answer every filter with everybody",
        ),
        help(
            Deviation::NoFilters,
            "no-filters",
            "refuse filters with 400 invalidFilter",
        ),
        help(
            Deviation::FiltersFindNothing,
            "filters-find-nothing",
            "answer every filter with nobody",
        ),
        help(
            Deviation::FirstPageAgain,
            "first-page-again",
            "answer past the end of a listing with the first page",
        ),
        help(
            Deviation::IgnoresPaging,
            "ignores-paging",
            "answer every page with the whole listing",
        ),
        help(
            Deviation::WrongTotals,
            "wrong-totals",
            "count one resource too many in totalResults",
        ),
        help(
            Deviation::HidesMembers,
            "hides-members",
            "show no members in groups",
        ),
        help(
            Deviation::HidesInactive,
            "hides-inactive",
            "show no inactive users, neither listed nor by id",
        ),
        help(
            Deviation::CursorPaging,
            "cursor-paging",
            "page by cursor (RFC 9865) only",
        ),
    ];

    /// The deviation of this name.
    pub fn find(name: &str) -> Option<Self> {
        let mut all = Self::ALL.iter();
        all.find(|(_, help)| help.name == name)
            .map(|(deviation, _)| *deviation)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        let mut all = Self::ALL.iter();
        all.find(|(deviation, _)| *deviation == self)
            .map_or("", |(_, help)| help.name)
    }
}

const fn help(
    deviation: Deviation,
    name: &'static str,
    help: &'static str,
) -> (Deviation, FaultHelp) {
    let help = FaultHelp {
        name,
        usage: name,
        help,
    };
    (deviation, help)
}
