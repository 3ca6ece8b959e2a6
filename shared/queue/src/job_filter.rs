//! The job filter that the HTTP API, the command line, the engine and the history share.

use chrono::{DateTime, Utc};
use perch_base::PointInTime;
use perch_job::{JobId, JobKind, JobState, QueueName};
use serde::Deserialize;

use crate::{JobView, request::parsed};

/// Which jobs. A field that is left out does not filter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[cfg_attr(feature = "clap", derive(clap::Args))]
pub struct JobFilter {
    /// Only of this queue; may be given several times.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", param(value_type = Vec<String>))]
    #[cfg_attr(feature = "clap", arg(long))]
    pub queue: Vec<QueueName>,
    /// Only in this state. Default: jobs that are not finished: running, waiting, delayed, dead.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", param(inline))]
    #[cfg_attr(feature = "clap", arg(long, value_enum, hide_possible_values = false))]
    pub state: Option<JobState>,
    /// Only of this kind.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", param(value_type = Option<String>))]
    #[cfg_attr(feature = "clap", arg(long))]
    pub kind: Option<JobKind>,
    /// Only of this group.
    #[serde(default)]
    #[cfg_attr(feature = "clap", arg(long))]
    pub group: Option<String>,
    /// Only jobs that the handler of this job enqueued.
    #[serde(default, deserialize_with = "parsed")]
    #[cfg_attr(feature = "openapi", param(value_type = Option<String>, pattern = "^[0-7][0-9A-HJKMNP-TV-Z]{25}$"))]
    #[cfg_attr(feature = "clap", arg(long, value_name = "ID", value_parser = any_case))]
    pub parent: Option<JobId>,
    /// Only jobs whose last error contains this text, ignoring case.
    #[serde(default)]
    #[cfg_attr(feature = "clap", arg(long, value_name = "TEXT"))]
    pub error: Option<String>,
    /// Only jobs enqueued at this time or later: how long ago (10m, 7d), a day, or a time with its zone.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", param(value_type = Option<String>, example = "7d"))]
    #[cfg_attr(feature = "clap", arg(long, value_name = "TIME"))]
    pub since: Option<PointInTime>,
    /// Only jobs enqueued before this time.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", param(value_type = Option<String>, example = "2026-03-01T09:00:00Z"))]
    #[cfg_attr(feature = "clap", arg(long, value_name = "TIME"))]
    pub until: Option<PointInTime>,
}

/// A job id in upper or lower case.
#[cfg(feature = "clap")]
fn any_case(text: &str) -> Result<JobId, String> {
    text.to_ascii_uppercase().parse().map_err(|error: perch_job::InvalidName| error.to_string())
}

impl JobFilter {
    /// Whether a job that is in the right queue and state matches the rest of the filter. A job whose envelope cannot be read has
    /// no kind, group or parent.
    pub fn fits(&self, job: &JobView, now: DateTime<Utc>) -> bool {
        let made = job.id.created_at();
        self.since.is_none_or(|since| made >= since.from(now))
            && self.until.is_none_or(|until| made < until.from(now))
            && self.error.as_ref().is_none_or(|text| job.last_error().to_lowercase().contains(&text.to_lowercase()))
            && self.fits_envelope(job)
    }

    fn fits_envelope(&self, job: &JobView) -> bool {
        if self.kind.is_none() && self.group.is_none() && self.parent.is_none() {
            return true;
        }
        job.salvaged().is_some_and(|envelope| {
            self.kind.as_ref().is_none_or(|kind| envelope.kind == *kind)
                && self.group.as_ref().is_none_or(|group| envelope.group.as_ref() == Some(group))
                && self.parent.is_none_or(|parent| envelope.parent == Some(parent))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EventData;

    #[test]
    fn a_job_is_meant_when_everything_that_was_asked_for_fits() {
        let now = Utc::now();
        let parent = JobId::at(now);
        let job = JobView {
            id: JobId::at(now - chrono::TimeDelta::hours(1)),
            queue: QueueName::from_static("extraction"),
            state: JobState::Delayed,
            due: None,
            lease_ends: None,
            worker: None,
            attempts: 1,
            cancelling: false,
            unknown_kind_since: None,
            errors: vec![EventData { error: Some("X answered 503".into()), ..EventData::default() }],
            envelope: format!(r#"{{"kind":"poll_account","max":3,"group":"a","parent":"{parent}","payload":{{}}}}"#),
        };
        let when = |text: &str| Some(text.parse().expect("a moment"));
        let any = JobFilter::default;
        let fits = JobFilter {
            kind: Some(JobKind::from_static("poll_account")),
            group: Some("a".into()),
            parent: Some(parent),
            error: Some("x ANSWERED".into()),
            since: when("2h"),
            until: when("30m"),
            ..any()
        };
        assert!(fits.fits(&job, now) && any().fits(&job, now));
        for one_off in [
            JobFilter { kind: Some(JobKind::from_static("publish_post")), ..any() },
            JobFilter { group: Some("b".into()), ..any() },
            JobFilter { parent: Some(job.id), ..any() },
            JobFilter { error: Some("429".into()), ..any() },
            JobFilter { since: when("30m"), ..any() },
            JobFilter { until: when("2h"), ..any() },
        ] {
            assert!(!one_off.fits(&job, now), "{one_off:?}");
        }
        let damaged = JobView { envelope: "{".into(), ..job };
        assert!(any().fits(&damaged, now) && !fits.fits(&damaged, now));
    }
}
