//! How a target wants to be spoken to: the RFC's letter, what its profile says, and what its
//! answers have taught (DESIGN §10). Pure.
//!
//! Says which form of a write is next after a refusal or after a yes that changed nothing;
//! never sends one, and never makes a DELETE of anything.

mod body;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use provisor_connectors::Kind;
use serde::{Deserialize, Serialize};

pub use self::body::{Change, create_body, patch_body};
pub(super) use self::body::{
    current_members, finish, patch_with_list, pathless_body, pathless_needs_current, whole_body,
};
use super::error::TargetError;
use super::profile::Profile;

/// The form of a change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// PATCH operations, each with a path.
    #[default]
    Paths,
    /// One PATCH operation that replaces whole attributes and has no path.
    NoPaths,
    /// A PUT of the whole resource: read, changed, written back.
    Whole,
}

/// How members are taken out of a group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Removal {
    /// One `remove` of `members[value eq "…"]` each (RFC 7644 §3.5.2.2).
    #[default]
    Filter,
    /// One `remove` of `members` with a list of values. RFC-strict servers empty the whole
    /// group for that, so only a preset asks for it.
    ValueList,
    /// A `replace` of `members` with who stays.
    List,
}

/// How resources of one kind are written at a target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct Manner {
    /// The form of a change.
    pub form: Form,
    /// Booleans are the texts `"True"` and `"False"`.
    pub text_booleans: bool,
    /// How members are taken out.
    pub removal: Removal,
    /// Members have a `$ref`.
    pub member_refs: bool,
}

impl Manner {
    /// What the profile says.
    pub fn of(profile: &Profile) -> Self {
        Self {
            form: match (profile.patch, profile.patch_paths) {
                (false, _) => Form::Whole,
                (true, false) => Form::NoPaths,
                (true, true) => Form::Paths,
            },
            text_booleans: profile.text_booleans,
            removal: profile.member_removal,
            member_refs: profile.member_refs,
        }
    }

    /// What to try after a refusal: only where it says that the form is what is wrong (501 or
    /// 405; 400 with the scimType that fits). The second value: whether that is to be
    /// remembered of the target when it helps.
    pub(super) fn after_refusal(
        self,
        error: &TargetError,
        change: &Change<'_>,
    ) -> Option<(Self, bool)> {
        let TargetError::Refused {
            status, scim_type, ..
        } = error
        else {
            return None;
        };
        let scim_type = scim_type.as_deref().unwrap_or_default();
        let scim_type = scim_type.to_ascii_lowercase();
        let patches = self.form != Form::Whole;
        let by_filter = patches && !change.remove.is_empty() && self.removal != Removal::List;
        let list = Self {
            removal: Removal::List,
            ..self
        };
        let whole = Self {
            form: Form::Whole,
            ..self
        };
        match (status, scim_type.as_str()) {
            (501, _) if by_filter => Some((list, true)),
            (405 | 501, _) if patches => Some((whole, true)),
            (400, "invalidvalue") => self.with_other_values(change).map(|it| (it, true)),
            (400, "" | "invalidpath" | "invalidsyntax" | "invalidfilter" | "notarget")
                if by_filter =>
            {
                Some((list, true))
            }
            (400, "invalidpath" | "invalidsyntax" | "notarget") if self.form == Form::Paths => {
                let without = Self {
                    form: Form::NoPaths,
                    ..self
                };
                // What a path selects may be missing in this one resource only.
                Some((without, scim_type != "notarget"))
            }
            _ => None,
        }
    }

    /// What to try when a value was refused.
    pub(super) fn with_other_values(self, change: &Change<'_>) -> Option<Self> {
        if change.has_booleans() && !self.text_booleans {
            return Some(Self {
                text_booleans: true,
                ..self
            });
        }
        (!change.add.is_empty() && !self.member_refs).then_some(Self {
            member_refs: true,
            ..self
        })
    }

    /// What to try when the answer was yes and nothing changed, the least harmful first.
    pub(super) fn after_nothing(self, change: &Change<'_>) -> Option<Self> {
        let removal = match self.form {
            Form::Paths if !change.remove.is_empty() => Removal::List,
            _ => self.removal,
        };
        if removal != self.removal {
            return Some(Self { removal, ..self });
        }
        let form = match self.form {
            Form::Paths => Form::NoPaths,
            Form::NoPaths => Form::Whole,
            Form::Whole => return None,
        };
        Some(Self { form, ..self })
    }
}

/// What a target has taught about its ways. Kept with the target's progress; bound, like the
/// links, to its fingerprint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dialect {
    /// Of users.
    pub users: Learned,
    /// Of groups.
    pub groups: Learned,
}

/// What was learnt of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Learned {
    /// The manner that helped; absent: the profile's.
    pub manner: Option<Manner>,
    /// Changes that were seen to take, each the first time it was made: paths, with a minus
    /// sign for removals.
    pub verified: BTreeSet<String>,
    /// Changes that were answered with yes and never shown: whether they took is unknown.
    pub unseen: BTreeSet<String>,
    /// Whether a group's members were ever shown: then a group without `members` has none.
    pub members_shown: bool,
    /// Whether somebody's id was seen to be their name, which may pass to somebody else.
    pub ids_are_names: bool,
}

impl Dialect {
    /// Of a kind.
    pub fn of(&self, kind: Kind) -> &Learned {
        match kind {
            Kind::User => &self.users,
            Kind::Group => &self.groups,
        }
    }

    /// Of a kind.
    pub(super) fn of_mut(&mut self, kind: Kind) -> &mut Learned {
        match kind {
            Kind::User => &mut self.users,
            Kind::Group => &mut self.groups,
        }
    }

    /// What was learnt, in words, for people who ask what a target can do.
    pub fn describe(&self) -> Vec<String> {
        let kinds = [("users", &self.users), ("groups", &self.groups)];
        let lines = kinds.map(|(kind, learned)| {
            learned
                .in_words()
                .into_iter()
                .map(move |words| format!("{kind}: {words}"))
        });
        lines.into_iter().flatten().collect()
    }
}

impl Learned {
    /// Notes that a manner helped. What was verified in another one counts no more.
    pub(super) fn note_manner(&mut self, manner: Manner) {
        if self.manner != Some(manner) {
            self.manner = Some(manner);
            self.verified.clear();
            self.unseen.clear();
        }
    }

    fn in_words(&self) -> Vec<String> {
        let Manner {
            form,
            text_booleans,
            removal,
            member_refs,
        } = self.manner.unwrap_or_default();
        let mut words = Vec::new();
        match form {
            Form::Paths => {}
            Form::NoPaths => {
                words.push("takes no paths in PATCH: whole attributes are sent".to_owned())
            }
            Form::Whole => words.push("takes no PATCH: whole resources are sent".to_owned()),
        }
        if text_booleans {
            words.push("takes booleans as text only".to_owned());
        }
        if removal == Removal::List && form == Form::Paths {
            words.push("removes no single members: who stays is sent".to_owned());
        }
        if member_refs {
            words.push("wants `$ref` in members".to_owned());
        }
        if self.ids_are_names {
            words
                .push("ids are names: the key is compared before anyone is deactivated".to_owned());
        }
        if !self.unseen.is_empty() {
            let unseen: Vec<&str> = self.unseen.iter().map(String::as_str).collect();
            words.push(format!(
                "does not show, so nobody knows whether it keeps: {}",
                unseen.join(", ")
            ));
        }
        if !self.verified.is_empty() {
            let verified: Vec<&str> = self.verified.iter().map(String::as_str).collect();
            words.push(format!("seen to take: {}", verified.join(", ")));
        }
        words
    }
}
