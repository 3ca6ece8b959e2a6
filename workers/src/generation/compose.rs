//! Having a reply written, and looking at it.

use perch_base::clock;
use perch_jobs::{AccountId, Mention, PostId};
use perch_queue::Fail;
use perch_safety::{Code, Reason, Verdict};
use perch_store::{MentionRecord, StoreError, Written};

use super::{
    ask::{Asked, ask},
    course::{is_repeated, is_worth_another, with_repetition},
    prompt::{self, Earlier, Voice},
};
use crate::Services;

/// Times that the model is asked.
const TIMES: usize = 2;
/// Replies that a new one is compared with, and for how many days.
const COMPARED: u32 = 100;
const COMPARED_DAYS: i64 = 1;

/// A reply, and what the guard says of it.
pub(super) struct Composed {
    pub(super) written: Written,
    pub(super) verdict: Verdict,
}

/// Has the model write a reply; once more, with the reason, when the guard refuses the first.
pub(super) async fn compose(services: &Services, record: &MentionRecord) -> Result<Composed, Fail> {
    let settings = &services.settings.mentions;
    let earlier = earlier(services, &record.mention).await;
    let voice = Voice {
        persona: &services.replier.persona,
        temperature: settings.temperature,
        max_tokens: settings.max_tokens,
    };
    let mut request = prompt::question(&voice, &earlier, &record.mention.text);
    let lately = lately(services, &record.account).await?;
    let mut written = Written::default();
    let mut time = 1;
    loop {
        let verdict = match ask(services, &request).await? {
            Asked::Said(completion) => {
                written.model = Some(completion.model);
                written.prompt_tokens += completion.usage.prompt_tokens;
                written.completion_tokens += completion.usage.completion_tokens;
                let (text, verdict) = judged(services, record, &completion.text, &lately);
                written.text = Some(text);
                verdict
            }
            Asked::CutOff => Verdict::Refuse(vec![Reason::whole(Code::TooLong)]),
            Asked::Declined => {
                let verdict = Verdict::Review(vec![Reason::whole(Code::Declined)]);
                return Ok(Composed { written: Written { text: None, ..written }, verdict });
            }
        };
        if time == TIMES || !is_worth_another(&verdict) {
            return Ok(Composed { written, verdict });
        }
        metrics::counter!("perch_replies_objected_total", "account" => record.account.to_string()).increment(1);
        let reply = written.text.as_deref().unwrap_or_default();
        request.messages.extend(prompt::objection(reply, verdict.reasons()));
        time += 1;
    }
}

/// The answer as it would go out, and what the guard says of it.
fn judged(services: &Services, record: &MentionRecord, answer: &str, lately: &[String]) -> (String, Verdict) {
    let guard = &services.replier.guard;
    // X names whoever is answered by itself.
    let text = guard.without_ways_out(prompt::bare(answer), None);
    let verdict = guard.text(&text, record.author.as_deref());
    let repeated = is_repeated(&text, lately);
    (text, with_repetition(verdict, repeated))
}

async fn lately(services: &Services, account: &AccountId) -> Result<Vec<String>, StoreError> {
    let since = clock::now() - chrono::TimeDelta::days(COMPARED_DAYS);
    services.store.mentions().latest_replies(account, since, COMPARED).await
}

/// The posts before a mention, oldest first. A reply without them is better than none, so whatever goes wrong here is only
/// noted.
async fn earlier(services: &Services, mention: &Mention) -> Vec<Earlier> {
    let mut posts = Vec::new();
    let mut next = mention.referenced_tweet_id.clone();
    while let Some(id) = next.take()
        && posts.len() < usize::from(services.settings.mentions.context)
    {
        match read_two(services, &id).await {
            Ok((found, before)) => {
                posts.extend(found);
                next = before;
            }
            Err(error) => {
                tracing::info!(mention = %mention.id, %error, "the conversation cannot be read; the reply goes without it");
                metrics::counter!("perch_conversations_unread_total").increment(1);
            }
        }
    }
    posts.truncate(usize::from(services.settings.mentions.context));
    posts.reverse();
    posts
}

/// A post and the one before it, which comes along with it; and the one before those.
async fn read_two(services: &Services, id: &PostId) -> Result<(Vec<Earlier>, Option<PostId>), perch_clients::XError> {
    let found = services.x.posts_in_full(std::slice::from_ref(id)).await?;
    let shown = |post: &perch_clients::x::XPost| {
        let author = post.author_id.as_deref().and_then(|id| found.includes.user(id));
        Earlier {
            author: author.map_or_else(|| "somebody".to_owned(), |user| format!("@{}", user.username)),
            text: perch_clients::x::unescape(post.full_text()).into_owned(),
        }
    };
    let Some(post) = found.data.first() else { return Ok((Vec::new(), None)) };
    let mut posts = vec![shown(post)];
    let before = post.replied_to().and_then(|id| found.includes.post(id));
    posts.extend(before.map(shown));
    let next = match before {
        Some(before) => before.replied_to().cloned(),
        None => None,
    };
    Ok((posts, next))
}
