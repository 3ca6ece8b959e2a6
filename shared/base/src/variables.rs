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

/// A name that another deployment uses, and ours.
type StandIn = (&'static str, &'static str);

/// Names that other deployments use, each with ours. A key and its secret belong together.
const STAND_INS: [[StandIn; 2]; 2] = [
    [("TWITTER_API_KEY", "X_API_KEY"), ("TWITTER_API_SECRET", "X_API_SECRET")],
    [("TWITTER_ACCESS_TOKEN", "X_MAIN_ACCESS_TOKEN"), ("TWITTER_ACCESS_SECRET", "X_MAIN_ACCESS_SECRET")],
];

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

    /// Variables under the names that other deployments use, for those of ours that are not set.
    pub fn with_stand_ins(mut self) -> Self {
        for pair in STAND_INS {
            if pair.iter().any(|(_, own)| self.get(own).is_some()) {
                continue;
            }
            for (other, own) in pair {
                if let Some(value) = self.get(other).map(str::to_owned) {
                    self.text.insert(own.to_owned(), value);
                } else if self.garbled.contains(other) {
                    self.garbled.insert(own.to_owned());
                }
            }
        }
        if let (None, Some(host)) = (self.get("REDIS_URL"), self.get("REDIS_HOST")) {
            let is_host = host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b));
            let port = self.get("REDIS_PORT").unwrap_or("6379");
            // What is no host is given on as it is, and refused as what it stands in for.
            let url = if is_host { format!("redis://{host}:{port}") } else { host.to_owned() };
            self.text.insert("REDIS_URL".to_owned(), url);
        }
        self
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

    fn with(vars: &[(&str, &str)]) -> Variables {
        Variables::new(vars.iter().map(|(name, value)| ((*name).into(), (*value).into()))).with_stand_ins()
    }

    #[test]
    fn a_name_of_another_deployment_stands_in_for_ours_where_ours_is_not_set() {
        let theirs = [("TWITTER_API_KEY", "a"), ("TWITTER_API_SECRET", "b")];
        let vars = with(&theirs);
        assert_eq!((vars.get("X_API_KEY"), vars.get("X_API_SECRET")), (Some("a"), Some("b")));
        let vars = with(&[&theirs[..], &[("X_API_SECRET", "ours")]].concat());
        assert_eq!(
            (vars.get("X_API_KEY"), vars.get("X_API_SECRET")),
            (None, Some("ours")),
            "no key with a foreign secret"
        );
        assert_eq!(with(&[("X_API_KEY", ""), ("TWITTER_API_KEY", "theirs")]).get("X_API_KEY"), Some("theirs"));
    }

    #[test]
    fn a_host_of_redis_stands_in_for_its_url() {
        let url = |vars| with(vars).get("REDIS_URL").map(str::to_owned);
        assert_eq!(url(&[("REDIS_HOST", "cache")]).as_deref(), Some("redis://cache:6379"));
        assert_eq!(
            url(&[("REDIS_HOST", "10.0.0.7"), ("REDIS_PORT", "7000")]).as_deref(),
            Some("redis://10.0.0.7:7000")
        );
        assert_eq!(url(&[("REDIS_HOST", "cache"), ("REDIS_URL", "redis://own")]).as_deref(), Some("redis://own"));
        assert_eq!(url(&[("REDIS_HOST", "me:secret@cache")]).as_deref(), Some("me:secret@cache"), "which is refused");
    }

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
