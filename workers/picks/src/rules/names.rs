//! Tables of the teams, athletes and statistics in posts, with all their names.

use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

use super::{
    lex::{normalise, tokens},
    token::{Lexeme, Token},
};

/// What an entity can be in a bet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A side of a game.
    Side,
    /// A player whose statistics are bet on.
    Player,
}

/// A team or an athlete.
#[derive(Debug)]
pub struct Entity {
    /// Its league, or its sport where leagues do not matter.
    pub league: &'static str,
    /// The full canonical name.
    pub name: String,
    /// What it can be in a bet.
    pub role: Role,
    /// How fans call a team; an athlete's full name.
    pub nickname: String,
}

/// An entity that a name may mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Its index in [`NameTable::entities`].
    pub entity: usize,
    /// The name counts only in capitals.
    pub capitals: bool,
    /// The name is only a place or a last name, which others may share.
    pub weak: bool,
    /// The name is a nickname or abbreviation.
    pub informal: bool,
}

/// What a prop or a total counts.
#[derive(Debug)]
pub struct Stat {
    /// Its canonical name.
    pub name: &'static str,
    /// The league that it implies.
    pub league: Option<&'static str>,
}

/// All names, indexed by their folded words.
pub struct NameTable {
    /// Teams, then athletes.
    pub entities: Vec<Entity>,
    /// The statistics.
    pub stats: Vec<Stat>,
    names: HashMap<String, Vec<Candidate>>,
    stat_names: HashMap<String, usize>,
}

/// The length of the longest name in tokens.
pub const LONGEST: usize = 6;

/// The names in the data files of the crate.
pub static NAMES: LazyLock<NameTable> = LazyLock::new(|| {
    let mut table =
        NameTable { entities: Vec::new(), stats: Vec::new(), names: HashMap::new(), stat_names: HashMap::new() };
    rows(include_str!("../../data/teams.txt")).for_each(|row| table.add_team(&row));
    rows(include_str!("../../data/athletes.txt")).for_each(|row| table.add_athlete(&row));
    rows(include_str!("../../data/stats.txt")).for_each(|row| table.add_stat(&row));
    table
});

/// The first names of the athletes.
pub(super) fn given_names() -> &'static HashSet<String> {
    static GIVEN: LazyLock<HashSet<String>> = LazyLock::new(|| {
        let rows = rows(include_str!("../../data/athletes.txt"));
        rows.filter_map(|row| row.get(1)?.split_once(' ').map(|(first, _)| key_of(first))).collect()
    });
    &GIVEN
}

fn rows(file: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    file.lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .map(|line| line.split('|').map(str::trim).collect())
}

/// The key of a name: its folded tokens without hyphens.
pub fn key(tokens: &[Token]) -> String {
    let words: Vec<&str> = tokens.iter().filter(|t| t.lexeme != Lexeme::Sign('-')).map(|t| t.folded.as_str()).collect();
    words.join(" ")
}

/// The key of a name from its text.
pub fn key_of(text: &str) -> String {
    key(&tokens(&normalise(text)))
}

fn in_capitals(text: &str) -> bool {
    !text.chars().any(char::is_lowercase)
}

impl NameTable {
    /// All candidates for a name, by its key.
    pub fn find(&self, key: &str) -> &[Candidate] {
        self.names.get(key).map_or(&[], Vec::as_slice)
    }

    /// The index of the statistic with this name, by its key.
    pub fn stat(&self, key: &str) -> Option<usize> {
        self.stat_names.get(key).copied()
    }

    fn name(&mut self, text: &str, entity: usize, weak: bool, informal: bool) {
        let candidates = self.names.entry(key_of(text)).or_default();
        if candidates.iter().all(|known| known.entity != entity) {
            candidates.push(Candidate { entity, capitals: in_capitals(text) && text.len() <= 5, weak, informal });
        }
    }

    fn by_names(&mut self, more: &str, entity: usize) {
        more.split(',').map(str::trim).filter(|a| !a.is_empty()).for_each(|a| self.name(a, entity, false, true));
    }

    fn add_team(&mut self, row: &[&'static str]) {
        let [league, place, nickname, more] = row else { return };
        let entity = self.entities.len();
        let name = format!("{place} {nickname}").trim().to_owned();
        self.name(&name, entity, false, false);
        self.name(nickname, entity, false, false);
        self.by_names(more, entity);
        if !place.is_empty() {
            self.name(place, entity, true, true);
        }
        self.entities.push(Entity { league, name, role: Role::Side, nickname: (*nickname).to_owned() });
    }

    fn add_athlete(&mut self, row: &[&'static str]) {
        let [league, name, more] = row else { return };
        let entity = self.entities.len();
        let role = if matches!(*league, "tennis" | "mma" | "boxing" | "golf") { Role::Side } else { Role::Player };
        self.name(name, entity, false, false);
        self.by_names(more, entity);
        if let Some(last) = name.trim_end_matches(" Jr.").split(' ').next_back() {
            self.name(last, entity, true, true);
        }
        self.entities.push(Entity { league, name: (*name).to_owned(), role, nickname: (*name).to_owned() });
    }

    fn add_stat(&mut self, row: &[&'static str]) {
        let [name, league, more] = row else { return };
        let stat = self.stats.len();
        more.split(',').map(str::trim).for_each(|alias| {
            self.stat_names.entry(key_of(alias)).or_insert(stat);
        });
        self.stats.push(Stat { name, league: (!league.is_empty()).then_some(*league) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<&'static str> {
        NAMES.find(&key_of(text)).iter().map(|c| NAMES.entities[c.entity].name.as_str()).collect()
    }

    #[test]
    fn every_row_of_the_data_files_is_read() {
        let count = |file: &'static str| rows(file).count();
        let names = count(include_str!("../../data/teams.txt")) + count(include_str!("../../data/athletes.txt"));
        assert_eq!(NAMES.entities.len(), names);
        assert_eq!(NAMES.stats.len(), count(include_str!("../../data/stats.txt")));
    }

    #[test]
    fn nicknames_places_and_abbreviations_lead_to_the_team() {
        assert_eq!(read("Leafs"), ["Toronto Maple Leafs"]);
        assert_eq!(read("man utd"), ["Manchester United"]);
        assert_eq!(read("Shai Gilgeous Alexander"), ["Shai Gilgeous-Alexander"]);
        assert_eq!(read("giants"), ["New York Giants", "San Francisco Giants"]);
    }
}
