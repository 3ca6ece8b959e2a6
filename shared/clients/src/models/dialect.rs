//! How requests are written, where providers and their models differ. No I/O.

use std::fmt;

use perch_base::settings::{MaxTokensField, ProviderSettings};

use super::answer::ProviderError;

/// How requests to one provider are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialect {
    /// The parameter that limits the length of the answer.
    pub max_tokens_field: MaxTokensField,
    /// Whether a temperature is sent.
    pub temperature: bool,
    /// How much the model thinks before it answers; empty sends nothing.
    pub reasoning_effort: String,
    /// Whether the schema of the answer is sent.
    pub json_schema: bool,
}

impl Default for Dialect {
    fn default() -> Self {
        Self {
            max_tokens_field: MaxTokensField::default(),
            temperature: true,
            reasoning_effort: String::new(),
            json_schema: true,
        }
    }
}

impl From<&ProviderSettings> for Dialect {
    fn from(provider: &ProviderSettings) -> Self {
        Self {
            max_tokens_field: provider.max_tokens_field,
            temperature: provider.temperature,
            reasoning_effort: provider.reasoning_effort.clone(),
            json_schema: provider.json_schema,
        }
    }
}

/// A setting of a provider with a value that its model accepts, as written in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// Use this parameter to limit the length of the answer.
    MaxTokensField(MaxTokensField),
    /// Send no temperature.
    Temperature,
    /// Send no reasoning effort.
    ReasoningEffort,
    /// Send no schema.
    JsonSchema,
}

impl Setting {
    /// The parameter that it is about.
    pub fn parameter(self) -> &'static str {
        match self {
            Self::MaxTokensField(MaxTokensField::MaxTokens) => "max_completion_tokens",
            Self::MaxTokensField(MaxTokensField::MaxCompletionTokens) => "max_tokens",
            Self::Temperature => "temperature",
            Self::ReasoningEffort => "reasoning_effort",
            Self::JsonSchema => "response_format",
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MaxTokensField(field) => write!(f, "max_tokens_field = \"{}\"", field.as_str()),
            Self::Temperature => f.write_str("temperature = false"),
            Self::ReasoningEffort => f.write_str("reasoning_effort = \"\""),
            Self::JsonSchema => f.write_str("json_schema = false"),
        }
    }
}

/// How providers report that a parameter is not supported.
const UNSUPPORTED_CODES: [&str; 3] = ["unsupported_parameter", "unsupported_value", "unknown_parameter"];
const UNSUPPORTED_WORDS: [&str; 8] = [
    "not support",
    "unsupported",
    "unrecognized",
    "unknown parameter",
    "unexpected keyword",
    "not permitted",
    "not allowed",
    "extra_forbidden",
];

impl Dialect {
    /// The setting to change, when a refusal says that a parameter of this dialect is not supported.
    pub(super) fn setting_against(&self, complaint: &ProviderError) -> Option<Setting> {
        let said = complaint.message.to_lowercase();
        let is_unsupported = UNSUPPORTED_CODES.contains(&complaint.code.as_str())
            || UNSUPPORTED_WORDS.iter().any(|words| said.contains(words));
        if !is_unsupported {
            return None;
        }
        let sent = [
            Some(Setting::MaxTokensField(self.max_tokens_field.other())),
            self.temperature.then_some(Setting::Temperature),
            (!self.reasoning_effort.is_empty()).then_some(Setting::ReasoningEffort),
            self.json_schema.then_some(Setting::JsonSchema),
        ];
        let sent = sent.into_iter().flatten();
        // The refusal may also name the parameter to use instead: the first one named is the refused one.
        let named = |setting: &Setting| said.find(setting.parameter());
        match complaint.parameter.as_str() {
            "" => {
                sent.filter_map(|setting| Some((named(&setting)?, setting))).min_by_key(|(at, _)| *at).map(|(_, s)| s)
            }
            parameter => sent.into_iter().find(|setting| parameter.starts_with(setting.parameter())),
        }
    }

    /// The same dialect with that setting.
    #[must_use]
    pub(super) fn with(self, setting: Setting) -> Self {
        match setting {
            Setting::MaxTokensField(max_tokens_field) => Self { max_tokens_field, ..self },
            Setting::Temperature => Self { temperature: false, ..self },
            Setting::ReasoningEffort => Self { reasoning_effort: String::new(), ..self },
            Setting::JsonSchema => Self { json_schema: false, ..self },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(parameter: &str, code: &str, message: &str) -> ProviderError {
        ProviderError { parameter: parameter.into(), code: code.into(), message: message.into(), status: None }
    }

    fn all() -> Dialect {
        Dialect { reasoning_effort: "low".into(), ..Dialect::default() }
    }

    #[test]
    fn what_a_model_does_not_take_is_known_by_the_parameter_or_by_the_words_of_its_refusal() {
        let other = Setting::MaxTokensField(MaxTokensField::MaxCompletionTokens);
        let use_other = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.";
        for (parameter, code, message, setting) in [
            ("max_tokens", "unsupported_parameter", use_other, Some(other)),
            ("", "", use_other, Some(other)),
            (
                "temperature",
                "unsupported_value",
                "Only the default (1) value is supported.",
                Some(Setting::Temperature),
            ),
            ("", "", "Unrecognized request argument supplied: reasoning_effort", Some(Setting::ReasoningEffort)),
            ("response_format", "", "'json_schema' is not supported with this model", Some(Setting::JsonSchema)),
            ("max_tokens", "invalid_value", "max_tokens is too large: 4000", None),
            ("messages.0.role", "unsupported_value", "'system' is not supported", None),
            ("", "model_not_found", "The model does not exist", None),
        ] {
            assert_eq!(all().setting_against(&complaint(parameter, code, message)), setting, "{message}");
        }
    }

    #[test]
    fn a_parameter_that_is_not_sent_is_not_what_a_refusal_is_about() {
        let silent = all().with(Setting::Temperature).with(Setting::ReasoningEffort).with(Setting::JsonSchema);
        for parameter in ["temperature", "reasoning_effort", "response_format", "max_completion_tokens"] {
            assert_eq!(silent.setting_against(&complaint(parameter, "unsupported_parameter", "")), None, "{parameter}");
        }
        assert_eq!(Setting::MaxTokensField(MaxTokensField::MaxTokens).to_string(), "max_tokens_field = \"max_tokens\"");
    }
}
