use perch_job::AccountId;

use crate::{
    Environment, Sections,
    settings::{FileSettings, PostingSettings, Secrets},
};

/// All settings of a process, validated.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The environment, which determines the key prefix.
    pub env: Environment,
    /// The settings from the files and environment variables.
    pub file: FileSettings,
    /// The settings of the bots.
    pub sections: Sections,
    /// The credentials, from environment variables only.
    pub secrets: Secrets,
}

impl std::ops::Deref for Settings {
    type Target = FileSettings;

    fn deref(&self) -> &FileSettings {
        &self.file
    }
}

impl Settings {
    /// What `account` may publish: its own block, with `[posting]` for what it leaves out.
    pub fn posting_of(&self, account: &AccountId) -> PostingSettings {
        let all = &self.file.posting;
        let own = self.file.x.accounts.get(account).map(|settings| settings.posting.clone()).unwrap_or_default();
        PostingSettings {
            min_interval: own.min_interval.unwrap_or(all.min_interval),
            per_day: own.per_day.unwrap_or(all.per_day),
            replies_per_day: own.replies_per_day.unwrap_or(all.replies_per_day),
            retweets_per_day: own.retweets_per_day.unwrap_or(all.retweets_per_day),
            per_three_hours: own.per_three_hours.unwrap_or(all.per_three_hours),
            without_redis_after: all.without_redis_after,
            timezone: own.timezone.unwrap_or(all.timezone),
            quiet: own.quiet.unwrap_or(all.quiet),
            guard: own.guard.unwrap_or(all.guard),
            similar: own.similar.unwrap_or(all.similar),
        }
    }
}
