use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
};

use crate::{Origin, Problem};

/// The environment variables of a process.
///
/// The name of a value that is not UTF-8 is recorded: it is an error only if the value would be used.
#[derive(Default)]
pub(crate) struct Variables {
    text: BTreeMap<String, String>,
    garbled: BTreeSet<String>,
}

impl Variables {
    pub fn new(vars: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { text: vars.into_iter().collect(), garbled: BTreeSet::new() }
    }

    pub fn from_os(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut all = Self::default();
        for (name, value) in vars {
            match (name.into_string(), value.into_string()) {
                (Ok(name), Ok(value)) => drop(all.text.insert(name, value)),
                (Ok(name), Err(_)) => drop(all.garbled.insert(name)),
                (Err(_), _) => {}
            }
        }
        all
    }

    /// The value without surrounding white space; an empty one counts as absent, because deployment tools pass unset variables
    /// like that.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.text.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// All variables whose name starts with `prefix`: the rest of the name and the value, even if empty.
    pub fn under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.text.iter().filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value.as_str())))
    }

    /// A problem for each variable that is not UTF-8 and would have been used.
    pub fn garbled(&self, used: impl Fn(&str) -> bool) -> impl Iterator<Item = Problem> {
        self.garbled.iter().filter(move |name| used(name)).map(|name| Problem {
            origin: Origin::Variable(name.clone()),
            key: String::new(),
            wrong: "is not UTF-8".into(),
            allowed: "UTF-8 text".into(),
        })
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn a_value_that_is_not_utf_8_is_refused_only_where_it_is_used() {
        let garbled = || OsString::from_vec(vec![0xff, 0xfe]);
        let vars =
            Variables::from_os([("PORT".into(), garbled()), ("OTHER".into(), garbled()), (garbled(), "x".into())]);
        assert_eq!(vars.get("PORT"), None);
        let problems: Vec<String> = vars.garbled(|name| name == "PORT").map(|problem| problem.to_string()).collect();
        assert_eq!(problems, ["variable PORT: is not UTF-8; allowed: UTF-8 text"]);
    }
}
