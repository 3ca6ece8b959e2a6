//! Whether a pick is new, and the record of it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use perch_base::clock;
use perch_jobs::{Answer, Post};
use perch_picks::{
    normal::{parlay_terms, terms},
    occasion::{occasion, parlay_occasion},
};
use perch_queue::Fail;
use perch_store::{Family, HotRecord, PickBody, PickRecord, PickSighting, Recorded as _, StoreError};

use crate::Services;

/// How long a mark in Redis is kept: longer than the same words mean the same game. Of futures Postgres knows.
const MARKED_FOR: Duration = Duration::from_secs(7 * 86_400);

/// What a post's pick is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Sight {
    /// This post had it first; here it is as it was recorded.
    New(Box<PickRecord>),
    /// Another post had it before.
    Again,
}

/// The picks of an answer, each bet once.
pub(super) fn bodies(answer: Answer) -> Vec<PickBody> {
    let all = match answer {
        Answer::Nothing(()) => Vec::new(),
        Answer::One(pick) => vec![PickBody::Single(pick)],
        Answer::Several(picks) => picks.into_iter().map(PickBody::Single).collect(),
        Answer::Parlay(parlay) => vec![PickBody::Parlay(parlay)],
    };
    let mut seen = std::collections::BTreeSet::new();
    all.into_iter().filter(|pick| seen.insert(pick.key())).collect()
}

/// Records a pick of a post and tells whether it is new.
///
/// The post that had it first stays the first when its job runs again, and what was recorded then stays what counts,
/// even if the model words it otherwise the second time.
pub(super) async fn sight(services: &Services, post: &Post, pick: PickBody) -> Result<Sight, Fail> {
    let (terms, occasion) = match &pick {
        PickBody::Single(pick) => {
            let terms = terms(pick, post);
            let occasion = occasion(pick, post.created_at, terms.starts_at);
            (terms, occasion)
        }
        PickBody::Parlay(parlay) => {
            let terms = parlay_terms(parlay, post);
            let occasion = parlay_occasion(parlay, post.created_at, terms.starts_at);
            (terms, occasion)
        }
    };
    // A bet on a part of the game is another one.
    let occasion = terms.part.as_ref().map_or(occasion.clone(), |part| format!("{occasion}, {part}"));
    let key = pick.key_on(&occasion);
    let first = services.marks.remember_pick(&key, post.id.as_str(), MARKED_FOR).await?;
    if !first || known_before(services, post, &key).await? {
        let sighting = sighting(post, &pick, (key, terms.units), clock::now());
        services.hot.put(&[HotRecord::of(&sighting)?]).await?;
        return Ok(Sight::Again);
    }
    let record =
        PickRecord::new(pick, post.id.clone(), post.author.clone(), clock::now()).on(&occasion).with_terms(terms);
    if let Some(copy) = services.hot.get(Family::Picks, &record.key()).await?
        && let Ok(recorded) = serde_json::from_value(copy.value)
    {
        return Ok(Sight::New(Box::new(recorded)));
    }
    services.hot.put(&[HotRecord::of(&record)?.kept_for(services.settings.picks.processed_ttl)]).await?;
    Ok(Sight::New(Box::new(record)))
}

/// Whether Postgres knows the bet from another post, for when the marks in Redis were lost. While Postgres is away the
/// marks alone decide.
async fn known_before(services: &Services, post: &Post, key: &str) -> Result<bool, StoreError> {
    match services.store.picks().get(key).await {
        Ok(known) => Ok(known.is_some_and(|known| known.source_post != post.id)),
        Err(error) if error.is_unavailable() => {
            tracing::warn!(%error, "whether Postgres knows the pick cannot be asked; the marks decide");
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

fn sighting(
    post: &Post,
    pick: &PickBody,
    (pick_key, units): (String, Option<f64>),
    seen_at: DateTime<Utc>,
) -> PickSighting {
    let odds = match pick {
        PickBody::Single(pick) => pick.odds.clone(),
        PickBody::Parlay(parlay) => parlay.odds.clone(),
    };
    PickSighting { pick_key, post_id: post.id.clone(), author: post.author.clone(), odds, units, seen_at }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAKERS: &str = r#"{"type":"spread","sport":"nba","event":null,"selection":"Los Angeles Lakers","line":-3.5,"side":null,"player":null,"stat":null,"odds":"-110","units":2}"#;

    fn answer(text: &str) -> Answer {
        Answer::parse(text).expect("a valid answer")
    }

    #[test]
    fn a_bet_that_a_post_names_twice_is_one_pick_and_a_parlay_is_one() {
        let dearer = LAKERS.replace("-110", "-120");
        assert_eq!(bodies(answer(&format!("[{LAKERS},{dearer}]"))).len(), 1);
        let celtics = LAKERS.replace("Los Angeles Lakers", "Boston Celtics");
        assert_eq!(bodies(answer(&format!("[{LAKERS},{celtics}]"))).len(), 2);
        let parlay = format!(r#"{{"type":"parlay","picks":[{LAKERS},{celtics}],"odds":"+264"}}"#);
        assert!(matches!(bodies(answer(&parlay)).as_slice(), [PickBody::Parlay(_)]));
        assert!(bodies(answer("null")).is_empty());
    }
}
