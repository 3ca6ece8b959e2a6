//! For build scripts: the statements that Postgres has checked, as a table that the macros of `perch-store` compare with.
//!
//! `.sqlx` in the folder of a crate has a file for each statement, in the form of `sqlx prepare`; `./ops/sql` writes it. The build reads
//! nothing else: no database, no `.env` and no environment of whoever builds.

use std::{env, error::Error, fs, path::Path};

use serde::Deserialize;

/// Set by `./ops/sql`: the build asks the database of `DATABASE_URL` about each statement.
const ASK: &str = "PERCH_ASK_POSTGRES";

/// A file of `.sqlx`, as far as the build needs it.
#[derive(Deserialize)]
struct Prepared {
    query: String,
    describe: Described,
}

#[derive(Deserialize)]
struct Described {
    parameters: Parameters,
}

/// The types of the parameters.
#[derive(Deserialize)]
struct Parameters {
    #[serde(rename = "Left")]
    types: Vec<serde_json::Value>,
}

/// Embeds the migrations and the statements of the crate whose build script calls it.
///
/// # Errors
///
/// A file of `.sqlx` cannot be read; the error names it.
pub fn embed() -> Result<(), Box<dyn Error>> {
    let folders = ["migrations", ".sqlx"];
    if folders.iter().all(|folder| Path::new(folder).exists()) {
        for folder in folders {
            println!("cargo:rerun-if-changed={folder}");
        }
    } else {
        // Cargo would take a missing folder as changed in every build, and build the crate again each time.
        println!("cargo:rerun-if-changed=.");
    }
    println!("cargo:rerun-if-env-changed={ASK}");
    println!("cargo:rustc-check-cfg=cfg(ask_postgres)");
    if env::var_os(ASK).is_some() {
        println!("cargo:rustc-cfg=ask_postgres");
    }
    let table = table(&Path::new(&env::var("CARGO_MANIFEST_DIR")?).join(".sqlx"))?;
    fs::write(Path::new(&env::var("OUT_DIR")?).join("statements.rs"), table)?;
    Ok(())
}

/// The source of a slice of statements, each with the number of its parameters.
fn table(folder: &Path) -> Result<String, Box<dyn Error>> {
    let mut statements = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry?.path();
        let read = || Ok::<_, Box<dyn Error>>(serde_json::from_slice::<Prepared>(&fs::read(&path)?)?);
        let Prepared { query, describe } =
            read().map_err(|error| format!("{}: {error}; run ./ops/sql", path.display()))?;
        statements.push((query, describe.parameters.types.len()));
    }
    statements.sort_unstable();
    Ok(format!("&{statements:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> std::path::PathBuf {
        let name = format!("perch-statements-{}-{:?}", std::process::id(), std::thread::current().id());
        let folder = env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("a folder can be made");
        folder
    }

    #[test]
    fn each_statement_is_in_the_table_with_the_number_of_its_parameters() {
        let folder = folder();
        let text =
            r#"{"query": "select \"a\"\n  from t where b = $1", "describe": {"parameters": {"Left": ["Text"]}}}"#;
        fs::write(folder.join("query-1.json"), text).expect("it can be written");
        let table = table(&folder).expect("it can be read");
        fs::remove_dir_all(&folder).expect("it can be removed");
        assert_eq!(table, r#"&[("select \"a\"\n  from t where b = $1", 1)]"#);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let folder = folder();
        fs::write(folder.join("query-odd.json"), "{").expect("it can be written");
        let error = table(&folder).expect_err("it is no statement").to_string();
        fs::remove_dir_all(&folder).expect("it can be removed");
        assert!(error.contains("query-odd.json") && error.contains("./ops/sql"), "{error}");
    }

    #[test]
    fn a_crate_without_statements_has_an_empty_table() {
        assert_eq!(table(Path::new("/nowhere")).expect("none"), "&[]");
    }
}
