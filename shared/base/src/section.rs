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
    reading::{self, Reading},
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
    sections: Vec<Kind>,
}

/// One type of section.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    read: Read,
}

/// Reads a section out of its layers; what nobody has given is missed in the file.
type Read = fn(&mut Layers, &Origin) -> (Option<Held>, Vec<Problem>);

impl fmt::Debug for Kind {
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
        self.sections.push(Kind { name: T::NAME, read: read::<T> });
        self
    }

    /// Adds the files of its sections in `dir`, in their order. Answers what stands in them that is not theirs to say.
    pub(crate) fn push_files(&self, layers: &mut Layers, dir: &Path) -> Result<Vec<Problem>, ConfigError> {
        let mut problems = Vec::new();
        for kind in &self.sections {
            problems.extend(kind.push(layers, &file_of(dir, kind.name))?);
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
            if file.exists() {
                problems.extend(kind.push(layers, &file)?);
            }
        }
        Ok(problems)
    }

    /// Takes the sections out of the layers; what is left is the platform's.
    pub(crate) fn take(&self, layers: &mut Layers, dir: &Path) -> (Vec<Taken>, Vec<Problem>) {
        let (mut taken, mut problems) = (Vec::new(), Vec::new());
        for kind in &self.sections {
            let mut own = layers.split_off(kind.name);
            let (held, wrong) = (kind.read)(&mut own, &Origin::File(file_of(dir, kind.name)));
            problems.extend(wrong);
            taken.extend(held.map(|held| Taken { held, layers: own }));
        }
        (taken, problems)
    }
}

impl Kind {
    fn push(self, layers: &mut Layers, file: &Path) -> Result<Vec<Problem>, ConfigError> {
        layers.push_file(file)?;
        let foreign = layers.keep_of_last(&[self.name, "cron", "queues"]);
        let problem = |key| Problem {
            origin: Origin::File(file.to_path_buf()),
            key,
            wrong: "does not belong here".to_owned(),
            allowed: format!("[{}], [cron.…] and [queues.…]; everything else stands in base.toml", self.name),
        };
        Ok(foreign.into_iter().map(problem).collect())
    }
}

fn file_of(dir: &Path, name: &str) -> PathBuf {
    dir.join("bots").join(format!("{name}.toml"))
}

fn read<T: Section>(layers: &mut Layers, file: &Origin) -> (Option<Held>, Vec<Problem>) {
    let Reading { settings, problems } = reading::read::<T>(layers, file, Some(T::NAME));
    (settings.map(Held::of), problems)
}

/// A section that was read, with what says where its values come from.
pub(crate) struct Taken {
    pub held: Held,
    pub layers: Layers,
}

/// A section that was read.
#[derive(Clone)]
pub(crate) struct Held {
    name: &'static str,
    value: Arc<dyn Any + Send + Sync>,
    shown: fn(&(dyn Any + Send + Sync)) -> Option<serde_json::Value>,
    check: fn(&(dyn Any + Send + Sync), &FileSettings, Environment, &mut Check),
}

impl Held {
    fn of<T: Section>(value: T) -> Self {
        Self {
            name: T::NAME,
            value: Arc::new(value),
            shown: |value| serde_json::to_value(value.downcast_ref::<T>()?).ok(),
            check: |value, all, env, check| {
                if let Some(section) = value.downcast_ref::<T>() {
                    section.check(all, env, check);
                }
            },
        }
    }

    pub fn check(&self, all: &FileSettings, env: Environment, check: &mut Check) {
        (self.check)(&*self.value, all, env, check);
    }
}

/// The sections of a process, by their types.
#[derive(Clone, Default)]
pub struct Sections(BTreeMap<&'static str, Held>);

impl fmt::Debug for Sections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.shown()).finish()
    }
}

impl Sections {
    pub(crate) fn new(held: impl IntoIterator<Item = Held>) -> Self {
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
        self.0.insert(T::NAME, Held::of(section));
        self
    }

    /// Each with its values, to be shown.
    pub fn shown(&self) -> BTreeMap<&'static str, serde_json::Value> {
        self.0.values().filter_map(|held| Some((held.name, (held.shown)(&*held.value)?))).collect()
    }
}
