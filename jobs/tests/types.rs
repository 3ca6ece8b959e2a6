//! Checks, schemas and retry policies of all job types.

use serde_json::value::RawValue;

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).expect("test payloads are JSON")
}

#[test]
fn a_payload_of_the_wrong_shape_is_refused_with_its_path() {
    let types = perch_jobs::types();
    let publish = types.get("publish_post").expect("publish_post is built in");
    let error =
        publish.check(&raw(r#"{"account":"main","text":"hi","source":{"post_id":7}}"#)).expect_err("post_id is text");
    assert_eq!(error.path, "$.source.post_id");
    assert!(error.reason.contains("expected a string"), "{error}");
}

#[test]
fn a_field_that_no_payload_has_is_refused_by_name() {
    let types = perch_jobs::types();
    let publish = types.get("publish_post").expect("publish_post is built in");
    let error = publish.check(&raw(r#"{"account":"main","text":"hi","replyto":"1"}"#)).expect_err("replyto is unknown");
    assert!(error.to_string().contains("replyto"), "{error}");
}

#[test]
fn a_retweet_is_one_of_a_kind_by_account_and_post_unless_it_brings_a_key() {
    let types = perch_jobs::types();
    let retweet = types.get("retweet_post").expect("retweet_post is built in");
    let key = |json: &str| {
        let (unique, group) = retweet.check(&raw(json)).expect("a payload of the type");
        assert_eq!(group.as_deref(), Some("account:main"));
        unique.map(|unique| unique.key)
    };
    assert_eq!(key(r#"{"account":"main","post_id":"1849"}"#).as_deref(), Some("retweet:main:1849"));
    let own = r#"{"account":"main","post_id":"1849","effect_key":"friday"}"#;
    assert_eq!(key(own).as_deref(), Some("friday"));
}

#[test]
fn a_key_of_perchs_own_effects_is_refused_from_outside_however_it_is_spelled() {
    let types = perch_jobs::types();
    let publish = types.get("publish_post").expect("publish_post is built in");
    let check = |field: &str, key: &str| {
        let payload = raw(&format!(r#"{{"account":"main","text":"hi","{field}":"{key}"}}"#));
        publish.check(&payload).expect("a payload of the type");
        publish.check_from_outside(&payload).map_err(|error| error.path)
    };
    for key in ["reply:main:1849", "comment:main:1:a", "summary:2026-01-31", "retweet:main:1", "publish:01K", "sync"] {
        assert_eq!(check("effect_key", key), Err("$.effect_key".to_owned()), "{key}");
    }
    assert_eq!(check(r"effect\u005fkey", r"repl\u0079:main:1849"), Err("$.effect_key".to_owned()));
    for key in ["friday", "my-reply:1", "replying"] {
        assert_eq!(check("effect_key", key), Ok(()), "{key}");
    }
}

#[test]
fn a_deeply_nested_payload_is_refused_and_does_not_overflow_the_stack() {
    let deep = format!("{}1{}", "[".repeat(120), "]".repeat(120));
    let types = perch_jobs::types();
    let error = types.get("sync_hot_state").expect("built in").check(&raw(&deep)).expect_err("an object is expected");
    assert_eq!(error.path, "$");
}

#[test]
fn every_built_in_kind_has_a_schema_and_a_valid_retry_policy() {
    for job_type in perch_jobs::types().iter() {
        assert!(job_type.retry.validate().is_ok(), "{}", job_type.kind);
        assert!(job_type.schema().as_object().is_some_and(|schema| schema.contains_key("type")), "{}", job_type.kind);
    }
}
