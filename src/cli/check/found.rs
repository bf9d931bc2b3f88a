//! The lines about how a target answered. Only words: what was asked is in `target::survey`.

use crate::target::survey::{Filters, Groups, Pages, Survey};

/// One line for each thing that could be told.
pub(super) fn describe(survey: &Survey) -> Vec<String> {
    let mut lines = Vec::new();
    let filters = survey.filters.map(|filters| match filters {
        Filters::Honoured => "filters honoured, by userName",
        Filters::FindNothing => {
            "filters that find nobody, whoever is there: people are looked for by listing everyone"
        }
        Filters::NotHonoured => "filters not honoured: people are looked for by listing everyone",
    });
    lines.push(filters.unwrap_or("nobody there to try filters with"));
    let pages = survey.pages.map(|pages| match pages {
        Pages::ByIndex => "pages by start index",
        Pages::WithoutTotal => "pages without totalResults: a listing ends with an empty page",
        Pages::ByCursor => "pages by cursor",
        Pages::Ignored => "page sizes ignored: more comes at once than was asked for",
    });
    lines.extend(pages);
    let groups = survey.groups.map(|groups| match groups {
        Groups::Refused => "groups refused",
        Groups::None => "no groups yet",
        Groups::WithoutMembers => {
            "groups without any member: if there should be some, they are hidden, and what was \
             pushed is taken to be there"
        }
        Groups::WithMembers => "groups that show members",
    });
    lines.extend(groups);
    let found = lines.into_iter().map(|line| format!("found  {line}"));
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_relied_on_is_said() {
        let survey = Survey {
            filters: Some(Filters::NotHonoured),
            pages: Some(Pages::ByCursor),
            groups: Some(Groups::WithoutMembers),
        };
        let lines = describe(&survey).join("\n");
        for part in ["not honoured", "by cursor", "hidden"] {
            assert!(lines.contains(part), "{lines}");
        }
    }
}
