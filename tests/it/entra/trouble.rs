//! Graph in trouble, Graph as somebody else's, and an agent that may not do everything: nobody
//! is ever switched off for what could not be read.

mod hostile;
mod permissions;
mod resync;
mod throttled;
mod ways_in;

use serde_json::json;
use uuid::Uuid;

use super::simulator::Simulator;
use super::stories::begin;
use super::tenant::Tenant;
use crate::support::story::Story;

/// A tenant of some people who are all at the target already.
struct Settled {
    simulator: Simulator,
    story: Story,
    people: Vec<Uuid>,
}

fn settled(count: usize, more: &str) -> Settled {
    let mut tenant = Tenant::new();
    let people: Vec<Uuid> = (0..count)
        .map(|number| tenant.add_user(&format!("p{number:02}"), json!({})))
        .collect();
    let simulator = Simulator::start(tenant);
    let mut story = begin(
        &simulator,
        "What could not be read changes nothing, and what can be read again is as it should be.",
        more,
    );
    story.tell(&format!("name = \"at first\"\nwrites = {count}\n"));
    Settled {
        simulator,
        story,
        people,
    }
}

impl Settled {
    /// Somebody is switched off, which is not seen while the trouble lasts and is one write after
    /// it. The words are those that the operator must see meanwhile.
    fn survives(mut self, words: &[&str]) {
        self.disable_first();
        self.endures(words);
        self.simulator.behave();
        self.recovers();
    }

    /// The trouble is named, and nothing is done.
    fn endures(&self, words: &[&str]) {
        let ran = self.story.sync_in_vain();
        for word in words {
            assert!(ran.stderr.contains(word), "no {word:?} in\n{}", ran.stderr);
        }
    }

    fn disable_first(&self) {
        let first = self.people[0];
        self.simulator
            .tenant(|tenant| tenant.set(first, json!({"accountEnabled": false})));
    }

    fn recovers(&mut self) {
        self.story.tell(
            r#"
name = "afterwards"
requests = '''
PATCH /Users/{id:p00@example.com} [{"op":"replace","path":"active","value":false}]
'''
"#,
        );
        self.story.check_settled();
    }
}
