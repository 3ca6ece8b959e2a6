use secrecy::SecretString;

use crate::{
    Origin, Problem,
    settings::{FileSettings, KeyPair, Secrets},
    variables::Variables,
};

/// Reads the credentials for these settings. An empty or missing variable counts as absent; the code that needs it reports that.
pub(crate) fn read(vars: &Variables, settings: &FileSettings) -> (Secrets, Vec<Problem>) {
    let mut reader = Reader { vars, problems: Vec::new() };
    let secrets = Secrets {
        redis_url: reader.url("REDIS_URL", &["redis://", "rediss://"]),
        database_url: reader.url("DATABASE_URL", &["postgres://", "postgresql://"]),
        database_session_url: reader.url("DATABASE_SESSION_URL", &["postgres://", "postgresql://"]),
        x_bearer_token: reader.one("X_API_BEARER_TOKEN"),
        x_consumer: reader.pair("X_API_KEY", "X_API_SECRET"),
        x_accounts: (settings.x.accounts.keys())
            .filter_map(|account| {
                let name = account.as_str().to_ascii_uppercase();
                let pair = reader.pair(&format!("X_{name}_ACCESS_TOKEN"), &format!("X_{name}_ACCESS_SECRET"))?;
                Some((account.clone(), pair))
            })
            .collect(),
        model_keys: (settings.models.providers.iter())
            .filter_map(|(name, provider)| Some((name.clone(), reader.one(&provider.api_key_env)?)))
            .collect(),
    };
    (secrets, reader.problems)
}

/// The variable with the handle of an account, which is not a credential but is set next to them.
pub(crate) fn username_of(account: &str) -> String {
    format!("X_{}_USERNAME", account.to_ascii_uppercase())
}

struct Reader<'v> {
    vars: &'v Variables,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn one(&mut self, name: &str) -> Option<SecretString> {
        self.problems.extend(self.vars.garbled(|garbled| garbled == name));
        self.vars.get(name).map(SecretString::from)
    }

    fn url(&mut self, name: &str, schemes: &[&str]) -> Option<SecretString> {
        if self.vars.get(name).is_some_and(|url| !schemes.iter().any(|scheme| url.starts_with(scheme))) {
            return self.refuse(name, "is not such a URL", &format!("a URL that starts with {}", schemes.join(" or ")));
        }
        self.one(name)
    }

    fn pair(&mut self, key: &str, secret: &str) -> Option<KeyPair> {
        match (self.one(key), self.one(secret)) {
            (Some(key), Some(secret)) => Some(KeyPair { key, secret }),
            (Some(_), None) => self.refuse(key, &format!("is set and {secret} is not"), "both or neither"),
            (None, Some(_)) => self.refuse(secret, &format!("is set and {key} is not"), "both or neither"),
            (None, None) => None,
        }
    }

    fn refuse<T>(&mut self, name: &str, wrong: &str, allowed: &str) -> Option<T> {
        self.problems.push(Problem {
            origin: Origin::Variable(name.to_owned()),
            key: String::new(),
            wrong: wrong.to_owned(),
            allowed: allowed.to_owned(),
        });
        None
    }
}
