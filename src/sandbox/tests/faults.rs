//! Each fault, as a client meets it. That they are deterministic is what the numbers show.

use std::time::Instant;

use super::*;

async fn statuses(world: &World, count: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..count {
        statuses.push(world.send("GET", "/Users", None).await.0);
    }
    statuses
}

#[tokio::test]
async fn throttling_says_when_to_come_back_in_every_form() {
    let world = World::start(&["throttle:every=2"]).await;
    let mut forms = Vec::new();
    for turn in 1..=8 {
        let response = world
            .try_send("GET", "/Users", None)
            .await
            .expect("an answer");
        let throttled = turn % 2 == 0;
        assert_eq!(response.status(), if throttled { 429 } else { 200 });
        let form = response.headers().get("retry-after");
        assert_eq!(form.is_some(), throttled);
        forms.extend(form.map(|form| form.to_str().expect("text").to_owned()));
    }
    assert_eq!(
        (forms[0].as_str(), forms[1].as_str(), forms[3].as_str()),
        ("1", "0.2", "1")
    );
    let date = httpdate::parse_http_date(&forms[2]).expect("a date");
    let ahead = date.duration_since(chrono::Utc::now().into());
    assert!(ahead.is_ok_and(|ahead| ahead.as_secs() < 3), "{}", forms[2]);
}

#[tokio::test]
async fn server_errors_do_nothing() {
    let world = World::start(&["server-errors:every=2"]).await;
    world.create_user("a").await;
    assert_eq!(world.send("POST", "/Users", Some(user("b"))).await.0, 500);
    assert_eq!(names(&world.get("/Users").await), ["a"]);
    assert_eq!(world.send("POST", "/Users", Some(user("b"))).await.0, 503);
    assert_eq!(names(&world.get("/Users").await), ["a"]);
}

#[tokio::test]
async fn a_lost_answer_was_done_all_the_same() {
    let world = World::start(&["lost-answers:every=2,method=POST"]).await;
    let a = world.create_user("a").await;
    // Neither reads, nor refused writes, nor other methods count.
    assert_eq!(world.send("POST", "/Users", Some(user("a"))).await.0, 409);
    let title = json!([{"op": "add", "path": "title", "value": "x"}]);
    assert_eq!(world.patch(&path_of(&a), title).await.0, 200);
    assert!(
        world
            .try_send("POST", "/Users", Some(user("b")))
            .await
            .is_err()
    );
    assert_eq!(names(&world.get("/Users").await), ["a", "b"]);
    let log = world.log();
    let told: Vec<(u64, bool)> = log
        .iter()
        .filter_map(|line| Some((line["status"].as_u64()?, line["answered"].as_bool()?)))
        .collect();
    assert_eq!(
        told,
        [
            (201, true),
            (409, true),
            (200, true),
            (201, false),
            (200, true)
        ]
    );
    let world = world.restart().await;
    assert_eq!(names(&world.get("/Users").await), ["a", "b"]);
}

#[tokio::test]
async fn what_is_not_found_is_there_and_unchanged() {
    let world = World::start(&["not-found:every=2,method=PATCH"]).await;
    let a = world.create_user("a").await;
    let title = json!([{"op": "add", "path": "title", "value": "x"}]);
    let patched = world.patch(&path_of(&a), title).await;
    assert_eq!(patched.0, 200);
    let title = json!([{"op": "add", "path": "title", "value": "y"}]);
    assert_eq!(world.patch(&path_of(&a), title).await.0, 404);
    // Other methods are not counted.
    assert_eq!(world.get(&path_of(&a)).await["title"], "x");
    let title = json!([{"op": "add", "path": "title", "value": "z"}]);
    assert_eq!(world.patch(&path_of(&a), title).await.0, 200);
}

#[tokio::test]
async fn who_is_deleted_stays_in_the_groups_where_ids_are_kept() {
    let world = World::start(&["keeps-deleted-members"]).await;
    let (a, b) = (world.create_user("a").await, world.create_user("b").await);
    let members = json!([{"value": a["id"]}, {"value": b["id"]}]);
    let group = json!({"schemas": [GROUP_SCHEMA], "displayName": "g", "members": members});
    let (_, group) = world.send("POST", "/Groups", Some(group)).await;
    assert_eq!(world.send("DELETE", &path_of(&a), None).await.0, 204);
    let path = format!("/Groups/{}", group["id"].as_str().unwrap());
    let ids = |group: &Value| {
        let members = group["members"].as_array().unwrap().iter();
        members.map(|it| it["value"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        ids(&world.get(&path).await),
        [a["id"].clone(), b["id"].clone()]
    );
    let world = world.restart().await;
    // A change of the group leaves it there; whoever asks for it takes it out.
    let rename = json!([{"op": "replace", "path": "displayName", "value": "h"}]);
    assert_eq!(world.patch(&path, rename).await.0, 200);
    let remove = format!("members[value eq {}]", a["id"]);
    let remove = json!([{"op": "remove", "path": remove}]);
    assert_eq!(world.patch(&path, remove).await.0, 200);
    assert_eq!(ids(&world.get(&path).await), [b["id"].clone()]);
}

#[tokio::test]
async fn slow_answers_take_their_time() {
    let world = World::start(&["slow:ms=80"]).await;
    let begin = Instant::now();
    assert_eq!(statuses(&world, 2).await, [200, 200]);
    assert!(begin.elapsed() >= Duration::from_millis(160));
}

#[tokio::test]
async fn after_going_down_every_connection_is_refused() {
    let world = World::start(&["down-after:3"]).await;
    assert_eq!(statuses(&world, 3).await, [200, 200, 200]);
    for _ in 0..2 {
        // Over the connection that is still open, then over none.
        assert!(
            world
                .try_send("POST", "/Users", Some(user("a")))
                .await
                .is_err()
        );
    }
    let fresh = Client::new().get(world.sandbox.base_url()).send().await;
    assert!(fresh.is_err_and(|error| error.is_connect()));
    assert_eq!(world.log().len(), 3, "what is refused is not handled");
    let world = world.restart().await;
    assert_eq!(names(&world.get("/Users").await).len(), 0);
}

#[tokio::test]
async fn faults_combine() {
    let world = World::start(&["throttle:every=2", "server-errors:every=3", "down-after:6"]).await;
    assert_eq!(statuses(&world, 6).await, [200, 429, 500, 429, 200, 429]);
    assert!(world.try_send("GET", "/Users", None).await.is_err());
}

#[tokio::test]
async fn a_wrong_clock_is_ahead_in_every_answer_and_a_right_one_is_right() {
    for (faults, minutes) in [(&["wrong-clock:90"][..], 90), (&[][..], 0)] {
        let world = World::start(faults).await;
        for path in ["/Users", "/Nothing"] {
            let answer = world.try_send("GET", path, None).await.expect("an answer");
            let date = answer.headers()["date"].to_str().expect("text");
            let date = httpdate::parse_http_date(date).expect("a date");
            let ahead = chrono::DateTime::<chrono::Utc>::from(date) - chrono::Utc::now();
            let wrong = ahead - chrono::TimeDelta::minutes(minutes);
            assert!(wrong.num_seconds().abs() < 10, "{ahead}");
        }
    }
}
