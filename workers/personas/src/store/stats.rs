//! The statistics of personas.

use chrono::{DateTime, Utc};
use perch_base::{Page, Paging};
use perch_jobs::PersonaName;
use perch_store::{
    StoreError, query, query_as,
    row::{self, count, parsed, time_option, unsigned},
};
use serde::Serialize;
use sqlx::{FromRow, Row as _, postgres::PgRow};
use utoipa::ToSchema;

use super::StockTable;

/// The share of slots that a persona is to fill.
const GOAL: f64 = 0.99;

/// The statistics of a persona.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct PersonaStats {
    /// The persona.
    #[schema(value_type = String)]
    pub persona: PersonaName,
    /// Posts that it has published.
    pub total: u64,
    /// Posts that are ready.
    pub remaining: u64,
    /// Posts that wait for a person.
    pub in_review: u64,
    /// When it last posted.
    pub last_post_at: Option<DateTime<Utc>>,
    /// When posts were last added to its stock.
    pub last_replenishment_at: Option<DateTime<Utc>>,
    /// For how many days the ready posts last, at the pace of its schedule. None without a schedule.
    pub days_left: Option<f64>,
    /// Slots of the last 30 days that were filled.
    pub slots_filled: u64,
    /// Slots of the last 30 days that were missed, or whose post failed.
    pub slots_lost: u64,
    /// The share of these slots that were filled. None when there was none.
    pub success_ratio: Option<f64>,
    /// Whether that share reaches the goal of 99 %.
    pub meets_goal: bool,
    /// What models cost for a published post, in USD.
    pub usd_per_post: Option<f64>,
}

impl FromRow<'_, PgRow> for PersonaStats {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let (filled, lost) = (count(row, "slots_filled")?, count(row, "slots_lost")?);
        let (total, usd): (u64, f64) = (count(row, "total_posts")?, row.try_get("generation_cost")?);
        let ratio = (filled + lost > 0).then(|| share(filled, filled + lost));
        Ok(Self {
            persona: parsed(row, "bot_id")?,
            total,
            remaining: count(row, "remaining_posts")?,
            in_review: count(row, "in_review_posts")?,
            last_post_at: time_option(row, "last_post_at")?,
            last_replenishment_at: time_option(row, "last_replenishment_at")?,
            days_left: None,
            slots_filled: filled,
            slots_lost: lost,
            success_ratio: ratio,
            meets_goal: ratio.is_none_or(|ratio| ratio >= GOAL),
            usd_per_post: (total > 0).then(|| usd / share(total, 1)),
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of posts are far below the precision of a float")]
fn share(part: u64, of: u64) -> f64 {
    part as f64 / of as f64
}

impl StockTable<'_> {
    /// The statistics of personas by name, page by page.
    pub async fn stats(&self, paging: &Paging) -> Result<Page<PersonaStats>, StoreError> {
        const LIST: &str = "persona_stats";
        let doing = "read the statistics of personas";
        let after: Option<String> = paging.place(LIST)?;
        let rows = query!(
            "select * from personas.bot_stats where environment = $1 and ($2::text is null or bot_id > $2)
             order by bot_id limit $3",
            self.0.env().as_str(),
            after,
            paging.rows()
        )
        .fetch_all(self.0.pool())
        .await
        .map_err(StoreError::on(doing))?;
        row::page(doing, LIST, paging, rows, |row| row.try_get::<String, _>("bot_id"))
    }

    /// The statistics of one persona.
    pub async fn stats_of(&self, persona: &PersonaName) -> Result<Option<PersonaStats>, StoreError> {
        query_as!(
            "select * from personas.bot_stats where environment = $1 and bot_id = $2",
            self.0.env().as_str(),
            persona.as_str()
        )
        .fetch_optional(self.0.pool())
        .await
        .map_err(StoreError::on("read the statistics of a persona"))
    }

    /// How many posts of a persona were published by topic, and how many are ready.
    pub async fn topics(&self, persona: &PersonaName) -> Result<Vec<(String, u64, u64)>, StoreError> {
        let rows: Vec<(String, i64, i64)> = query_as!(
            "select coalesce(category, '') as topic, count(*) filter (where state = 'published') as published,
                    count(*) filter (where state = 'ready') as ready
             from personas.posts
             where environment = $1 and bot_id = $2 and state in ('published', 'ready') group by 1 order by 1",
            self.0.env().as_str(),
            persona.as_str()
        )
        .fetch_all(self.0.pool())
        .await
        .map_err(StoreError::on("count posts by topic"))?;
        Ok(rows.into_iter().map(|(topic, published, ready)| (topic, unsigned(published), unsigned(ready))).collect())
    }
}
