//! What models cost a persona, whichever bot asked them.

use perch_jobs::PersonaName;
use perch_store::{StoreError, query, query_scalar};

use super::{Persona, PersonaTable};

impl PersonaTable<'_> {
    /// Adds to what models have cost a persona today (UTC), in USD.
    pub async fn spent(&self, name: &PersonaName, usd: f64) -> Result<(), StoreError> {
        query!(
            "insert into persona_costs as c (environment, persona, day, usd)
             values ($1, $2, (clock_timestamp() at time zone 'utc')::date, $3)
             on conflict (environment, persona) do update
                 set usd = excluded.usd + case when c.day = excluded.day then c.usd else 0 end, day = excluded.day",
            self.0.env().as_str(),
            name.as_str(),
            usd
        )
        .execute(self.0.pool())
        .await
        .map(|_| ())
        .map_err(StoreError::on("note what models cost a persona"))
    }

    /// Whether models have cost a persona as much today (UTC) as they may.
    pub async fn is_over_budget(&self, persona: &Persona) -> Result<bool, StoreError> {
        let Some(most) = persona.spec.usd_per_day else { return Ok(false) };
        Ok(self.spent_today(&persona.name).await? >= most)
    }

    /// What models have cost a persona today (UTC), in USD.
    pub async fn spent_today(&self, name: &PersonaName) -> Result<f64, StoreError> {
        let usd: Option<f64> = query_scalar!(
            "select usd from persona_costs
             where environment = $1 and persona = $2 and day = (clock_timestamp() at time zone 'utc')::date",
            self.0.env().as_str(),
            name.as_str()
        )
        .fetch_optional(self.0.pool())
        .await
        .map_err(StoreError::on("read what models cost a persona"))?;
        Ok(usd.unwrap_or(0.0))
    }
}
