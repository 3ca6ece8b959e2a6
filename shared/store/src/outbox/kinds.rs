//! The kinds of jobs, as stored for `perch_enqueue`.

use perch_jobs::JobType;
use serde::Serialize;

use crate::sql;

/// The part of a kind that SQL can check a request against.
#[derive(Serialize)]
pub(super) struct KindRow {
    kind: String,
    queue: String,
    max_attempts: u32,
    required: Vec<String>,
    allowed: Option<Vec<String>>,
}

impl KindRow {
    pub fn of(job_type: &JobType) -> Self {
        let schema = job_type.schema();
        let schema = schema.as_value();
        let required = schema["required"].as_array().into_iter().flatten();
        let closed = schema["additionalProperties"] == serde_json::Value::Bool(false);
        let names = || schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
        Self {
            kind: job_type.kind.to_string(),
            queue: job_type.queue.to_string(),
            max_attempts: job_type.retry.max_attempts,
            required: required.filter_map(|name| name.as_str().map(str::to_owned)).collect(),
            allowed: closed.then(names),
        }
    }
}

pub(super) const REGISTER: &str = sql!(
    4,
    "
    with given as (
        select kind, queue, max_attempts, required, allowed
        from jsonb_to_recordset($2::jsonb)
             as r(kind text, queue text, max_attempts integer, required text[], allowed text[])
    ), gone as (
        delete from job_kinds where environment = $1 and kind not in (select kind from given)
    )
    insert into job_kinds (environment, kind, queue, max_attempts, required, allowed, max_payload_bytes, max_ahead)
    select $1, kind, queue, max_attempts, required, allowed, $3, $4 * interval '1 second' from given
    on conflict (environment, kind) do update set
        queue = excluded.queue, max_attempts = excluded.max_attempts, required = excluded.required,
        allowed = excluded.allowed, max_payload_bytes = excluded.max_payload_bytes, max_ahead = excluded.max_ahead"
);
