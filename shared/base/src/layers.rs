use std::{fs, path::Path};

use figment::{
    Figment, Metadata, Profile, Provider,
    value::{Dict, Map, Tag, Value},
};

use crate::{ConfigError, Origin};

/// The values of each file and each variable, later ones on top of earlier ones.
///
/// The layers stay separate, so that every error can name the source of the value.
#[derive(Default)]
pub(crate) struct Layers(Vec<Layer>);

struct Layer {
    origin: Origin,
    values: Dict,
    /// The path and the raw text of a variable, for text that only looks like a number.
    raw: Option<(Vec<String>, String)>,
}

impl Provider for &Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.to_string())
    }

    fn data(&self) -> figment::error::Result<Map<Profile, Dict>> {
        Ok([(Profile::Default, self.values.clone())].into())
    }
}

impl Layers {
    pub fn push_file(&mut self, file: &Path) -> Result<(), ConfigError> {
        let text =
            fs::read_to_string(file).map_err(|source| ConfigError::Unreadable { file: file.to_path_buf(), source })?;
        let table = text.parse::<toml::Table>().map_err(|error| malformed(file, &text, &error))?;
        let values = table.into_iter().map(|(key, value)| (key, from_toml(value))).collect();
        self.0.push(Layer { origin: Origin::File(file.to_path_buf()), values, raw: None });
        Ok(())
    }

    /// Whether the layer that was added last has this key.
    pub fn last_has(&self, key: &str) -> bool {
        self.0.last().is_some_and(|layer| layer.values.contains_key(key))
    }

    /// Removes every other key from the layer that was added last, and returns them.
    pub fn keep_of_last(&mut self, keys: &[&str]) -> Vec<String> {
        let Some(layer) = self.0.last_mut() else { return Vec::new() };
        let foreign: Vec<String> = layer.values.keys().filter(|key| !keys.contains(&key.as_str())).cloned().collect();
        for key in &foreign {
            layer.values.remove(key);
        }
        foreign
    }

    /// Removes the table `name` from each layer, into separate layers.
    pub fn split_off(&mut self, name: &str) -> Self {
        let split = |layer: &mut Layer| {
            let value = layer.values.remove(name)?;
            let raw = layer.raw.clone().filter(|(path, _)| path.first().is_some_and(|first| first == name));
            Some(Layer { origin: layer.origin.clone(), values: Dict::from([(name.to_owned(), value)]), raw })
        };
        Self(self.0.iter_mut().filter_map(split).collect())
    }

    /// Adds a variable that sets the key at `path`, read as TOML if it is valid TOML, else as text.
    pub fn push_variable(&mut self, name: &str, path: &[String], text: &str) {
        let value = text.parse::<toml::Value>().map_or_else(|_| Value::from(text), from_toml);
        let origin = Origin::Variable(name.to_owned());
        self.0.push(Layer { origin, values: nested(path, value), raw: Some((path.to_vec(), text.to_owned())) });
    }

    /// The merged view, with `extra` values on top.
    pub fn figment(&self, extra: impl IntoIterator<Item = (Vec<String>, Value)>) -> Figment {
        let merged = self.0.iter().fold(Figment::new(), Figment::merge);
        extra.into_iter().fold(merged, |merged, (path, value)| {
            let origin = Origin::Variable(String::new());
            merged.merge(&Layer { origin, values: nested(&path, value), raw: None })
        })
    }

    /// The value at `path`, if it is text.
    pub fn text_at(&self, path: &[&str]) -> Option<String> {
        self.figment([]).find_value(&path.join(".")).ok()?.into_string()
    }

    /// The keys of the table at `path`.
    pub fn names_at(&self, path: &[&str]) -> Vec<String> {
        let table = self.figment([]).find_value(&path.join(".")).ok().and_then(Value::into_dict);
        table.into_iter().flat_map(Dict::into_keys).collect()
    }

    /// The origin of the value at `path`, or of the nearest table above it.
    pub fn origin(&self, path: &[String]) -> Option<&Origin> {
        (1..=path.len()).rev().find_map(|depth| self.top(&path[..depth])).map(|at| &self.0[at].origin)
    }

    /// The first origin of any value at `path`.
    pub fn introduced_by(&self, path: &[String]) -> Option<&Origin> {
        self.0.iter().find(|layer| find(&layer.values, path).is_some()).map(|layer| &layer.origin)
    }

    /// Removes the value at `path` from the topmost layer that has it, so that the one below applies.
    pub fn take(&mut self, path: &[String]) -> bool {
        self.top(path).is_some_and(|at| remove(&mut self.0[at].values, path))
    }

    /// Turns the value at `path` back into the text of its variable. False if it is text already or comes from a file.
    pub fn back_to_text(&mut self, path: &[String]) -> bool {
        let Some(layer) = self.top(path).map(|at| &mut self.0[at]) else { return false };
        let is_text = find(&layer.values, path).is_some_and(|value| value.as_str().is_some());
        match &layer.raw {
            Some((own_path, text)) if own_path == path && !is_text => {
                layer.values = nested(path, Value::from(text.as_str()));
                true
            }
            _ => false,
        }
    }

    fn top(&self, path: &[String]) -> Option<usize> {
        self.0.iter().rposition(|layer| find(&layer.values, path).is_some())
    }
}

/// The value at `path`; for a path into a list, the list, because a list is replaced as a whole.
fn find<'v>(values: &'v Dict, path: &[String]) -> Option<&'v Value> {
    let (first, rest) = path.split_first()?;
    let value = values.get(first)?;
    match value {
        _ if rest.is_empty() => Some(value),
        Value::Dict(_, inner) => find(inner, rest),
        Value::Array(..) => Some(value),
        _ => None,
    }
}

fn remove(values: &mut Dict, path: &[String]) -> bool {
    let Some((first, rest)) = path.split_first() else { return false };
    match values.get_mut(first) {
        Some(Value::Dict(_, inner)) if !rest.is_empty() => remove(inner, rest),
        _ => values.remove(first).is_some(),
    }
}

fn nested(path: &[String], value: Value) -> Dict {
    let mut path = path.iter().rev();
    let Some(last) = path.next() else { return Dict::new() };
    path.fold(Dict::from([(last.clone(), value)]), |inner, key| {
        Dict::from([(key.clone(), Value::Dict(Tag::Default, inner))])
    })
}

fn from_toml(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::from(text),
        toml::Value::Integer(number) => Value::from(number),
        toml::Value::Float(number) => Value::from(number),
        toml::Value::Boolean(flag) => Value::from(flag),
        // No setting is a date, so it becomes text, which gives a fitting error.
        toml::Value::Datetime(date) => Value::from(date.to_string()),
        toml::Value::Array(items) => Value::Array(Tag::Default, items.into_iter().map(from_toml).collect()),
        toml::Value::Table(table) => {
            Value::Dict(Tag::Default, table.into_iter().map(|(key, value)| (key, from_toml(value))).collect())
        }
    }
}

/// The error gives the number of the line, not its text, which may contain a credential.
fn malformed(file: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    ConfigError::Malformed {
        file: file.to_path_buf(),
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        reason: error.message().replace('\n', ", "),
    }
}
