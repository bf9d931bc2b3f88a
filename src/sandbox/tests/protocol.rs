//! The endpoints of RFC 7644, one behaviour a test.

use super::*;

#[tokio::test]
async fn a_user_lives_and_dies() {
    let world = World::start(&[]).await;
    let response = world
        .try_send("POST", "/Users", Some(user("ana")))
        .await
        .expect("an answer");
    let header = |name: &str| response.headers()[name].to_str().expect("text").to_owned();
    assert_eq!(header("content-type"), "application/scim+json");
    assert_eq!(header("etag"), "W/\"1\"");
    let location = header("location");
    let (status, ana) = read(response).await;
    assert_eq!((status, &ana["active"]), (201, &json!(true)));
    assert_eq!(ana["meta"]["location"], json!(location));
    assert!(location.starts_with(world.sandbox.base_url().as_str()));

    let path = path_of(&ana);
    assert_eq!(world.get(&path).await, ana);
    let body = json!({"schemas": [USER_SCHEMA], "userName": "ana", "title": "Engineer", "id": "x"});
    let (status, replaced) = world.send("PUT", &path, Some(body)).await;
    assert_eq!((status, &replaced["id"]), (200, &ana["id"]));
    let off = json!([{"op": "replace", "path": "active", "value": false}]);
    let (status, off) = world.patch(&path, off).await;
    assert_eq!(
        (status, &off["active"], &off["title"]),
        (200, &json!(false), &json!("Engineer"))
    );
    assert_eq!(off["meta"]["version"], "W/\"3\"");
    assert_eq!(world.send("DELETE", &path, None).await.0, 204);
    let (status, error) = world.send("GET", &path, None).await;
    assert_eq!((status, &error["status"]), (404, &json!("404")));
    assert_eq!(world.send("DELETE", &path, None).await.0, 404);
}

#[tokio::test]
async fn nothing_is_told_without_the_token() {
    let world = World::start(&[]).await;
    let base = world.sandbox.base_url();
    for path in ["/Users", "/ServiceProviderConfig", "/Schemas", "/nowhere"] {
        let url = format!("{base}{path}");
        for request in [
            world.client.get(&url),
            world.client.get(&url).bearer_auth("wrong"),
            world.client.get(&url).basic_auth(TOKEN, Some(TOKEN)),
        ] {
            let response = request.send().await.expect("an answer");
            assert_eq!(response.status(), 401, "{path}");
            assert!(response.headers().contains_key("www-authenticate"));
        }
    }
}

#[tokio::test]
async fn listings_are_paged_by_index() {
    let world = World::start(&[]).await;
    for name in ["a", "b", "c", "d", "e"] {
        world.create_user(name).await;
    }
    let page = world.get("/Users?startIndex=2&count=2").await;
    assert_eq!(names(&page), ["b", "c"]);
    assert_eq!(
        (
            &page["totalResults"],
            &page["startIndex"],
            &page["itemsPerPage"]
        ),
        (&json!(5), &json!(2), &json!(2))
    );
    let nothing = world.get("/Users?count=0").await;
    assert_eq!(
        (&nothing["totalResults"], names(&nothing).len()),
        (&json!(5), 0)
    );
    assert_eq!(names(&world.get("/Users?startIndex=6").await).len(), 0);
    assert_eq!(
        names(&world.get("/Users?startIndex=0&count=1").await),
        ["a"]
    );
    assert_eq!(names(&world.get("/Users?count=-1").await).len(), 0);
    let (status, error) = world.send("GET", "/Users?count=many", None).await;
    assert_eq!((status, &error["scimType"]), (400, &json!("invalidValue")));
    let sorted = world
        .get("/Users?sortBy=userName&sortOrder=descending&count=2")
        .await;
    assert_eq!(names(&sorted), ["e", "d"]);
}

#[tokio::test]
async fn filters_find_and_bad_ones_are_refused() {
    let world = World::start(&[]).await;
    let ana = world.create_user("Ana+1@example.com").await;
    world.create_user("bo").await;
    world.create_group("Staff", &[&ana]).await;
    let filtered = |filter: &str| {
        let query: String = url::form_urlencoded::byte_serialize(filter.as_bytes()).collect();
        let path = format!("/Users?filter={query}");
        let world = &world;
        async move { world.get(&path).await["totalResults"].clone() }
    };
    assert_eq!(filtered("userName eq \"ana+1@EXAMPLE.com\"").await, 1);
    assert_eq!(filtered("groups.display eq \"staff\"").await, 1);
    assert_eq!(
        filtered("meta.created gt \"2020-01-01T00:00:00Z\"").await,
        2
    );
    assert_eq!(filtered("externalId eq \"x\" or not (groups pr)").await, 1);
    let (status, error) = world.send("GET", "/Users?filter=userName", None).await;
    assert_eq!((status, &error["scimType"]), (400, &json!("invalidFilter")));

    let search = json!({"filter": "userName sw \"b\"", "attributes": ["userName"], "count": 10});
    let (status, found) = world
        .send("POST", "/Users/.search", Some(search.clone()))
        .await;
    assert_eq!((status, names(&found)), (200, vec!["bo"]));
    assert!(found["Resources"][0].get("meta").is_none());
    let (_, found) = world.send("POST", "/.search", Some(json!({}))).await;
    assert_eq!(found["totalResults"], 3);
}

#[tokio::test]
async fn only_asked_attributes_are_returned() {
    let world = World::start(&[]).await;
    let body = json!({
        "schemas": [USER_SCHEMA, crate::scim::ENTERPRISE_SCHEMA],
        "userName": "ana",
        "name": {"givenName": "Ana", "familyName": "Silva", "formatted": "Ana Silva"},
        "emails": [{"type": "work", "value": "a@example.com"}],
        crate::scim::ENTERPRISE_SCHEMA: {"department": "R&D", "division": "X"},
    });
    let path = path_of(&world.send("POST", "/Users", Some(body)).await.1);
    let urn = crate::scim::ENTERPRISE_SCHEMA;
    let asked = "NAME.givenname,name.familyName,emails.value";
    let mut some = world
        .get(&format!("{path}?attributes={asked},{urn}:department"))
        .await;
    let fields = some.as_object_mut().expect("an object");
    assert!(fields.remove("id").is_some() && fields.remove("schemas").is_some());
    assert_eq!(
        some,
        json!({
            "name": {"givenName": "Ana", "familyName": "Silva"},
            "emails": [{"value": "a@example.com"}],
            urn: {"department": "R&D"},
        })
    );
    let less = world
        .get(&format!(
            "{path}?excludedAttributes=id,name.formatted,{urn},meta"
        ))
        .await;
    assert!(less.get("id").is_some(), "id is always returned");
    assert_eq!(
        less["name"],
        json!({"givenName": "Ana", "familyName": "Silva"})
    );
    assert!(less.get(urn).is_none() && less.get("meta").is_none());
}

#[tokio::test]
async fn entity_tags_guard_reads_and_writes() {
    let world = World::start(&[]).await;
    let ana = world.create_user("ana").await;
    let path = path_of(&ana);
    let tagged = |method: &str, name: &str, tag: &str, title: &str| {
        let body = json!({
            "schemas": [PATCH_SCHEMA],
            "Operations": [{"op": "replace", "path": "title", "value": title}],
        });
        let request = world
            .request(method, &path)
            .header(name, tag)
            .header("content-type", "application/json");
        let request = match method {
            "PATCH" => request.body(body.to_string()),
            _ => request,
        };
        async move { request.send().await.expect("an answer").status().as_u16() }
    };
    assert_eq!(tagged("GET", "if-none-match", "W/\"1\"", "").await, 304);
    assert_eq!(tagged("GET", "if-none-match", "W/\"0\"", "").await, 200);
    assert_eq!(tagged("PATCH", "if-match", "\"7\"", "x").await, 412);
    assert_eq!(tagged("PATCH", "if-match", "W/\"1\"", "x").await, 200);
    assert_eq!(tagged("DELETE", "if-match", "W/\"1\"", "").await, 412);
    // The same again changes nothing, so the version stays.
    assert_eq!(tagged("PATCH", "if-match", "*", "x").await, 200);
    assert_eq!(world.get(&path).await["meta"]["version"], "W/\"2\"");
    assert_eq!(
        tagged("DELETE", "if-match", "W/\"1\", W/\"2\"", "").await,
        204
    );
}

#[tokio::test]
async fn a_failed_patch_changes_nothing() {
    let world = World::start(&[]).await;
    let ana = world.create_user("ana").await;
    world.create_user("bo").await;
    let path = path_of(&ana);
    let (status, error) = world
        .patch(
            &path,
            json!([
                {"op": "add", "path": "title", "value": "Engineer"},
                {"op": "replace", "path": "userName", "value": "BO"},
            ]),
        )
        .await;
    assert_eq!((status, &error["scimType"]), (409, &json!("uniqueness")));
    assert_eq!(world.get(&path).await, ana);
}

#[tokio::test]
async fn groups_hold_who_exists() {
    let world = World::start(&[]).await;
    let (ana, bo) = (
        world.create_user("ana").await,
        world.create_user("bo").await,
    );
    let path = path_of(&world.create_group("Staff", &[&ana]).await);
    let add = |id: &Value| json!([{"op": "add", "path": "members", "value": [{"value": id}]}]);
    assert_eq!(world.patch(&path, add(&bo["id"])).await.0, 200);
    let before = world.get(&path).await;
    assert_eq!(world.patch(&path, add(&bo["id"])).await.1, before);
    let (status, error) = world.patch(&path, add(&json!("nobody"))).await;
    assert_eq!((status, &error["scimType"]), (400, &json!("invalidValue")));
    assert_eq!(
        world.get(&path_of(&bo)).await["groups"][0]["display"],
        "Staff"
    );
    world.send("DELETE", &path_of(&bo), None).await;
    let members = world.get(&path).await["members"].clone();
    assert_eq!(members.as_array().map(Vec::len), Some(1));
    assert_eq!(members[0]["value"], ana["id"]);
}

#[tokio::test]
async fn refusals_have_their_status() {
    let world = World::start(&[]).await;
    world.create_user("ana").await;
    let cases = [
        ("POST", "/Users", Some(user("ANA")), 409),
        (
            "POST",
            "/Users",
            Some(json!({"schemas": [USER_SCHEMA]})),
            400,
        ),
        ("POST", "/Users", Some(json!({"userName": "x"})), 400),
        ("POST", "/Users", None, 400),
        ("PUT", "/Users", Some(json!({})), 405),
        ("POST", "/Schemas", Some(json!({})), 405),
        ("GET", "/Users/a/b", None, 404),
        ("GET", "/Groups/none", None, 404),
        ("GET", "/nowhere", None, 404),
        ("GET", "/Me", None, 501),
        ("POST", "/Bulk", Some(json!({})), 501),
        ("GET", "/Schemas/urn:none", None, 404),
    ];
    for (method, path, body, expected) in cases {
        let (status, error) = world.send(method, path, body).await;
        assert_eq!(status, expected, "{method} {path}: {error}");
        assert_eq!(
            error["status"],
            json!(expected.to_string()),
            "{method} {path}"
        );
    }
    let wrong = world
        .request("PUT", "/Users")
        .send()
        .await
        .expect("an answer");
    assert_eq!(wrong.headers()["allow"], "GET, POST");
}

#[tokio::test]
async fn bodies_must_be_json_and_small() {
    let world = World::start(&[]).await;
    let post = |kind: &'static str, body: String| {
        let request = world.request("POST", "/Users").header("content-type", kind);
        async move {
            request
                .body(body)
                .send()
                .await
                .expect("an answer")
                .status()
                .as_u16()
        }
    };
    assert_eq!(post("text/plain", "{}".to_owned()).await, 415);
    assert_eq!(
        post("application/json; charset=utf-8", "{".to_owned()).await,
        400
    );
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    assert_eq!(post("application/json", deep).await, 400);
    let long = format!("\"{}\"", "x".repeat(1024 * 1024));
    assert_eq!(post("application/json", long).await, 413);
}

#[tokio::test]
async fn discovery_says_what_holds() {
    let world = World::start(&[]).await;
    let config = world.get("/ServiceProviderConfig").await;
    let supported = |name: &str| config[name]["supported"].clone();
    assert_eq!(
        (supported("patch"), supported("bulk")),
        (json!(true), json!(false))
    );
    let types = world.get("/ResourceTypes").await;
    assert_eq!(types["totalResults"], 2);
    assert_eq!(
        world.get("/ResourceTypes/User").await,
        types["Resources"][0]
    );
    for schema in world.get("/Schemas").await["Resources"]
        .as_array()
        .expect("schemas")
    {
        let id = schema["id"].as_str().expect("an id");
        assert_eq!(&world.get(&format!("/Schemas/{id}")).await, schema);
    }
}
