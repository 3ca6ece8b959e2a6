use std::time::Duration;

use super::DAY;
use crate::{
    check::Check,
    settings::{FileSettings, PostingSettings},
};

/// The limits of X are lower: 100 posts of an account in 15 minutes.
const MOST_A_DAY: u32 = 10_000;

pub(super) fn posting(check: &mut Check, settings: &FileSettings) {
    let PostingSettings { min_interval, per_day, replies_per_day, retweets_per_day, .. } = settings.posting;
    let counts = [Some(per_day), Some(replies_per_day), Some(retweets_per_day)];
    limits(check, "posting", Some(min_interval), counts);
    for (account, own) in &settings.x.accounts {
        let key = format!("x.accounts.{account}.posting");
        let own = &own.posting;
        limits(check, &key, own.min_interval, [own.per_day, own.replies_per_day, own.retweets_per_day]);
    }
}

fn limits(check: &mut Check, key: &str, min_interval: Option<Duration>, counts: [Option<u32>; 3]) {
    if let Some(interval) = min_interval {
        check.duration(format!("{key}.min_interval"), interval, Duration::ZERO..=DAY);
    }
    for (name, count) in ["per_day", "replies_per_day", "retweets_per_day"].into_iter().zip(counts) {
        if let Some(count) = count {
            check.range(format!("{key}.{name}"), count, 0..=MOST_A_DAY);
        }
    }
}
