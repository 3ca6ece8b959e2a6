//! Sections: tables of the configuration that belong to a bot, each in its own file.

use std::{
    any::Any,
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use perch_job::JobTypes;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    ConfigError, Environment, Origin, Problem,
    check::Check,
    layers::Layers,
    reading::{self, ReadOutcome},
    redact,
    settings::FileSettings,
    variables::Variables,
};

/// The settings of a bot. They are in the table [`NAME`](Section::NAME) of `config/bots/<name>.toml`, which also has the bot's
/// cron entries and queues; `<name>.staging.toml` and `<name>.production.toml` next to it override some of them for one
/// environment, and variables such as `PERCH__<NAME>__<KEY>` override them as for any other setting.
pub trait Section: DeserializeOwned + Serialize + fmt::Debug + Send + Sync + 'static {
    /// The name of the table, and of the file.
    const NAME: &'static str;
    /// Variables that set one of its keys under a name of their own: the variable, and the key within the table. An empty one counts as
    /// not set, and `PERCH__<NAME>__<KEY>` comes first.
    const VARIABLES: &'static [(&'static str, &'static str)] = &[];

    /// Reports invalid settings. Keys begin with the name of the table. `all` has the settings of the platform.
    fn check(&self, all: &FileSettings, env: Environment, check: &mut Check);
}

/// What the configuration of a deployment may contain: its job types and the sections of its bots. The table of any other bot is
/// an unknown key.
#[derive(Debug, Clone, Default)]
pub struct ConfigSchema {
    pub(crate) types: JobTypes,
    sections: Vec<SectionType>,
}

/// One type of section.
#[derive(Clone, Copy)]
struct SectionType {
    name: &'static str,
    variables: &'static [(&'static str, &'static str)],
    read: ReadSection,
}

/// Reads a section from its layers; missing values are reported for the file.
type ReadSection = fn(&mut Layers, &Origin) -> (Option<LoadedSection>, Vec<Problem>);

impl fmt::Debug for SectionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl From<JobTypes> for ConfigSchema {
    fn from(types: JobTypes) -> Self {
        Self { types, sections: Vec::new() }
    }
}

impl From<&JobTypes> for ConfigSchema {
    fn from(types: &JobTypes) -> Self {
        types.clone().into()
    }
}

impl From<&Self> for ConfigSchema {
    fn from(schema: &Self) -> Self {
        schema.clone()
    }
}

impl ConfigSchema {
    /// Adds a section. If two have the same name, the later one wins.
    #[must_use]
    pub fn with<T: Section>(mut self) -> Self {
        self.sections.retain(|kind| kind.name != T::NAME);
        self.sections.push(SectionType { name: T::NAME, variables: T::VARIABLES, read: read::<T> });
        self
    }

    /// Adds the files of its sections in `dir`, in order. Returns the values in them that do not belong there.
    pub(crate) fn push_files(&self, layers: &mut Layers, dir: &Path) -> Result<Vec<Problem>, ConfigError> {
        // The file of the bot would hide what base.toml has for it.
        let base = dir.join("base.toml");
        let mut problems: Vec<Problem> = self
            .sections
            .iter()
            .filter(|kind| layers.last_has(kind.name))
            .map(|kind| Problem {
                origin: Origin::File(base.clone()),
                key: kind.name.to_owned(),
                wrong: "does not belong here".to_owned(),
                allowed: format!("its settings stand in bots/{}.toml", kind.name),
            })
            .collect();
        for kind in &self.sections {
            problems.extend(kind.push(layers, &file_of(dir, kind.name), true)?);
            problems.extend(kind.misnamed(dir)?);
        }
        Ok(problems)
    }

    /// Like [`Self::push_files`], for the files of the environment, if there are any.
    pub(crate) fn push_files_of(
        &self,
        env: Environment,
        layers: &mut Layers,
        dir: &Path,
    ) -> Result<Vec<Problem>, ConfigError> {
        let mut problems = Vec::new();
        for kind in &self.sections {
            let file = file_of(dir, &format!("{}.{env}", kind.name));
            if there(&file)? {
                problems.extend(kind.push(layers, &file, false)?);
            }
        }
        Ok(problems)
    }

    /// Adds the variables that its sections read under names of their own.
    pub(crate) fn push_variables(&self, layers: &mut Layers, vars: &Variables) -> Vec<Problem> {
        let mut problems = Vec::new();
        for kind in &self.sections {
            for (variable, key) in kind.variables {
                problems.extend(vars.garbled(|garbled| garbled == *variable));
                let path = [kind.name.to_owned(), (*key).to_owned()];
                let is_said = matches!(layers.origin(&path), Some(Origin::Variable(_)));
                if let Some(value) = vars.get(variable).filter(|_| !is_said) {
                    layers.push_variable(variable, &path, value);
                }
            }
        }
        problems
    }

    /// Removes the sections from the layers; the rest belongs to the platform.
    pub(crate) fn take(&self, layers: &mut Layers, dir: &Path) -> (Vec<SectionWithLayers>, Vec<Problem>) {
        let (mut taken, mut problems) = (Vec::new(), Vec::new());
        for kind in &self.sections {
            let mut own = layers.split_off(kind.name);
            let (held, wrong) = (kind.read)(&mut own, &Origin::File(file_of(dir, kind.name)));
            problems.extend(wrong);
            taken.extend(held.map(|held| SectionWithLayers { held, layers: own }));
        }
        (taken, problems)
    }
}

impl SectionType {
    /// Adds one of its files. A cron entry in its first file that base.toml or another bot has already is a problem.
    fn push(self, layers: &mut Layers, file: &Path, first: bool) -> Result<Vec<Problem>, ConfigError> {
        let entries = layers.names_at(&["cron"]);
        layers.push_file(file)?;
        let origin = Origin::File(file.to_path_buf());
        let taken = |entry: &String| first && layers.origin(&["cron".to_owned(), entry.clone()]) == Some(&origin);
        let mut problems: Vec<Problem> = entries
            .iter()
            .filter(|entry| taken(entry))
            .map(|entry| Problem {
                origin: origin.clone(),
                key: format!("cron.{entry}"),
                wrong: "is a cron entry of base.toml or of another bot".to_owned(),
                allowed: "another name".to_owned(),
            })
            .collect();
        let foreign = layers.keep_of_last(&[self.name, "cron", "queues"]);
        let problem = |key| Problem {
            origin: Origin::File(file.to_path_buf()),
            key,
            wrong: "does not belong here".to_owned(),
            allowed: format!("[{}], [cron.…] and [queues.…]; everything else stands in base.toml", self.name),
        };
        problems.extend(foreign.into_iter().map(problem));
        Ok(problems)
    }

    /// Files next to its own for unknown environments, which nothing would read.
    fn misnamed(self, dir: &Path) -> Result<Vec<Problem>, ConfigError> {
        let folder = dir.join("bots");
        let unreadable = |source| ConfigError::Unreadable { file: folder.clone(), source };
        let mut problems = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let of = name.strip_suffix(".toml").and_then(|name| name.strip_prefix(self.name)?.strip_prefix('.'));
            if let Some(env) = of.filter(|env| env.parse::<Environment>().is_err()) {
                problems.push(Problem {
                    origin: Origin::File(path.clone()),
                    key: self.name.to_owned(),
                    wrong: format!("is said for {env:?}, which is no environment"),
                    allowed: format!("{0}.toml, {0}.staging.toml and {0}.production.toml", self.name),
                });
            }
        }
        Ok(problems)
    }
}

fn there(file: &Path) -> Result<bool, ConfigError> {
    file.try_exists().map_err(|source| ConfigError::Unreadable { file: file.to_path_buf(), source })
}

fn file_of(dir: &Path, name: &str) -> PathBuf {
    dir.join("bots").join(format!("{name}.toml"))
}

fn read<T: Section>(layers: &mut Layers, file: &Origin) -> (Option<LoadedSection>, Vec<Problem>) {
    let ReadOutcome { settings, problems } = reading::read::<T>(layers, file, Some(T::NAME));
    (settings.map(LoadedSection::of), problems)
}

/// The text without what may be a credential, which does not belong in a file.
fn masked(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Object(fields) => {
            let shown = fields.into_iter().map(|(name, value)| match value {
                Value::String(_) if redact::names_a_secret(&name) => (name, Value::from("***")),
                value => (name, masked(value)),
            });
            Value::Object(shown.collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(masked).collect()),
        other => other,
    }
}

/// A loaded section, with the layers that tell the origins of its values.
pub(crate) struct SectionWithLayers {
    pub held: LoadedSection,
    pub layers: Layers,
}

/// A loaded section.
#[derive(Clone)]
pub(crate) struct LoadedSection {
    name: &'static str,
    value: Arc<dyn Any + Send + Sync>,
    shown: fn(&(dyn Any + Send + Sync)) -> Option<serde_json::Value>,
    check: fn(&(dyn Any + Send + Sync), &FileSettings, Environment, &mut Check),
}

impl LoadedSection {
    fn of<T: Section>(value: T) -> Self {
        Self {
            name: T::NAME,
            value: Arc::new(value),
            // As in TOML: without unset values, and 0.8 instead of the nearest `f32`.
            shown: |value| {
                let text = toml::to_string(value.downcast_ref::<T>()?).ok()?;
                serde_json::to_value(text.parse::<toml::Table>().ok()?).ok().map(masked)
            },
            check: |value, all, env, check| {
                if let Some(section) = value.downcast_ref::<T>() {
                    section.check(all, env, check);
                }
            },
        }
    }

    /// The file of the section.
    pub fn file(&self, dir: &Path) -> Origin {
        Origin::File(file_of(dir, self.name))
    }

    pub fn check(&self, all: &FileSettings, env: Environment, check: &mut Check) {
        (self.check)(&*self.value, all, env, check);
    }
}

/// The sections of a process, by their types.
#[derive(Clone, Default)]
pub struct Sections(BTreeMap<&'static str, LoadedSection>);

impl fmt::Debug for Sections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.shown()).finish()
    }
}

impl Sections {
    pub(crate) fn new(held: impl IntoIterator<Item = LoadedSection>) -> Self {
        Self(held.into_iter().map(|held| (held.name, held)).collect())
    }

    /// The section of this type.
    ///
    /// # Errors
    ///
    /// The process runs without the bot of the section.
    pub fn get<T: Section>(&self) -> Result<Arc<T>, ConfigError> {
        let held = self.0.get(T::NAME).map(|held| held.value.clone());
        held.and_then(|value| value.downcast::<T>().ok()).ok_or(ConfigError::NoSection { name: T::NAME })
    }

    /// Replaces the section, for tests.
    #[must_use]
    pub fn with<T: Section>(mut self, section: T) -> Self {
        self.0.insert(T::NAME, LoadedSection::of(section));
        self
    }

    /// The name and values of each section, for display.
    pub fn shown(&self) -> BTreeMap<&'static str, serde_json::Value> {
        self.0.values().filter_map(|held| Some((held.name, (held.shown)(&*held.value)?))).collect()
    }
}
