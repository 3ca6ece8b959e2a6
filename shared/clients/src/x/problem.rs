use serde::Deserialize;

/// Why X does not show something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// It does not exist: it never did, was deleted, or its account was closed or suspended.
    Gone,
    /// It exists but is hidden from the caller: its account is protected.
    Hidden,
    /// X gives another reason.
    Other,
}

/// A problem as X reports it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problem {
    /// The kind of problem, a URI: `https://api.x.com/2/problems/resource-not-found`, or `about:blank`.
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// What happened in this case.
    pub detail: String,
    /// The resource it is about, for example the id of a post.
    pub resource_id: Option<String>,
}

impl Problem {
    /// The last part of the kind, for example `resource-not-found`. Empty for `about:blank`.
    pub fn name(&self) -> &str {
        self.kind.rsplit_once("/problems/").map_or("", |(_, name)| name)
    }

    /// Why the resource is not shown.
    pub fn absence(&self) -> Absence {
        match self.name() {
            "resource-not-found" | "resource-unavailable" => Absence::Gone,
            "not-authorized-for-resource" => Absence::Hidden,
            _ => Absence::Other,
        }
    }

    /// Reads the body of a refusal, in any of the forms X uses. A body that cannot be read gives an empty problem.
    pub(super) fn parse(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }

    /// The same problem with its texts passed through `present`.
    pub(super) fn presented(self, present: impl Fn(&str) -> String) -> Self {
        Self {
            kind: present(&self.kind),
            title: present(&self.title),
            detail: present(&self.detail),
            resource_id: self.resource_id.as_deref().map(present),
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.title.is_empty(), self.detail.is_empty()) {
            (true, true) => f.write_str("no reason given"),
            (false, true) => f.write_str(&self.title),
            (true, false) => f.write_str(&self.detail),
            (false, false) => write!(f, "{}: {}", self.title, self.detail),
        }
    }
}

/// The forms of a refusal: a problem object, `{code, message}`, or a list of errors, alone or inside a problem.
#[derive(Deserialize)]
struct ProblemBody {
    #[serde(rename = "type")]
    kind: Option<String>,
    title: Option<String>,
    detail: Option<String>,
    message: Option<String>,
    resource_id: Option<String>,
    value: Option<serde_json::Value>,
    #[serde(default)]
    errors: Vec<InnerError>,
}

#[derive(Deserialize)]
struct InnerError {
    message: Option<String>,
    detail: Option<String>,
}

impl<'de> Deserialize<'de> for Problem {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let wire = ProblemBody::deserialize(d)?;
        let reasons = wire.errors.into_iter().filter_map(|inner| inner.message.or(inner.detail));
        let mut detail: Vec<String> = wire.detail.or(wire.message).into_iter().chain(reasons).collect();
        detail.dedup();
        let value = wire.value.and_then(|value| value.as_str().map(str::to_owned));
        Ok(Self {
            kind: wire.kind.unwrap_or_else(|| "about:blank".into()),
            title: wire.title.unwrap_or_default(),
            detail: detail.join("; "),
            resource_id: wire.resource_id.or(value),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_refusal_is_read() {
        let problem = Problem::parse(
            br#"{"type":"https://api.x.com/2/problems/invalid-request","title":"Invalid Request",
                "detail":"One or more parameters to your request was invalid.","errors":[{"message":"max_results is 3"}]}"#,
        );
        assert_eq!(problem.name(), "invalid-request");
        assert!(problem.to_string().ends_with("was invalid.; max_results is 3"), "{problem}");
        assert_eq!(
            Problem::parse(br#"{"code":32,"message":"Could not authenticate you"}"#).detail,
            "Could not authenticate you"
        );
        assert_eq!(Problem::parse(br#"{"errors":[{"code":89,"message":"Expired token"}]}"#).detail, "Expired token");
        assert_eq!(Problem::parse(b"<html>bad gateway</html>").to_string(), "no reason given");
    }
}
