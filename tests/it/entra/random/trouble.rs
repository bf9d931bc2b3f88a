//! How Graph tells of a day, and what goes wrong meanwhile.

use super::World;
use crate::entra::simulator::error;
use crate::entra::tenant::Silences;

/// What goes wrong in a run.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    /// Graph asks to wait, once, or every third time; parts of a batch are requests, too.
    Throttled,
    ThrottledOften,
    /// The token is not good any more, once.
    Unsigned,
    /// An answer that breaks off.
    Cut,
    /// The tokens for changes are of no use: refused, or not even known any more.
    Resync,
    Forgotten,
    /// A round that was begun cannot be gone on with.
    Broken,
    /// From some request on, nothing may be read.
    Forbidden,
    /// The list of assignments is not there.
    NoAssignments,
    /// Of somebody only the id is shown.
    Hidden,
}

const TROUBLES: [Trouble; 10] = [
    Trouble::Throttled,
    Trouble::ThrottledOften,
    Trouble::Unsigned,
    Trouble::Cut,
    Trouble::Resync,
    Trouble::Forgotten,
    Trouble::Broken,
    Trouble::Forbidden,
    Trouble::NoAssignments,
    Trouble::Hidden,
];

impl World {
    /// How Graph tells things today.
    pub(super) fn behave_somehow(&mut self) {
        let rng = &mut self.rng;
        let silences = Silences {
            restore: rng.bool(),
            deletion: rng.bool(),
            purge: rng.bool(),
        };
        let (page, slice) = (rng.usize(1..9), rng.usize(1..5));
        let (empty, again, replays) = (rng.usize(0..3), rng.usize(0..4), rng.bool());
        let terse = rng.bool();
        let uses = [None, Some(1), Some(2), Some(5)][rng.usize(..4)];
        self.simulator.tenant(|tenant| tenant.silences = silences);
        self.simulator.login(|login| login.uses = uses);
        self.simulator.manners(|manners| {
            manners.page = page;
            manners.slice = slice;
            manners.empty_every = empty;
            manners.again_every = again;
            manners.replays = replays;
            manners.terse = terse;
            manners.hidden.clear();
        });
        self.note(format!("tokens are good for {uses:?} requests"));
    }

    /// A run that goes wrong somewhere, or nearly: it writes what is right, or nothing.
    pub(super) fn trouble(&mut self) {
        let at = self.rng.usize(0..6);
        if self.rng.u8(0..8) < 3 {
            return;
        }
        let trouble = TROUBLES[self.rng.usize(..TROUBLES.len())];
        self.note(format!("{trouble:?} at request {at}"));
        self.simulator.take_asked();
        self.go_wrong(trouble, at);
        let ran = self.run_within_limits();
        if ![0, 1, 4].contains(&ran.exit) || ran.stderr.contains("panicked") {
            self.fail(&format!("a bad day: {ran:#?}"));
        }
        if ran.exit == 0 {
            self.agrees();
        }
        // Whatever could not be read on a bad day is read on the next good one.
        self.simulator.behave();
        self.simulator.manners(|manners| manners.hidden.clear());
    }

    fn go_wrong(&mut self, trouble: Trouble, at: usize) {
        match trouble {
            Trouble::Cut => {
                return self.simulator.alter(move |asked, mut answer| {
                    answer.is_cut = asked.before == at;
                    answer
                });
            }
            Trouble::Forgotten => return self.simulator.forget_marks(),
            Trouble::Hidden => {
                let hidden = self.some(true).into_iter().collect();
                return self.simulator.manners(|manners| manners.hidden = hidden);
            }
            _ => {}
        }
        self.simulator.instead(move |asked, _| {
            let (now, later) = (asked.before == at, asked.before >= at);
            let wait = |status| error(status, "TooManyRequests", "x").with("Retry-After", "0.05");
            let gone = || error(410, "resyncRequired", "x");
            match trouble {
                Trouble::Throttled => now.then(|| wait(429)),
                Trouble::ThrottledOften => asked.before.is_multiple_of(3).then(|| wait(503)),
                Trouble::Unsigned => now.then(|| error(401, "InvalidAuthenticationToken", "x")),
                Trouble::Resync => (later && asked.raw_query.contains("deltatoken")).then(gone),
                Trouble::Broken => (later && asked.raw_query.contains("skiptoken")).then(gone),
                Trouble::Forbidden => later.then(|| error(403, "Authorization_RequestDenied", "x")),
                Trouble::NoAssignments => (later && asked.path.ends_with("appRoleAssignedTo"))
                    .then(|| error(404, "Request_ResourceNotFound", "x")),
                Trouble::Cut | Trouble::Forgotten | Trouble::Hidden => None,
            }
        });
    }
}
