//! Reads posts of the stock.

use perch_base::{Page, Paging};
use perch_jobs::PersonaName;
use perch_store::{StoreError, query, query_as, row};
use sqlx::Row as _;

use super::{PostState, StockPost, StockTable};

/// Which posts. A field that is not set matches all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StockFilter {
    /// Of this persona.
    pub persona: Option<PersonaName>,
    /// In this state.
    pub state: Option<PostState>,
    /// On this topic.
    pub topic: Option<String>,
}

impl StockTable<'_> {
    /// One post.
    pub async fn get(&self, id: i64) -> Result<Option<StockPost>, StoreError> {
        query_as!("select * from personas.posts where environment = $1 and id = $2", self.0.env().as_str(), id)
            .fetch_optional(self.0.pool())
            .await
            .map_err(StoreError::on("read a post"))
    }

    /// The post with this key of its effect.
    pub async fn of_effect(&self, key: &str) -> Result<Option<StockPost>, StoreError> {
        query_as!("select * from personas.posts where environment = $1 and effect_key = $2", self.0.env().as_str(), key)
            .fetch_optional(self.0.pool())
            .await
            .map_err(StoreError::on("read a post"))
    }

    /// Posts, the latest first, page by page.
    pub async fn list(&self, filter: &StockFilter, paging: &Paging) -> Result<Page<StockPost>, StoreError> {
        const LIST: &str = "stock";
        let doing = "list posts";
        let before: Option<i64> = paging.place(LIST)?;
        let rows = query!(
            "select * from personas.posts
             where environment = $1 and ($2::text is null or bot_id = $2) and ($3::text is null or state = $3)
               and ($4::text is null or category = $4) and ($5::bigint is null or id < $5)
             order by id desc limit $6",
            self.0.env().as_str(),
            filter.persona.as_ref().map(PersonaName::as_str),
            filter.state.map(PostState::as_str),
            &filter.topic,
            before,
            paging.rows()
        )
        .fetch_all(self.0.pool())
        .await
        .map_err(StoreError::on(doing))?;
        row::page(doing, LIST, paging, rows, |row| row.try_get::<i64, _>("id"))
    }
}
