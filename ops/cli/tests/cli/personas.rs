use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use crate::world::{World, run};

/// A file that is removed at its end.
struct File(PathBuf);

impl File {
    fn named(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!(
            "perch-{}-{:?}-{name}",
            std::process::id(),
            std::thread::current().id()
        )))
    }

    fn with(name: &str, text: &str) -> Self {
        let file = Self::named(name);
        fs::write(&file.0, text).expect("it can be written");
        file
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("the path is text")
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

const PERSONAS: &str = r#"
[personas.baker]
account = "main"
prompt = "You are a baker."

[personas.odd]
account = "main"
prompt = "You are odd."
mood = "glad"
max_length = 20

[personas."No Name"]
account = "other"
prompt = "You are nobody."

[persona.lost]
account = "main"
"#;

fn outcomes(imported: &Value) -> Vec<(&str, &str)> {
    let all = imported.as_array().expect("a list").iter();
    all.map(|one| (one["persona"].as_str().expect("a name"), one["outcome"].as_str().expect("a word"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_persona_of_a_file_is_imported_or_named_with_what_is_wrong_and_strict_imports_all_or_none() {
    let world = World::start().await;
    let file = File::with("personas.toml", PERSONAS);
    let import = ["personas", "import", file.path()];
    let refused = [("No Name", "refused"), ("baker", "added"), ("odd", "refused"), ("persona", "refused")];
    assert_eq!(outcomes(&world.run_json(&[&import[..], &["--dry-run"]].concat())), refused);
    let strict = world.run_json(&[&import[..], &["--strict"]].concat());
    assert_eq!(outcomes(&strict)[1], ("baker", "left_out"));
    assert_eq!(world.list(&["personas", "list"]), json!([]));

    let ran = world.run(&import);
    assert!(ran.code == 1 && ran.stderr.contains("3 personas cannot be so; the others are imported"), "{ran:?}");
    for part in ["mood: is no field", "name: \"No Name\"", "account: is \"other\"", "[personas.NAME]"] {
        assert!(ran.stdout.contains(part), "{part}: {ran:?}");
    }
    assert_eq!(world.list(&["personas", "list"])[0]["name"], "baker");
    assert_eq!(outcomes(&world.run_json(&import))[1], ("baker", "unchanged"));
    let good = File::with(
        "good.json",
        &json!({ "personas": { "baker": { "account": "main", "prompt": "You are kind." } } }).to_string(),
    );
    assert_eq!(outcomes(&world.json(&["personas", "import", good.path(), "--dry-run"])), [("baker", "changed")]);
    assert_eq!(outcomes(&world.json(&["personas", "import", good.path(), "--strict"])), [("baker", "changed")]);
    let broken = File::with("broken.toml", "[personas.baker\n");
    assert_eq!(world.run(&["personas", "import", broken.path()]).code, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_persona_need_not_have_is_taken_away_and_the_rest_stays() {
    let world = World::start().await;
    let add = ["personas", "add", "baker", "--account", "main", "--prompt", "You are a baker.", "--tone", "dry"];
    let more = ["--source", "https://example.com/feed.xml", "--usd-per-day", "0.5", "--language", "en"];
    world.run(&[&add[..], &more].concat()).went_well();
    let clear = ["--clear", "sources", "--clear", "usd-per-day", "--clear", "language"];
    let edited = world.json(&[&["personas", "edit", "baker", "--style", "short"][..], &clear].concat());
    let is_empty = |field: &str| edited.get(field).is_none_or(|value| *value == json!([]) || value.is_null());
    assert!(["sources", "usd_per_day", "language"].into_iter().all(is_empty), "{edited}");
    assert_eq!((&edited["tone"], &edited["style"]), (&json!("dry"), &json!("short")), "{edited}");
    assert_eq!(world.run(&["personas", "edit", "baker", "--clear", "prompt"]).code, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_of_the_template_is_imported_by_its_name_or_that_of_the_variable() {
    let world = World::start().await;
    let file = File::named("bots.db");
    let _ = fs::remove_file(&file.0);
    let template = rusqlite::Connection::open(&file.0).expect("a file can be made");
    template
        .execute_batch(
            "create table bot_configs (bot_id text primary key, personality_prompt text);
             create table posts (id integer primary key, content text, bot_id text, used integer default 0, updated_at timestamp);
             insert into bot_configs values ('template-bot', 'You are kind.'), ('Bad Bot', 'You are bad.');
             insert into posts (content, bot_id, used, updated_at) values
                ('Rye wants a cold night and a hot stone.', 'template-bot', 1, '2025-03-02 09:00:00'),
                ('Flour remembers the weather.', 'template-bot', 0, null), (x'00', 'template-bot', 0, null);",
        )
        .expect("the rows fit");
    let missing = world.run(&["personas", "import", "--sqlite"]);
    assert!(missing.code == 2 && missing.stderr.contains("DATABASE_PATH"), "{missing:?}");
    let trial =
        run(world.perch(&["personas", "import", "--sqlite", "--dry-run"]).env("DATABASE_PATH", file.path()), b"");
    assert!(trial.stdout.contains("nothing was changed") && trial.code == 1, "{trial:?}");
    assert!(
        trial.stdout.contains("--name 'Bad Bot=bad-bot'") && trial.stdout.contains("posts 3: content is binary"),
        "{trial:?}"
    );
    assert_eq!(world.list(&["personas", "list"]), json!([]));

    let import = ["personas", "import", "--sqlite", file.path(), "--name", "Bad Bot=bad-bot", "--account", "main"];
    let imported = world.json(&import);
    let posts = &imported["bots"][1]["posts"];
    assert_eq!(
        (&posts["published"], &posts["ready"], &imported["odd"]),
        (&json!(1), &json!(1), &json!(1)),
        "{imported}"
    );
    let names: Vec<String> = world
        .list(&["personas", "list"])
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["name"].as_str().expect("a name").to_owned())
        .collect();
    assert_eq!(names, ["bad-bot", "template-bot"]);
    let stats = world.json(&["personas", "stats", "template-bot"]);
    assert_eq!((&stats["items"][0]["total"], &stats["items"][0]["remaining"]), (&json!(1), &json!(1)), "{stats}");
    let again = world.json(&import);
    assert_eq!(
        (&again["bots"][1]["outcome"], &again["bots"][1]["posts"]["known"]),
        (&json!("kept"), &json!(2)),
        "{again}"
    );
    let stranger = world.run(&["personas", "import", "--sqlite", file.path(), "--name", "nobody=somebody"]);
    assert!(stranger.code == 2 && stranger.stderr.contains("no bot \"nobody\""), "{stranger:?}");
}
