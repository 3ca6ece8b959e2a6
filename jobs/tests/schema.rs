//! `schema/<kind>.json`: the payload of each kind, for producers in other languages.

use std::{collections::BTreeSet, fs, path::PathBuf};

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/schema"))
}

#[test]
fn the_schema_on_file_of_each_kind_is_that_of_its_type() {
    let write = std::env::var_os("PERCH_WRITE_SCHEMAS").is_some();
    let mut wrong = Vec::new();
    let mut known = BTreeSet::new();
    for job_type in perch_jobs::types().iter() {
        let name = format!("{}.json", job_type.kind);
        let text = serde_json::to_string_pretty(&job_type.schema()).expect("JSON") + "\n";
        let path = folder().join(&name);
        if write {
            fs::write(&path, &text).expect("the folder is there");
        } else if fs::read_to_string(&path).ok().as_ref() != Some(&text) {
            wrong.push(name.clone());
        }
        known.insert(name);
    }
    let on_file = fs::read_dir(folder()).expect("the folder is there");
    let on_file = on_file.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    wrong.extend(on_file.filter(|name| !known.contains(name)));
    assert!(
        wrong.is_empty(),
        "jobs/schema: {wrong:?} are stale; PERCH_WRITE_SCHEMAS=1 cargo test -p perch-jobs writes them anew"
    );
}
