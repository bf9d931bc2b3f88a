//! Graph asks to wait: as a whole, for a part of a batch, or shortly before it would.

use std::time::{Duration, Instant};

use super::settled;
use crate::entra::simulator::error;

#[test]
fn every_second_request_is_throttled_and_the_read_goes_on() {
    let mut settled = settled(12, "");
    settled.simulator.manners(|manners| manners.page = 2);
    settled.disable_first();
    settled.simulator.instead(|asked, _| {
        let words = "Please retry again later.";
        match asked.before % 4 {
            // A fraction, as Graph writes it.
            1 => Some(error(429, "TooManyRequests", words).with("Retry-After", "0.128")),
            2 => Some(error(503, "ServiceUnavailable", words).with("retry-after", "0.05")),
            _ => None,
        }
    });
    settled.recovers();
}

#[test]
fn it_waits_for_as_long_as_it_is_asked_to() {
    let mut settled = settled(1, "");
    settled.disable_first();
    settled.simulator.take_asked();
    settled.simulator.instead(|asked, _| {
        let throttled = asked.before == 0;
        throttled.then(|| error(429, "TooManyRequests", "Later.").with("Retry-After", "1.2"))
    });
    settled
        .story
        .tell("name = \"throttled once\"\nwrites = 1\n");
    let asked = settled.simulator.take_asked();
    let again = asked[1].at - asked[0].at;
    assert!(again >= Duration::from_millis(1_150), "{again:?}");
    assert_eq!(asked[0].path, asked[1].path);
}

#[test]
fn a_part_of_a_batch_is_asked_again_by_itself() {
    let mut settled = settled(30, "");
    let (simulator, story) = (&settled.simulator, &mut settled.story);
    let people = settled.people.clone();
    simulator.tenant(|tenant| {
        tenant.silences.restore = true;
        people.iter().take(25).for_each(|id| tenant.delete(*id));
    });
    story.tell("name = \"many are deleted\"\nwrites = 25\n");
    simulator.tenant(|tenant| people.iter().take(25).for_each(|id| tenant.restore(*id)));
    simulator.take_asked();
    simulator.instead(|asked, _| {
        let throttled = asked.in_batch && asked.before % 3 == 0;
        throttled.then(|| error(429, "TooManyRequests", "Later.").with("Retry-After", "0.1"))
    });
    story.tell("name = \"and restored, of which the changes say nothing\"\nwrites = 25\n");
    let asked = simulator.take_asked();
    let batches = asked.iter().filter(|it| it.path == "/v1.0/$batch").count();
    let parts = asked.iter().filter(|it| it.in_batch).count();
    // Three reads (two previews); the whole of 25 are two batches each.
    assert!(
        batches > 6 && parts > 75,
        "{batches} batches, {parts} parts"
    );
    story.check_settled();
}

#[test]
fn near_the_limit_it_slows_down_and_never_exceeds_what_the_smallest_tenant_has() {
    let mut settled = settled(40, "");
    settled.simulator.manners(|manners| manners.page = 1);
    settled.simulator.take_asked();
    settled
        .simulator
        .alter(|_, answer| answer.with("x-ms-throttle-limit-percentage", "0.9"));
    let started = Instant::now();
    settled
        .story
        .tell("name = \"nothing\"\ncommand = [\"sync\", \"--full\"]\nrequests = \"\"\n");
    assert!(started.elapsed() < Duration::from_secs(60));
    let asked = settled.simulator.take_asked();
    for (at, first) in asked.iter().enumerate() {
        let within = asked[at..]
            .iter()
            .take_while(|it| it.at < first.at + Duration::from_secs(10));
        let units: u32 = within.map(|it| it.units).sum();
        assert!(units < 3_500, "{units}");
    }
}
