//! Posts that may be used again.

use chrono::{DateTime, Utc};
use perch_jobs::PersonaName;
use perch_store::{StoreError, query_as};
use sqlx::FromRow;

use super::StockTable;

/// A published post that is to be said in other words.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct EvergreenPost {
    /// Its number.
    pub id: i64,
    /// Its text.
    #[sqlx(rename = "content")]
    pub text: String,
    /// Its topic.
    #[sqlx(rename = "category")]
    pub topic: Option<String>,
}

impl StockTable<'_> {
    /// Posts of a persona that were last used before `before`, in their own words or in others, and are not on their way again. The one
    /// that was used longest ago comes first.
    pub async fn evergreen(
        &self,
        persona: &PersonaName,
        before: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<EvergreenPost>, StoreError> {
        query_as!(
            "select p.id, p.content, p.category
             from personas.posts p
             left join lateral (
                 select max(greatest(q.created_at, q.published_at)) as tried_at,
                        bool_or(q.state in ('drafted', 'in_review', 'ready', 'reserved')) as is_on_its_way
                 from personas.posts q where q.environment = p.environment and q.evergreen_of = p.id
             ) again on true
             where p.environment = $1 and p.bot_id = $2 and p.state = 'published' and p.evergreen_of is null
               and greatest(p.published_at, again.tried_at) < $3 and again.is_on_its_way is not true
             order by greatest(p.published_at, again.tried_at), p.id limit $4",
            self.0.env().as_str(),
            persona.as_str(),
            before,
            i64::from(limit)
        )
        .fetch_all(self.0.pool())
        .await
        .map_err(StoreError::on("look for posts to use again"))
    }
}
