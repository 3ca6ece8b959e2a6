use crate::world::{World, perch, run};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_shown_once_and_never_listed() {
    let world = World::start().await;
    let made = world.json(&["keys", "create", "ci", "--scope", "enqueue,read"]);
    let token = made["token"].as_str().expect("a token");
    let listed = world.run(&["keys", "list", "--json"]).went_well().stdout;
    assert!(listed.contains("\"ci\"") && !listed.contains(token), "{listed}");
    let again = world.run(&["keys", "create", "ci", "--scope", "read"]);
    assert!(again.code == 1 && again.stderr.contains("in use"), "{again:?}");
    let revoked = world.json(&["keys", "revoke", "ci"]);
    assert!(revoked["revoked_at"].is_string() && revoked["refused_everywhere_within_seconds"] == 30, "{revoked}");
    assert_eq!(world.run(&["keys", "revoke", "ci"]).code, 1);
    let actions: Vec<String> = world
        .list(&["audit", "list"])
        .as_array()
        .expect("a list")
        .iter()
        .map(|line| line["action"].as_str().expect("an action").to_owned())
        .collect();
    assert_eq!(actions, ["key.revoke", "key.create"]);
}

#[test]
fn every_shell_gets_its_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(perch().args(["completions", shell]), b"").went_well().stdout;
        assert!(script.contains("enqueue") && script.contains("replay"), "{shell}");
    }
}

#[test]
fn the_description_of_the_api_needs_no_server() {
    let document = run(perch().args(["openapi"]), b"").json();
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with('3')), "{document}");
    assert!(document["paths"].as_object().is_some_and(|paths| paths.contains_key("/api/v1/jobs")), "{document}");
}
