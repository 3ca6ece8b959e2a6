use perch_base::Paging;
use perch_jobs::PollAccount;
use perch_sandbox::{Endpoint, Fault, FaultKind};
use perch_store::{ActionKind, ActionState, JobState, SpendSum};
use serde_json::json;

use crate::world::{CELTICS, LAKERS, SALLY, World, eventually};

async fn sums(world: &World) -> Vec<SpendSum> {
    world.sync().await;
    let now = chrono::Utc::now();
    let hour = chrono::TimeDelta::hours(1);
    world.store.spend().sums(now - hour, now + hour, &Paging::default()).await.expect("Postgres answers").2.items
}

fn micros(sums: &[SpendSum], kind: &str) -> Option<i64> {
    sums.iter().filter(|sum| sum.kind == kind).map(|sum| sum.micros).reduce(|a, b| a + b)
}

/// Two providers at the sandbox; only the first of them fails as a fault says.
fn two_providers(base_url: &str) -> [(&'static str, String); 3] {
    [
        ("OPENAI_API_KEY", "sandbox".to_owned()),
        ("PERCH__MODELS__PROVIDERS__OPENAI__BASE_URL", base_url.to_owned()),
        ("PERCH__PICKS__PROVIDERS", "openai, grok".to_owned()),
    ]
}

#[tokio::test]
async fn every_call_is_written_down_with_its_cost_and_whom_it_was_for() {
    let world = World::with(&[("PERCH__PICKS__RETWEET", "true"), ("PERCH__X__PLAN", "self_serve")]).await;
    world.x.publish(SALLY, LAKERS);
    world.done(&PollAccount { username: SALLY.to_owned() }).await;
    eventually("a post of its own and a retweet", || async { (world.x.made().len() == 2).then_some(()) }).await;
    let spent = eventually("all of it is written down", || async {
        let spent = sums(&world).await;
        (micros(&spent, "post").is_some() && micros(&spent, "retweet").is_some()).then_some(spent)
    })
    .await;
    assert_eq!(micros(&spent, "user_read"), Some(2 * 10_000), "the watched account, and the bot's own");
    assert_eq!(micros(&spent, "post_read"), Some(5_000), "one post was in the answer, ten were set aside");
    assert_eq!((micros(&spent, "post"), micros(&spent, "retweet")), (Some(15_000), Some(15_000)));
    let model = spent.iter().find(|sum| sum.kind == "model").expect("a model was asked");
    assert_eq!((model.provider.as_str(), model.bot.as_str(), model.account.as_str()), ("grok", "picks", SALLY));
    assert!(model.micros > 0 && model.tokens > 0);
    assert!(spent.iter().all(|sum| sum.bot == "picks"), "{spent:?}");
}

#[tokio::test]
async fn on_a_self_serve_plan_a_comment_that_nobody_asked_for_becomes_a_post_of_its_own_that_says_why() {
    let world = World::with(&[("PERCH__PICKS__RETWEET", "true"), ("PERCH__X__PLAN", "self_serve")]).await;
    let plain = world.written(SALLY, LAKERS);
    let asked = world.written(SALLY, "What do you say, @perch_bot? Celtics ML -145, 1.5 units");
    world.done(&plain).await;
    world.done(&asked).await;
    eventually("two texts and two retweets", || async { (world.x.made().len() == 4).then_some(()) }).await;
    let made = world.x.made();
    let own = made.iter().find(|post| post.text.starts_with("Los Angeles Lakers")).expect("a post of its own");
    assert_eq!(
        (own.reply_to.as_deref(), own.text.as_str()),
        (None, "Los Angeles Lakers -3.5 (-110) 2u, seen at sharp_sally")
    );
    let comment = made.iter().find(|post| post.text.starts_with("Boston Celtics")).expect("a comment");
    assert_eq!(comment.reply_to.as_deref(), Some(asked.post.id.as_str()));
    let retweets = made.iter().filter(|post| post.retweet_of.is_some()).count();
    assert_eq!(retweets, 2);
    let actions = eventually("four actions are recorded", || async {
        world.sync().await;
        let actions = world.store.actions().latest(10).await.expect("Postgres answers");
        let published = actions.iter().filter(|action| action.state == ActionState::Published).count();
        (published == 4).then_some(actions)
    })
    .await;
    assert!(actions.len() == 4 && actions.iter().all(|action| action.subject.is_some()));
    let why = |kind| actions.iter().find(|action| action.kind == kind).and_then(|action| action.why.clone());
    assert!(why(ActionKind::Post).is_some_and(|why| why.contains("self-serve") && why.contains("@perch_bot")));
    assert!(why(ActionKind::Comment).is_some_and(|why| why.contains("mentions @perch_bot")));
}

#[tokio::test]
async fn a_budget_that_is_used_up_holds_jobs_and_loses_none() {
    let budget = "{ daily = 0.0001, monthly = 1.0 }";
    let world = World::with(&[("PERCH__MODELS__PROVIDERS__GROK__BUDGET", budget)]).await;
    let id = world.enqueue(&world.written(SALLY, CELTICS)).await;
    let job = eventually("it is put off", || async {
        world.sync().await;
        let job = world.store.history().job(id).await.expect("Postgres answers")?;
        (job.state == JobState::Delayed).then_some(job)
    })
    .await;
    assert_eq!(world.x.calls(Endpoint::Chat), 0);
    let now = chrono::Utc::now();
    let (until, midnight) = (job.run_at.expect("a time"), perch_store::next_day(now));
    let soonest = (now + chrono::TimeDelta::minutes(14)).min(midnight);
    assert!(until > soonest && until < now + chrono::TimeDelta::minutes(31), "{until}: somebody may raise the budget");
    let attempts = world.store.history().attempts(id).await.expect("Postgres answers");
    let error = attempts[0].error.as_deref().unwrap_or_default();
    assert!(error.contains("the daily budget of 0.0001 USD is less than the "), "{error}");
}

#[tokio::test]
async fn the_rate_of_a_provider_holds_calls_back_and_says_so() {
    let world = World::with(&[("PERCH__MODELS__PROVIDERS__GROK__RATE", r#"{ count = 1, per = "1h" }"#)]).await;
    world.done(&world.written(SALLY, LAKERS)).await;
    let id = world.enqueue(&world.written(SALLY, CELTICS)).await;
    let error = eventually("the second is put off", || async {
        world.sync().await;
        world.store.history().attempts(id).await.expect("Postgres answers").first()?.error.clone()
    })
    .await;
    assert!(error.contains("the rate of 1 calls in 1h is used up"), "{error}");
    assert_eq!(world.x.calls(Endpoint::Chat), 1);
}

#[tokio::test]
async fn reading_from_x_waits_for_its_budget_too() {
    let world = World::with(&[("PERCH__X__BUDGET", "{ daily = 0.02, monthly = 1.0 }")]).await;
    let id = world.enqueue(&PollAccount { username: SALLY.to_owned() }).await;
    eventually("it is put off", || async {
        world.sync().await;
        let job = world.store.history().job(id).await.expect("Postgres answers")?;
        (job.state == JobState::Delayed).then_some(())
    })
    .await;
    assert_eq!((world.x.calls(Endpoint::User), world.x.calls(Endpoint::UserPosts)), (1, 0));
}

#[tokio::test]
async fn a_provider_that_is_down_is_passed_over_within_the_attempt_and_then_rests() {
    let world = World::without_workers(&[]).await;
    let base_url = world.vars["PERCH__MODELS__PROVIDERS__GROK__BASE_URL"].clone();
    // Nobody listens there.
    let nowhere = base_url.replace("/v1", "/nowhere");
    let vars = two_providers(&nowhere);
    let vars: Vec<(&str, &str)> = vars.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let world = world.configured(&vars).work();
    for text in [LAKERS, CELTICS] {
        let ended = world.done(&world.written(SALLY, text)).await;
        assert_eq!((ended.attempts, &ended.result.expect("a result")["new"]), (1, &json!(1)));
    }
    assert_eq!(sums(&world).await.iter().filter(|sum| sum.kind == "model" && sum.provider == "grok").count(), 1);
}

#[tokio::test]
async fn when_every_provider_is_down_for_long_the_rules_read_the_post() {
    let vars = [
        ("PERCH__PICKS__RULES_AFTER", "2"),
        ("PERCH__PICKS__PROVIDERS", "grok"),
        ("PERCH__PICKS__RULES_PUBLISH", "true"),
    ];
    let world = World::with(&vars).await;
    world.x.add_fault(Fault::new(Endpoint::Chat, FaultKind::Unavailable));
    let ended = world.done(&world.written(SALLY, LAKERS)).await;
    let result = ended.result.expect("a result");
    assert_eq!((ended.attempts, &result["model"], &result["new"]), (2, &json!("rules"), &json!(1)));
}
