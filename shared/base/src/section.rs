//! Settings of one's own: a table of the configuration that belongs to a bot, in a file of its own.

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
};

/// The settings of a bot. They stand in the table [`NAME`](Section::NAME) of `config/bots/<name>.toml`, which also has the bot's cron
/// entries and queues; `<name>.staging.toml` and `<name>.production.toml` beside it change some for one environment, and variables
/// such as `PERCH__<NAME>__<KEY>` as for any other setting.
pub trait Section: DeserializeOwned + Serialize + fmt::Debug + Send + Sync + 'static {
    /// The name of the table, and of the file.
    const NAME: &'static str;

    /// Notes what of it cannot work. Keys begin with the name of the table. `all` has the settings of the platform.
    fn check(&self, all: &FileSettings, env: Environment, check: &mut Check);
}

/// What the configuration of a deployment may say: its job types, and the sections of its bots. A table of a bot that it does not have
/// is an unknown key.
#[derive(Debug, Clone, Default)]
pub struct ConfigSchema {
    pub(crate) types: JobTypes,
    sections: Vec<SectionType>,
}

/// One type of section.
#[derive(Clone, Copy)]
struct SectionType {
    name: &'static str,
    read: ReadSection,
}

/// Reads a section out of its layers; what nobody has given is missed in the file.
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
    /// With one more section. A name has one type; the later one wins.
    #[must_use]
    pub fn with<T: Section>(mut self) -> Self {
        self.sections.retain(|kind| kind.name != T::NAME);
        self.sections.push(SectionType { name: T::NAME, read: read::<T> });
        self
    }

    /// Adds the files of its sections in `dir`, in their order. Answers what stands in them that is not theirs to say.
    pub(crate) fn push_files(&self, layers: &mut Layers, dir: &Path) -> Result<Vec<Problem>, ConfigError> {
        // What base.toml says of a bot would be hidden by the file of the bot.
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

    /// As [`Self::push_files`], those of the environment, where there are any.
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

    /// Takes the sections out of the layers; what is left is the platform's.
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
    /// Adds one of its files. Where it is the first, its cron entries are its own.
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

    /// Files beside its own that are of no environment: nobody would read them.
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

/// The same without what may be a credential, which does not belong into a file.
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

/// A section that was read, with what says where its values come from.
pub(crate) struct SectionWithLayers {
    pub held: LoadedSection,
    pub layers: Layers,
}

/// A section that was read.
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
            // As TOML has it: without what is not set, and 0.8 where a short number is not quite that.
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

    /// The file that it stands in.
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
    /// The process was started without the bot that it belongs to.
    pub fn get<T: Section>(&self) -> Result<Arc<T>, ConfigError> {
        let held = self.0.get(T::NAME).map(|held| held.value.clone());
        held.and_then(|value| value.downcast::<T>().ok()).ok_or(ConfigError::NoSection { name: T::NAME })
    }

    /// Puts another in its place, as a test does.
    #[must_use]
    pub fn with<T: Section>(mut self, section: T) -> Self {
        self.0.insert(T::NAME, LoadedSection::of(section));
        self
    }

    /// Each with its values, to be shown.
    pub fn shown(&self) -> BTreeMap<&'static str, serde_json::Value> {
        self.0.values().filter_map(|held| Some((held.name, (held.shown)(&*held.value)?))).collect()
    }
}
