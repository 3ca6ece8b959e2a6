//! How the errors of X end an attempt.

use perch_clients::XError;
use perch_queue::Fail;

/// Rate limits snooze a job until the window resets and do not consume an attempt. Every other error ends the attempt by its own
/// disposition.
pub fn x_failed(error: XError) -> Fail {
    match error {
        XError::RateLimited { after, .. } => Fail::Snooze(after, error.to_string()),
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_rate_limit_snoozes_the_job() {
        let limited = XError::RateLimited { call: "GET /2/tweets".into(), after: Duration::from_secs(7) };
        assert!(matches!(x_failed(limited), Fail::Snooze(after, _) if after == Duration::from_secs(7)));
        let what = "the daily budget of 10.00 USD".to_owned();
        let spent = XError::OverBudget { call: "GET /2/tweets".into(), what, after: Duration::from_secs(7) };
        assert!(matches!(x_failed(spent), Fail::Snooze(_, why) if why.contains("10.00 USD")));
    }

    #[test]
    fn other_errors_keep_their_disposition() {
        let down = XError::Server { call: "GET /2/tweets".into(), status: 503, retry_after: None };
        assert!(matches!(x_failed(down), Fail::Retry(_)));
    }
}
