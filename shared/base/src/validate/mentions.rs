use perch_job::AccountId;

use super::{DAY, MINUTE, SECOND};
use crate::{
    check::Check,
    settings::{FileSettings, MentionsSettings},
};

pub(super) fn mentions(check: &mut Check, settings: &FileSettings) {
    let mentions = &settings.mentions;
    accounts(check, mentions, settings);
    check.duration("mentions.interval", mentions.interval, SECOND..=DAY);
    check.range("mentions.page", mentions.page, 5..=100);
    check.range("mentions.pages", mentions.pages, 1..=8);
    check.duration("mentions.max_age", mentions.max_age, MINUTE..=30 * DAY);
    check.range("mentions.replies_per_conversation", mentions.replies_per_conversation, 1..=1_000);
    check.range("mentions.replies_per_user_per_day", mentions.replies_per_user_per_day, 1..=1_000);
    check.range("mentions.context", mentions.context, 0..=10);
    if mentions.persona.trim().is_empty() && mentions.persona_file.trim().is_empty() {
        check.refuse("mentions.persona", "is empty, and so is mentions.persona_file", "a text, or a file with one");
    }
    check.range("mentions.temperature", mentions.temperature, 0.0..=2.0);
    check.range("mentions.max_tokens", mentions.max_tokens, 16..=4_000);
    check.duration("mentions.review_expires", mentions.review_expires, MINUTE..=30 * DAY);
    lists(check, mentions);
}

fn accounts(check: &mut Check, mentions: &MentionsSettings, settings: &FileSettings) {
    for (at, account) in mentions.accounts.iter().enumerate() {
        let key = format!("mentions.accounts.{at}");
        if !settings.x.accounts.contains_key(account) {
            let known: Vec<&str> = settings.x.accounts.keys().map(AccountId::as_str).collect();
            check.refuse(
                key,
                format!("is {:?}, which [x.accounts] does not have", account.as_str()),
                if known.is_empty() { "an account, once there is one".into() } else { known.join(", ") },
            );
        } else if mentions.accounts[..at].contains(account) {
            check.refuse(key, format!("is {:?} a second time", account.as_str()), "each account once");
        }
    }
}

fn lists(check: &mut Check, mentions: &MentionsSettings) {
    let phrases = [("banned_topics", &mentions.banned_topics), ("crisis_words", &mentions.crisis_words)];
    for (name, list) in phrases {
        for (at, phrase) in list.iter().enumerate() {
            let letters = phrase.chars().filter(|c| c.is_alphanumeric()).count();
            let braces_match = phrase.matches('{').count() == phrase.matches('}').count();
            if letters < 2 || !braces_match {
                check.refuse(
                    format!("mentions.{name}.{at}"),
                    format!("is {phrase:?}"),
                    "a word or phrase of at least two letters; {a|b} stands for either of its parts",
                );
            }
        }
    }
    for (at, host) in mentions.allowed_hosts.iter().enumerate() {
        let fits = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-');
        if !host.contains('.') || !host.chars().all(fits) {
            check.refuse(format!("mentions.allowed_hosts.{at}"), format!("is {host:?}"), "a host, such as example.com");
        }
    }
    for (at, user) in mentions.blocked_users.iter().enumerate() {
        let is_id = (1..=19).contains(&user.len()) && user.bytes().all(|b| b.is_ascii_digit());
        if !is_id {
            check.handle(format!("mentions.blocked_users.{at}"), user);
        }
    }
}
