use chrono::TimeZone;

use super::*;

const BASE: &str = "http://sandbox.example/scim/v2";

fn at(seconds: i64) -> DateTime<Utc> {
    Utc.timestamp_opt(seconds, 0)
        .single()
        .expect("a valid time")
}

fn attributes(json: Value) -> Map<String, Value> {
    json.as_object().expect("an object").clone()
}

fn create(state: &mut State, kind: Kind, id: &str, json: Value) -> Result<(), Refusal> {
    let change = state.create(kind, id.to_owned(), attributes(json), at(0))?;
    state.apply(change);
    Ok(())
}

fn populated() -> State {
    let mut state = State::default();
    create(&mut state, Kind::User, "u1", json!({"userName": "Ana"})).unwrap();
    create(
        &mut state,
        Kind::User,
        "u2",
        json!({"userName": "bo", "displayName": "Bo"}),
    )
    .unwrap();
    let staff = json!({"displayName": "Staff", "members": [{"value": "u1"}, {"value": "u2"}]});
    create(&mut state, Kind::Group, "g1", staff).unwrap();
    state
}

#[test]
fn names_are_unique_without_regard_to_case() {
    let mut state = populated();
    let again = create(&mut state, Kind::User, "u3", json!({"userName": "ANA"})).unwrap_err();
    assert_eq!((again.status, again.scim_type), (409, Some("uniqueness")));
    let again = create(
        &mut state,
        Kind::Group,
        "g2",
        json!({"displayName": "staff"}),
    );
    assert_eq!(again.unwrap_err().status, 409);
    // A group may be named like a user, and a respelled name is its own.
    create(&mut state, Kind::Group, "g3", json!({"displayName": "Ana"})).unwrap();
    let ana = state.get(Kind::User, "u1").unwrap();
    assert!(
        state
            .replace(ana, attributes(json!({"userName": "ana"})), at(1))
            .is_ok()
    );
}

#[test]
fn members_and_managers_must_exist() {
    let mut state = populated();
    let ghost = json!({"displayName": "X", "members": [{"value": "nobody"}]});
    let refusal = create(&mut state, Kind::Group, "g2", ghost).unwrap_err();
    assert_eq!(refusal.scim_type, Some("invalidValue"));
    let report = json!({"userName": "cy", ENTERPRISE_SCHEMA: {"manager": {"value": "pending:1"}}});
    assert!(create(&mut state, Kind::User, "u3", report).is_err());
}

#[test]
fn groups_follow_from_members() {
    let mut state = populated();
    let group = |state: &State| state.render(state.get(Kind::Group, "g1").unwrap(), BASE);
    assert_eq!(
        group(&state)["members"][1],
        json!({"value": "u2", "$ref": format!("{BASE}/Users/u2"), "type": "User", "display": "Bo"})
    );
    let ana = state.render(state.get(Kind::User, "u1").unwrap(), BASE);
    assert_eq!(ana["groups"][0]["display"], "Staff");

    let order = state.get(Kind::User, "u1").unwrap().order;
    state.apply(Change::Delete { order, at: at(9) });
    assert!(state.get(Kind::User, "u1").is_err());
    assert_eq!(group(&state)["members"].as_array().map(Vec::len), Some(1));
    assert_eq!(group(&state)["meta"]["version"], "W/\"2\"");
    assert_eq!(
        group(&state)["meta"]["lastModified"],
        "1970-01-01T00:00:09.000Z"
    );
}

#[test]
fn a_snapshot_rebuilds_the_state_and_reuses_no_order() {
    let mut state = populated();
    let order = state.get(Kind::Group, "g1").unwrap().order;
    state.apply(Change::Delete { order, at: at(1) });
    let mut rebuilt = State::default();
    state.snapshot().for_each(|change| rebuilt.apply(change));
    assert_eq!(rebuilt.next_order(), state.next_order());
    assert!(rebuilt.all().eq(state.all()));
}

#[test]
fn equal_attributes_are_no_change() {
    let state = populated();
    let ana = state.get(Kind::User, "u1").unwrap();
    let same = state.replace(ana, ana.attributes.clone(), at(5)).unwrap();
    assert_eq!(same, None);
}
