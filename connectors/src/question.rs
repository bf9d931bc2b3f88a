//! Questions about people that only their directory can answer: where they stand, whether
//! its own kind of filter matches them, and what they may do in an app.
//!
//! A question is asked like an attribute, by a name that no attribute has, and answered with
//! true or false unless it says otherwise. No answer means that it cannot be told. Must not answer anything itself.

/// A question about a person.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// Do they stand below this place, as the directory writes places?
    Below(String),
    /// Does this filter, as the directory writes them, match?
    Matches(String),
    /// Are they assigned to this app? Answered by a group of this name as its id, whose direct
    /// members are the people and groups that are assigned.
    AssignedTo(String),
    /// Which roles have they in this app? Answered with the list of them, not with true or false.
    RolesIn(String),
}

const BELOW: &str = "below";
const MATCHES: &str = "matches";
const ASSIGNED: &str = "assigned-to";
const ROLES: &str = "roles";

impl Question {
    /// The name to ask by.
    pub fn name(&self) -> String {
        match self {
            Question::Below(place) => format!("{BELOW}:{place}"),
            Question::Matches(filter) => format!("{MATCHES}:{filter}"),
            Question::AssignedTo(app) => format!("{ASSIGNED}:{app}"),
            Question::RolesIn(app) => format!("{ROLES}:{app}"),
        }
    }

    /// The question that a name asks; `None` for an attribute's name.
    pub fn asked(name: &str) -> Option<Self> {
        let (kind, rest) = name.split_once(':')?;
        let rest = rest.to_owned();
        match kind {
            BELOW => Some(Question::Below(rest)),
            MATCHES => Some(Question::Matches(rest)),
            ASSIGNED => Some(Question::AssignedTo(rest)),
            ROLES => Some(Question::RolesIn(rest)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_known_by_its_name() {
        for question in [
            Question::Below("ou=Sales,dc=example,dc=com".to_owned()),
            Question::Matches("(title=*)".to_owned()),
            Question::AssignedTo("GitGuardian".to_owned()),
            Question::RolesIn("GitGuardian".to_owned()),
        ] {
            assert_eq!(Question::asked(&question.name()), Some(question));
        }
        assert_eq!(Question::asked("mail"), None);
    }
}
