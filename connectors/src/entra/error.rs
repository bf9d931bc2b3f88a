//! What Graph and the sign-in answer, in words, and which permission would help.
//!
//! Messages name what was asked and the server. Must not hold a token, a secret, or an
//! attribute's value.

use std::error::Error;

use crate::known::NotReadable;
use crate::secret::SecretError;
use crate::source::SourceError;

/// What a request is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// A token.
    SignIn,
    /// `/users/delta`, or one user.
    People,
    /// `/groups/delta`.
    Groups,
    /// A group's members.
    Members,
    /// `/directory/deletedItems`.
    Deleted,
    /// The enterprise application of this name or id.
    App(String),
    /// Who is assigned to it.
    Assignments(String),
}

impl What {
    fn words(&self) -> String {
        match self {
            What::SignIn => "cannot sign in".to_owned(),
            What::People => "cannot read users".to_owned(),
            What::Groups => "cannot read groups".to_owned(),
            What::Members => "cannot read members of groups".to_owned(),
            What::Deleted => "cannot read deleted users".to_owned(),
            What::App(app) => format!("cannot read the enterprise application `{app}`"),
            What::Assignments(app) => format!("cannot read who is assigned to `{app}`"),
        }
    }

    /// The application permission with the least that suffices (Graph, "Permissions" of each
    /// request).
    pub(super) fn permission(&self) -> Option<&'static str> {
        match self {
            What::SignIn => None,
            What::People | What::Deleted => Some("User.Read.All"),
            What::Groups | What::Members => Some("GroupMember.Read.All"),
            What::App(_) | What::Assignments(_) => Some("Application.Read.All"),
        }
    }

    /// What was not right, in words.
    pub(super) fn failed(
        &self,
        server: &str,
        problem: &str,
        source: Option<Box<dyn Error + Send + Sync>>,
    ) -> SourceError {
        SourceError::Server {
            server: server.to_owned(),
            problem: format!("{}: {problem}", self.words()),
            source,
        }
    }

    /// 403.
    pub(super) fn forbidden(&self, server: &str) -> SourceError {
        let problem = match self.permission() {
            Some(permission) => format!(
                "it is not permitted; grant the app registration the application permission \
                 `{permission}` (Microsoft Graph) and give admin consent"
            ),
            None => "it is not permitted".to_owned(),
        };
        self.failed(server, &problem, None)
    }
}

/// Why a request came to nothing.
#[derive(Debug)]
pub(super) enum GraphError {
    /// Graph does not go on from this token: 410, or 400 with a code that says so.
    Resync(String),
    /// 404: it is not there.
    Missing,
    /// 403.
    Forbidden(What, SourceError),
    /// Anything else.
    Failed(SourceError),
}

impl GraphError {
    /// For who has no other use for it.
    pub(super) fn into_source(self, what: &What, server: &str) -> SourceError {
        match self {
            GraphError::Failed(error) | GraphError::Forbidden(_, error) => error,
            GraphError::Missing => what.failed(server, "Graph says that it is not there", None),
            GraphError::Resync(code) => {
                let problem = format!("Graph refuses to go on in the middle of a read (`{code}`)");
                what.failed(server, &problem, None)
            }
        }
    }
}

impl From<SourceError> for GraphError {
    fn from(error: SourceError) -> Self {
        GraphError::Failed(error)
    }
}

impl From<SecretError> for GraphError {
    fn from(error: SecretError) -> Self {
        GraphError::Failed(SourceError::Secret(error))
    }
}

/// The mirror cannot be asked, so nothing follows from what has changed.
pub(super) fn not_known(error: NotReadable) -> SourceError {
    SourceError::Server {
        server: "the snapshot".to_owned(),
        problem: "what was read before cannot be looked at".to_owned(),
        source: Some(error.into()),
    }
}

/// What went wrong on the way, by the HTTP library's error. Names no URL: a token for changes
/// stands in it.
pub(super) fn broken(error: &reqwest::Error) -> &'static str {
    let words = chain(error);
    if words.contains("invalid peer certificate") {
        return "the server's certificate is not accepted; if it is of your own authority, set \
                `ca_file`";
    }
    if error.is_timeout() {
        "no answer within `timeout`"
    } else if error.is_connect() {
        "cannot connect"
    } else if error.is_body() || error.is_decode() {
        "the connection broke while the answer was read"
    } else {
        "the connection broke before an answer arrived"
    }
}

/// Whether it may go better the next time.
pub(super) fn is_transient(error: &reqwest::Error) -> bool {
    !error.is_builder() && !chain(error).contains("invalid peer certificate")
}

fn chain(error: &reqwest::Error) -> String {
    let mut words = String::new();
    let mut next: Option<&dyn Error> = Some(error);
    while let Some(error) = next {
        words.push_str(&error.to_string());
        words.push(' ');
        next = error.source();
    }
    words
}

/// A server's own words, fit for one line.
pub(super) fn shorten(text: &str) -> String {
    const LENGTH: usize = 200;
    let mut words = text
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !c.is_control());
    let mut short: String = words.by_ref().take(LENGTH).collect();
    if words.next().is_some() {
        short.push('…');
    }
    short
}
