//! Questions about people that only their directory can answer: where they stand, and whether
//! its own kind of filter matches them.
//!
//! A question is asked like an attribute, by a name that no attribute has, and answered with
//! true or false. No answer means that it cannot be told. Must not answer anything itself.

/// A question about a person.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// Do they stand below this place, as the directory writes places?
    Below(String),
    /// Does this filter, as the directory writes them, match?
    Matches(String),
}

const BELOW: &str = "below:";
const MATCHES: &str = "matches:";

impl Question {
    /// The name to ask by.
    pub fn name(&self) -> String {
        match self {
            Question::Below(place) => format!("{BELOW}{place}"),
            Question::Matches(filter) => format!("{MATCHES}{filter}"),
        }
    }

    /// The question that a name asks; `None` for an attribute's name.
    pub fn asked(name: &str) -> Option<Self> {
        let below = name.strip_prefix(BELOW);
        let below = below.map(|place| Question::Below(place.to_owned()));
        let matches = name.strip_prefix(MATCHES);
        below.or_else(|| matches.map(|filter| Question::Matches(filter.to_owned())))
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
        ] {
            assert_eq!(Question::asked(&question.name()), Some(question));
        }
        assert_eq!(Question::asked("mail"), None);
    }
}
