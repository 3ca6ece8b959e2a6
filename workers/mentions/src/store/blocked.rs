//! Users who are not answered.

use perch_jobs::AccountId;
use perch_store::{StoreError, query, query_as, query_scalar, row::readable_rows};

use super::{BlockedUser, MentionTable, plain};

impl MentionTable<'_> {
    /// Blocks a user from being answered, also by id where a mention has shown the id of the handle. False when the user was blocked
    /// already.
    pub async fn block(
        &self,
        account: &AccountId,
        who: &str,
        reason: Option<&str>,
        by: &str,
    ) -> Result<bool, StoreError> {
        query!(
            "insert into mentions.blocked_users (environment, account, who, reason, blocked_by, author_id)
             values ($1, $2, $3, $4, $5,
                     (select author_id from mentions.mentions
                      where environment = $1 and account = $2 and lower(author) = $3
                      order by created_at desc limit 1))
             on conflict (environment, account, who) do nothing",
            self.0.env().as_str(),
            account.as_str(),
            who.to_lowercase(),
            reason.map(plain),
            by
        )
        .execute(self.0.pool())
        .await
        .map(|done| done.rows_affected() > 0)
        .map_err(StoreError::on("block a user"))
    }

    /// Unblocks a user, named by handle or id. False when the user was not blocked.
    pub async fn unblock(&self, account: &AccountId, who: &str) -> Result<bool, StoreError> {
        query!(
            "delete from mentions.blocked_users where environment = $1 and account = $2 and (who = $3 or author_id = $3)",
            self.0.env().as_str(),
            account.as_str(),
            who.to_lowercase()
        )
        .execute(self.0.pool())
        .await
        .map(|done| done.rows_affected() > 0)
        .map_err(StoreError::on("unblock a user"))
    }

    /// The users that operators blocked.
    pub async fn blocked(&self, account: &AccountId) -> Result<Vec<BlockedUser>, StoreError> {
        readable_rows(
            "read blocked users",
            query_as!(
                "select who, author_id, reason, blocked_by, blocked_at from mentions.blocked_users
             where environment = $1 and account = $2 order by blocked_at desc, who limit 10000",
                self.0.env().as_str(),
                account.as_str()
            )
            .fetch_all(self.0.pool()),
        )
        .await
    }

    /// Notes the ids of users who were blocked by handle, as mentions have shown them: handle and id of each.
    pub async fn learn_blocked(&self, account: &AccountId, users: &[(&str, &str)]) -> Result<(), StoreError> {
        if users.is_empty() {
            return Ok(());
        }
        query!(
            "update mentions.blocked_users b set author_id = r.id
             from unnest($3::text[], $4::text[]) as r(handle, id)
             where b.environment = $1 and b.account = $2 and b.who = lower(r.handle) and b.author_id is null",
            self.0.env().as_str(),
            account.as_str(),
            users.iter().map(|(handle, _)| *handle).collect::<Vec<_>>(),
            users.iter().map(|(_, id)| *id).collect::<Vec<_>>()
        )
        .execute(self.0.pool())
        .await
        .map(|_| ())
        .map_err(StoreError::on("note the id of a blocked user"))
    }

    /// The handle under which a user was last read; none when all mentions of the user came from other services.
    pub async fn handle_of(&self, account: &AccountId, author_id: &str) -> Result<Option<String>, StoreError> {
        query_scalar!(
            "select author from mentions.mentions
             where environment = $1 and account = $2 and author_id = $3 and author is not null
             order by created_at desc limit 1",
            self.0.env().as_str(),
            account.as_str(),
            author_id
        )
        .fetch_optional(self.0.pool())
        .await
        .map_err(StoreError::on("look for a handle"))
    }
}
