use perch_base::{ConfigSchema, Settings};
use perch_bot::{Bot, BotError, Platform};
use perch_jobs::{JobTypes, PollMentions, ReplyToMention, mentions_types};
use perch_publishing::Origin;
use perch_queue::worker::{Deps, Handlers};
use perch_safety::Rules;

use crate::{Mentions, MentionsSettings, Replies, poll_mentions, reply_to_mention};

/// The bot that answers mentions.
#[derive(Debug, Clone, Copy)]
pub struct MentionsBot;

impl Bot for MentionsBot {
    fn name(&self) -> &'static str {
        "mentions"
    }

    fn job_types(&self, types: JobTypes) -> JobTypes {
        mentions_types(types)
    }

    fn settings(&self, schema: ConfigSchema) -> ConfigSchema {
        schema.with::<MentionsSettings>()
    }

    fn guard_rules(&self, settings: &Settings) -> Result<Rules, BotError> {
        Ok(settings.sections.get::<MentionsSettings>()?.rules())
    }

    fn origins(&self) -> Vec<Box<dyn Origin>> {
        vec![Box::new(Replies)]
    }

    fn handlers(&self, handlers: Handlers) -> Handlers {
        handlers.on::<PollMentions, _, _>(poll_mentions).on::<ReplyToMention, _, _>(reply_to_mention)
    }

    fn deps(&self, platform: &Platform, deps: Deps) -> Result<Deps, BotError> {
        let Platform { settings, client, store, clients, guard } = platform;
        Ok(deps.with(Mentions::new(settings, clients.clone(), guard.clone(), store, client)?))
    }
}
