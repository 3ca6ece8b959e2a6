//! Edits payloads with jq filters.
//!
//! A filter may loop for ever or use up all memory, and nothing within the process can stop it. So it runs in a process of its own
//! with limits (`edit_process`).

use jaq_core::{
    Compiler, Ctx, Vars, data,
    load::{self, Arena, File, Loader},
};
use jaq_json::Val;
use serde_json::value::RawValue;

/// Functions that read or write anything besides the payload, or end the process.
const REACHES_OUT: [&str; 8] =
    ["env", "halt", "halt_error", "debug", "debug_empty", "stderr", "stderr_empty", "input_line_number"];

/// An edit, ready to be applied to payloads.
pub struct Edit {
    filter: jaq_core::Filter<data::JustLut<Val>>,
}

impl Edit {
    /// Parses a filter such as `.text = "new"` or `.source |= null`; the error says where it is invalid.
    pub fn parse(code: &str) -> Result<Self, String> {
        let bad = |reason: String| format!("the edit {code:?} cannot be used: {reason}");
        let defs = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
        let funs = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
        let defs = defs.filter(|def| !REACHES_OUT.contains(&def.name));
        let funs = funs.filter(|(name, ..)| !REACHES_OUT.contains(name));
        let arena = Arena::default();
        let all = |errors: Vec<(_, load::Error<&str>)>| {
            bad(errors.into_iter().map(|(_, error)| unreadable(&error)).collect::<Vec<_>>().join("; "))
        };
        let modules = Loader::new(defs).load(&arena, File { code, path: () }).map_err(all)?;
        load::import(&modules, |_| Err("files are not read".to_owned())).map_err(all)?;
        let filter = Compiler::default().with_funs(funs).compile(modules).map_err(|errors| {
            let undefined = errors.into_iter().flat_map(|(_, symbols)| symbols);
            bad(undefined
                .map(|(name, what)| format!("{} {name} is not known", what.as_str()))
                .collect::<Vec<_>>()
                .join("; "))
        })?;
        Ok(Self { filter })
    }

    /// Applies the filter to a payload. It must return exactly one value.
    pub fn apply(&self, payload: &RawValue) -> Result<Box<RawValue>, String> {
        let value = jaq_json::read::parse_single(payload.get().as_bytes())
            .map_err(|error| format!("the payload cannot be read: {error}"))?;
        let ctx = Ctx::<data::JustLut<Val>>::new(&self.filter.lut, Vars::new([]));
        let mut results = self.filter.id.run((ctx, value));
        let edited = match results.next() {
            Some(Ok(value)) => value,
            Some(Err(exception)) => {
                let reason = exception.get_err().map_or_else(|_| "it was broken off".to_owned(), |e| e.to_string());
                return Err(format!("the edit failed: {reason}"));
            }
            None => return Err("the edit answers with nothing; it must answer with the whole new payload".into()),
        };
        if results.next().is_some() {
            return Err("the edit answers with more than one value; it must answer with the whole new payload".into());
        }
        RawValue::from_string(edited.to_string())
            .map_err(|error| format!("the edit does not answer with JSON: {error}"))
    }
}

fn unreadable(error: &load::Error<&str>) -> String {
    let near = |text: &str| {
        let text: String = text.chars().take(30).collect();
        if text.is_empty() { "it ends too early".to_owned() } else { format!("near {text:?}") }
    };
    match error {
        load::Error::Io(files) => files.iter().map(|(_, reason)| reason.clone()).collect::<Vec<_>>().join("; "),
        load::Error::Lex(errors) => {
            let each = errors.iter().map(|(expected, found)| format!("expected {} {}", expected.as_str(), near(found)));
            each.collect::<Vec<_>>().join("; ")
        }
        load::Error::Parse(errors) => {
            let each = errors.iter().map(|(expected, found)| format!("expected {} {}", expected.as_str(), near(found)));
            each.collect::<Vec<_>>().join("; ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(code: &str, payload: &str) -> Result<String, String> {
        let payload = RawValue::from_string(payload.to_owned()).expect("JSON");
        Edit::parse(code)?.apply(&payload).map(|edited| edited.get().to_owned())
    }

    #[test]
    fn an_assignment_changes_what_it_names_and_nothing_else() {
        let payload = r#"{"z":1.50,"text":"old","big":12345678901234567890}"#;
        assert_eq!(
            edit(r#".text = "new""#, payload).expect("edited"),
            r#"{"z":1.50,"text":"new","big":12345678901234567890}"#
        );
        assert_eq!(edit("del(.text) | .n += 1", r#"{"text":"a","n":1}"#).expect("edited"), r#"{"n":2}"#);
        assert_eq!(edit(".text |= ascii_downcase", r#"{"text":"ABC"}"#).expect("edited"), r#"{"text":"abc"}"#);
    }

    #[test]
    fn an_edit_that_cannot_be_read_is_refused_with_its_place() {
        for code in [".text = ", "(.a", ".a | nonsense", "$undefined"] {
            let error = edit(code, "{}").expect_err(code);
            assert!(error.contains(code) && !error.ends_with(": "), "{error}");
        }
    }

    #[test]
    fn an_edit_sees_the_payload_and_nothing_else() {
        for code in [
            "env",
            "env.PATH",
            "$ENV",
            "$ENV.PATH",
            "input",
            "inputs",
            "halt",
            "halt_error",
            "debug",
            "stderr",
            "$__prog_args",
        ] {
            let error = edit(code, "{}").expect_err(code);
            assert!(error.contains("is not known"), "{code}: {error}");
        }
        for code in ["import \"a\" as a; .", "include \"a\"; .", "import \"a\" as $a; ."] {
            assert!(edit(code, "{}").is_err(), "{code}");
        }
    }

    #[test]
    fn an_edit_must_answer_with_one_payload() {
        for (code, said) in [
            ("empty", "nothing"),
            (".a, .b", "more than one"),
            (".a + 1", "failed"),
            (r#"error("no")"#, "failed"),
            ("nan", "not answer with JSON"),
        ] {
            let error = edit(code, r#"{"a":"x","b":2}"#).expect_err(code);
            assert!(error.contains(said), "{code}: {error}");
        }
    }
}
