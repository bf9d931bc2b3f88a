//! Compares what a run said and sent with what its step expects.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Ids, Story};
use crate::support::compare;
use crate::support::document::planned_requests;
use crate::support::run::Ran;
use crate::support::sandbox::Logged;
use crate::support::scenario::{Step, read_requests};

impl Story {
    pub(super) fn check_run(&self, step: &Step, ran: &Ran, previewed: Option<&(Ran, Value)>) {
        self.check_secrets(ran);
        if ran.exit != step.exit {
            self.fail(&format!("the exit is not {}: {ran:#?}", step.exit));
        }
        for part in &step.stderr_contains {
            let part = self.resolve(part, &self.ids);
            if !ran.stderr.contains(&part) {
                self.fail(&format!("stderr lacks {part:?}:\n{}", ran.stderr));
            }
        }
        // What was previewed is what is said to have been done, word for word.
        let as_previewed = previewed
            .filter(|_| step.dry_run_exit.is_none_or(|exit| exit == step.exit))
            .map(|(preview, _)| preview.stdout.replace(": would be ", ": "));
        let expected = match &step.output {
            Some(output) => Some(self.resolve(output, &self.ids)),
            None => as_previewed,
        };
        if let Some(expected) = expected
            && let Err(why) = compare::text(&expected, &ran.stdout)
        {
            self.fail(&format!("the output: {why}\n--- stderr\n{}", ran.stderr));
        }
    }

    /// Compares the writes in the servers' logs. Ids are those before the run where the name
    /// was known then, and those after it for what the run created.
    pub(super) fn check_requests(
        &self,
        step: &Step,
        ran: &Ran,
        logged: &[(String, Logged)],
        before: &Ids,
        previewed: Option<&(Ran, Value)>,
    ) -> u64 {
        let writes: Vec<&(String, Logged)> =
            logged.iter().filter(|(_, it)| it.is_write()).collect();
        let taken: Vec<&(String, Logged)> = writes
            .iter()
            .copied()
            .filter(|(_, it)| it.was_taken())
            .collect();
        let shown = || {
            let lines: Vec<String> = writes
                .iter()
                .map(|(at, it)| {
                    format!(
                        "{at} {} {} {} -> {}",
                        it.method, it.path, it.body, it.status
                    )
                })
                .collect();
            format!("{}\n--- stderr\n{}", lines.join("\n"), ran.stderr)
        };
        if writes.len() != taken.len() && !step.may_refuse && !step.cut_short {
            self.fail(&format!("a write was refused:\n{}", shown()));
        }
        if step.the_rest && taken.len() as u64 != self.left_over {
            self.fail(&format!(
                "not the {} left over:\n{}",
                self.left_over,
                shown()
            ));
        }
        if let Some(count) = step.writes
            && count != taken.len()
        {
            self.fail(&format!("not {count} writes:\n{}", shown()));
        }
        let reads = logged.len() - writes.len();
        if let Some(expected) = step.reads
            && expected != reads
        {
            self.fail(&format!("{reads} reads, not {expected}: {logged:?}"));
        }
        let same_end = step.dry_run_exit.is_none_or(|exit| exit == step.exit);
        // Where a write may be refused and the run ends well, it was sent all the same.
        let as_promised = |promised| {
            promised == taken.len() as u64 || step.may_refuse && promised == writes.len() as u64
        };
        if let Some((_, document)) = previewed
            && same_end
            && !step.no_document
            && !as_promised(planned_requests(document) + step.fallbacks)
        {
            self.fail(&format!(
                "the preview promised other writes:\n{document:#}\n{}",
                shown()
            ));
        }
        if let Some(expected) = &step.requests {
            let ids: Ids = self
                .ids
                .iter()
                .chain(before)
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect();
            let expected = self.resolve(expected, &ids);
            self.compare_requests(&expected, &taken, &shown());
        }
        taken.len() as u64
    }

    fn compare_requests(&self, expected: &str, taken: &[&(String, Logged)], shown: &str) {
        let expected = read_requests(expected, &self.scenario.sandboxes[0])
            .unwrap_or_else(|why| self.fail(&format!("the expected requests: {why}")));
        let agree = expected.len() == taken.len()
            && expected
                .iter()
                .zip(taken)
                .all(|(expected, (sandbox, actual))| {
                    let (mut want, mut got) = (expected.body.clone(), actual.body.clone());
                    compare::settle_order(&mut want);
                    compare::settle_order(&mut got);
                    expected.sandbox == *sandbox
                        && expected.method == actual.method
                        && expected.path == actual.relative_path()
                        && compare::json(&want, &got)
                });
        if !agree {
            let lines: Vec<String> = expected
                .iter()
                .map(|it| format!("{} {} {} {}", it.sandbox, it.method, it.path, it.body))
                .collect();
            self.fail(&format!(
                "--- expected writes\n{}\n--- actual\n{shown}",
                lines.join("\n")
            ));
        }
    }

    pub(super) fn check_target(&self, step: &Step) {
        if let Some(expected) = &step.users {
            let users = self.first().named("/Users").unwrap_or_default();
            let actual: BTreeMap<String, bool> = users
                .iter()
                .map(|(name, user)| (name.clone(), user["active"].as_bool().unwrap_or(true)))
                .collect();
            if *expected != actual {
                self.fail(&format!("at the target are {actual:?}, not {expected:?}"));
            }
        }
        if step.members.is_empty() {
            return;
        }
        let users = self.first().named("/Users").unwrap_or_default();
        let groups = self.first().named("/Groups").unwrap_or_default();
        for (group, expected) in &step.members {
            let Some(resource) = groups.get(group) else {
                self.fail(&format!("there is no group {group:?} at the target"))
            };
            let members = resource["members"].as_array().cloned().unwrap_or_default();
            let mut actual: Vec<String> = members
                .iter()
                .map(|member| {
                    let mut named = users.iter().chain(&groups);
                    let owner = named.find(|(_, named)| named["id"] == member["value"]);
                    owner.map_or_else(|| format!("nobody: {member}"), |(name, _)| name.clone())
                })
                .collect();
            let mut expected = expected.clone();
            actual.sort();
            expected.sort();
            if expected != actual {
                self.fail(&format!("{group:?} has {actual:?}, not {expected:?}"));
            }
        }
    }

    /// No run, however it ends, may say a token.
    pub(super) fn check_secrets(&self, ran: &Ran) {
        for sandbox in self.sandboxes.values() {
            let token = &sandbox.http.token;
            if ran.stdout.contains(token) || ran.stderr.contains(token) {
                self.fail(&format!("the token is on an output: {ran:#?}"));
            }
        }
    }
}
