//! Lets the operator edit a text.

use std::{env, fs, io::Write as _, process::Command};

/// The text as the editor left it. An error when the editor fails (`:cq` in vim) or the text is
/// unchanged.
pub fn edited(text: &str) -> Result<String, String> {
    let words = editor()?;
    let name = words.join(" ");
    let failed =
        |error: std::io::Error| format!("the editor {name:?} cannot be used: {error}; set EDITOR, or use --edit");
    let mut file = tempfile::Builder::new().prefix("perch-").suffix(".json").tempfile().map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.flush()).map_err(failed)?;
    let status = Command::new(&words[0]).args(&words[1..]).arg(file.path()).status().map_err(failed)?;
    if !status.success() {
        return Err(format!("the editor {name:?} ended with {status}; nothing was brought back"));
    }
    // Read by path: many editors replace the file instead of writing to it.
    let left = fs::read_to_string(file.path()).map_err(failed)?;
    if left == text {
        return Err(
            "nothing was changed in the editor, so nothing was brought back; without --editor they come back as \
                    they are"
                .to_owned(),
        );
    }
    Ok(left)
}

/// The program and its arguments from VISUAL or EDITOR; an empty variable counts as not set.
fn editor() -> Result<Vec<String>, String> {
    let named = ["VISUAL", "EDITOR"].into_iter().find_map(|name| {
        let value = env::var(name).ok()?;
        (!value.trim().is_empty()).then_some((name, value))
    });
    let Some((name, value)) = named else { return Ok(vec!["vi".to_owned()]) };
    match shell_words::split(&value) {
        Ok(words) if !words.is_empty() => Ok(words),
        _ => Err(format!("{name} is {value:?}, which is no command; set it to a program and its arguments")),
    }
}
