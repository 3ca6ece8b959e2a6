//! The learning poster, with real workers, servers and the sandbox.

use chrono::{DateTime, TimeDelta, Timelike as _, Utc};
use perch_base::Paging;
use perch_bot_learner::{
    BotChange, CandidateFilter, CandidateState, DecisionFilter, LearnerSpec, LearnerStore as _, LoggedDecision,
    OutcomeState, PolicyState, SlotState,
    policy::{self, Policy},
};
use perch_core::personas::{PersonaChange, PersonaSpec, PersonaStore as _, Topic};
use perch_jobs::{CollectMetrics, PersonaName, ReadAudience, RunLearner, ScoreCandidates, WriteCandidates};
use perch_store::EffectState;
use serde_json::{Value, json};

use crate::{
    mentions::told,
    together::Together,
    world::{World, eventually, main_account},
};

const IDLE: (&str, &str) = ("PERCH__CRON__RUN_LEARNER__ENABLED", "false");
/// Rewards are frozen as soon as a post is measured.
const SOON: (&str, &str) = ("PERCH__LEARNER__REWARD_AGE", "1s");

fn baker() -> PersonaName {
    "baker".parse().expect("a name")
}

/// What a model answers.
fn posts(parts: &[&[&str]]) -> String {
    json!({ "posts": parts.iter().map(|parts| json!({ "parts": parts })).collect::<Vec<_>>() }).to_string()
}

/// Two topics make four arms; each gets one text.
fn four() -> String {
    posts(&[
        &["Rye wants a cold night and a hot stone."],
        &["Why does rye ask for patience before skill?"],
        &["Salt goes in last, and never by eye."],
        &["Who told you that salt can wait until tomorrow?"],
    ])
}

async fn learns(world: &World, spec: &LearnerSpec) {
    let topic = |name: &str| Topic { name: name.into(), weight: 1.0 };
    let persona = PersonaSpec {
        topics: vec![topic("rye"), topic("salt")],
        ..PersonaSpec::new(main_account(), "You are a baker with dry humour.".into())
    };
    let change = world.store.personas().put(&baker(), &persona, Some(0), "ann").await.expect("Postgres answers");
    assert!(matches!(change, PersonaChange::Added(_)), "{change:?}");
    let change = world.store.learner().put_bot(&baker(), spec, Some(0), "ann").await.expect("Postgres answers");
    assert!(matches!(change, BotChange::Added(_)), "{change:?}");
}

async fn run(world: &World) -> Value {
    world.done(&RunLearner {}).await.result.expect("a result")
}

/// Moves the first planned slot of the bot to this minute, and takes the others away.
async fn due_now(world: &World) -> DateTime<Utc> {
    let slot_at = DateTime::from_timestamp(Utc::now().timestamp() / 60 * 60, 0).expect("a time");
    let raw = world.database().raw();
    sqlx::query("delete from learner.slots where slot_at > (select min(slot_at) from learner.slots)")
        .execute(&raw)
        .await
        .expect("Postgres answers");
    sqlx::query("update learner.slots set slot_at = $1").bind(slot_at).execute(&raw).await.expect("Postgres answers");
    slot_at
}

async fn write(world: &World, slot_at: DateTime<Utc>) -> Value {
    world.done(&WriteCandidates { bot: baker(), slot_at }).await.result.expect("a result")
}

async fn score(world: &World, slot_at: DateTime<Utc>) -> Value {
    world.done(&ScoreCandidates { bot: baker(), slot_at }).await.result.expect("a result")
}

async fn decisions(world: &World) -> Vec<LoggedDecision> {
    let page = world.store.learner().decisions(&DecisionFilter::default(), &Paging::first(100)).await;
    page.expect("Postgres answers").items
}

async fn published(world: &World) -> LoggedDecision {
    eventually("the post is published", || async {
        run(world).await;
        decisions(world).await.into_iter().find(|decision| decision.state == OutcomeState::Published)
    })
    .await
}

async fn one_slot(world: &World) -> DateTime<Utc> {
    // Hours that are far from now, so that the run has nothing written yet.
    let hours = (6..18).map(|ahead| u8::try_from((Utc::now().hour() + ahead) % 24).expect("an hour")).collect();
    learns(world, &LearnerSpec { hours, ..LearnerSpec::default() }).await;
    run(world).await;
    due_now(world).await
}

#[tokio::test]
async fn a_slot_is_planned_written_decided_and_published_once_however_often_it_is_run() {
    let together = Together::saying(&[&four()]).await;
    let world = told(&together, &[IDLE]).await;
    let slot_at = one_slot(&world).await;
    assert_eq!(
        write(&world, slot_at).await,
        json!({ "written": 4, "ready": 4, "in_review": 0, "rejected": 0, "similar": 0 })
    );
    let scored = score(&world, slot_at).await;
    assert!(scored["decision"].is_i64(), "{scored}");
    assert_eq!(score(&world, slot_at).await, json!({ "idle": "decided" }));
    let decided = published(&world).await;
    assert_eq!(decided.effect_key, format!("learner:baker:{}", slot_at.timestamp()));
    assert_eq!(world.effect(&decided.effect_key).await.state, EffectState::Confirmed);
    let made = world.x.made();
    assert_eq!(made.iter().map(|post| &post.text).collect::<Vec<_>>(), [&decided.parts[0]]);
    assert_eq!(decided.external_id.as_deref(), Some(made[0].id.as_str()));
    let slots = world.store.learner().slots(&baker(), &Paging::first(10)).await.expect("Postgres answers");
    assert_eq!(slots.items[0].state, SlotState::Published);
}

#[tokio::test]
async fn the_log_has_the_decision_with_everything_that_was_weighed_before_the_post_goes_out() {
    let together = Together::saying(&[&four()]).await;
    let world = told(&together, &[IDLE]).await;
    let slot_at = one_slot(&world).await;
    write(&world, slot_at).await;
    score(&world, slot_at).await;
    let logged = decisions(&world).await.remove(0);
    assert!(logged.decided_at <= world.effect(&logged.effect_key).await.intended_at);
    let weighed: policy::Decision = serde_json::from_value(logged.decision.clone()).expect("a decision");
    assert_eq!(weighed.candidates.len(), 4);
    let total: f64 = weighed.candidates.iter().map(|one| one.propensity).sum();
    assert!((total - 1.0).abs() < 1e-9 && logged.propensity > 0.0, "{weighed:?}");
    assert!(weighed.draws >= 1_000 && weighed.epsilon >= 0.05);
    // The log alone replays it.
    let known = policy::Knowledge::new(&[], chrono_tz::Tz::UTC);
    let offers: Vec<policy::Offer> = weighed
        .candidates
        .iter()
        .map(|one| policy::Offer { id: one.id, arm: one.arm.clone(), text: one.text.clone(), removed: None })
        .collect();
    let again = policy::choose(&weighed.policy, &known, &offers, weighed.at, weighed.seed).expect("a decision");
    assert_eq!((again.chosen, again.propensity), (weighed.chosen, weighed.propensity));
}

#[tokio::test]
async fn a_decision_that_a_crash_has_left_behind_goes_out_once() {
    let together = Together::saying(&[&four()]).await;
    let world = told(&together, &[IDLE]).await;
    let slot_at = one_slot(&world).await;
    write(&world, slot_at).await;
    // The process that decided was killed before it enqueued the job.
    let key = format!("learner:baker:{}", slot_at.timestamp());
    let job = perch_core::job_id(slot_at, &key);
    let decided = world
        .store
        .learner()
        .decide::<perch_store::StoreError>(&baker(), slot_at, (&key, job), |_, ready| {
            Ok(Some(perch_bot_learner::Slotted {
                candidate: ready[0].id,
                arm: ready[0].arm.clone(),
                policy: 1,
                policy_hash: "hash".into(),
                propensity: 0.5,
                decision: json!({}),
            }))
        })
        .await
        .expect("Postgres answers");
    assert!(matches!(decided, perch_bot_learner::Decided::Chosen { .. }), "{decided:?}");
    sqlx::query("update learner.decisions set decided_at = decided_at - interval '2 minutes'")
        .execute(&world.database().raw())
        .await
        .expect("Postgres answers");
    let published = published(&world).await;
    assert_eq!((published.job_id, published.parts.len()), (job, 1));
    assert_eq!(world.x.made().len(), 1);
}

#[tokio::test]
async fn a_post_earns_one_reward_once_it_is_old_enough_and_measured() {
    let together = Together::saying(&[&four()]).await;
    let world = told(&together, &[IDLE, SOON]).await;
    let slot_at = one_slot(&world).await;
    write(&world, slot_at).await;
    score(&world, slot_at).await;
    let post = published(&world).await;
    let id = post.external_id.expect("an id").parse().expect("an id");
    let job = CollectMetrics { post_ids: vec![id], account: Some(main_account()) };
    let rewarded = eventually("the reward is frozen", || async {
        world.done(&job).await;
        world.sync().await;
        run(&world).await;
        let (reason, reward): (Option<String>, Option<f64>) =
            sqlx::query_as("select reason, reward from learner.rewards")
                .fetch_optional(&world.database().raw())
                .await
                .expect("Postgres answers")?;
        Some((reason, reward))
    })
    .await;
    // The first post of an account is held against itself.
    assert!(rewarded == (None, Some(0.0)) || rewarded.0.as_deref() == Some("nobody has seen it"), "{rewarded:?}");
    world.done(&job).await;
    world.sync().await;
    run(&world).await;
    let rewards: i64 = sqlx::query_scalar("select count(*) from learner.rewards")
        .fetch_one(&world.database().raw())
        .await
        .expect("Postgres answers");
    assert_eq!(rewards, 1);
}

#[tokio::test]
async fn the_followers_of_the_account_and_what_only_it_is_told_of_its_posts_are_read_from_x() {
    let together = Together::saying(&[&four()]).await;
    let world = told(&together, &[IDLE]).await;
    let slot_at = one_slot(&world).await;
    write(&world, slot_at).await;
    score(&world, slot_at).await;
    let post = published(&world).await.external_id.expect("it is on X");
    let read = world.done(&ReadAudience { bot: baker() }).await.result.expect("a result");
    assert_eq!(read["posts"], json!(1), "{read}");
    let (followers,): (i64,) = sqlx::query_as("select followers from learner.followers where account = 'main'")
        .fetch_one(&world.database().raw())
        .await
        .expect("they are kept");
    assert!(followers >= 500, "{followers}: the run of the bot, or this one, has read them");
    let told: (String, Option<i64>, Option<i64>) =
        sqlx::query_as("select post_id, impressions, follows from learner.post_analytics")
            .fetch_one(&world.database().raw())
            .await
            .expect("it is kept");
    assert!(told.0 == post && told.1.is_some() && told.2.is_some(), "{told:?}");
    let again = world.done(&ReadAudience { bot: baker() }).await.result.expect("a result");
    assert_eq!((again.get("followers"), &again["posts"]), (None, &json!(1)), "followers are read once a day");
}

#[tokio::test]
async fn what_the_guard_refuses_is_kept_with_the_reason_and_never_offered() {
    let long = "Rye wants a cold night and a hot stone. ".repeat(8);
    let answer = posts(&[
        &[&long],
        &["Why does rye ask for patience before skill?"],
        &["Salt goes in last, and never by eye."],
        &["damn, who told you that salt can wait?"],
    ]);
    let together = Together::saying(&[&answer]).await;
    let world = told(&together, &[IDLE]).await;
    let slot_at = one_slot(&world).await;
    let wrote = write(&world, slot_at).await;
    assert_eq!(
        (&wrote["rejected"], &wrote["in_review"], &wrote["ready"]),
        (&json!(1), &json!(1), &json!(2)),
        "{wrote}"
    );
    let rejected = CandidateFilter { state: Some(CandidateState::Rejected), ..CandidateFilter::default() };
    let rejected =
        world.store.learner().candidates(&rejected, &Paging::first(10)).await.expect("Postgres answers").items;
    assert!(rejected[0].reason.as_deref().is_some_and(|reason| !reason.is_empty()), "{rejected:?}");
    score(&world, slot_at).await;
    let logged = decisions(&world).await.remove(0);
    assert!(!logged.parts[0].contains("cold night") && !logged.parts[0].contains("damn"), "{logged:?}");
}

#[tokio::test]
async fn a_slot_without_a_candidate_is_missed_after_its_grace_and_health_says_so() {
    let together = Together::saying(&[]).await;
    let world = told(&together, &[IDLE]).await;
    let slot_at = one_slot(&world).await;
    assert_eq!(score(&world, slot_at).await, json!({ "idle": "no_candidates" }));
    sqlx::query("update learner.slots set slot_at = slot_at - interval '1 hour'")
        .execute(&world.database().raw())
        .await
        .expect("Postgres answers");
    assert_eq!(run(&world).await["missed"], json!(1));
    let troubles = perch_workers::bots().troubles(&world.settings, &world.store).await;
    assert!(troubles.iter().any(|trouble| trouble == "learner: baker: slot missed"), "{troubles:?}");
}

#[tokio::test]
async fn three_refusals_in_a_row_stop_a_bot_until_a_person_lets_it_go_on() {
    let together = Together::saying(&[&four()]).await;
    let world = told(&together, &[IDLE]).await;
    let slot_at = one_slot(&world).await;
    write(&world, slot_at).await;
    score(&world, slot_at).await;
    published(&world).await;
    // Three later decisions whose posts failed.
    sqlx::query(
        "with more as (
             insert into learner.decisions (environment, bot_id, slot_at, policy, policy_hash, arm, candidate_id, propensity,
                                            slot_propensity, decision, effect_key, job_id)
             select environment, bot_id, slot_at + n * interval '1 minute', policy, policy_hash, arm, candidate_id, propensity,
                    slot_propensity, decision, effect_key || n, job_id
             from learner.decisions, generate_series(1, 3) as n returning environment, id
         )
         insert into learner.outcomes (environment, decision_id, state) select environment, id, 'failed' from more",
    )
    .execute(&world.database().raw())
    .await
    .expect("Postgres answers");
    assert_eq!(run(&world).await.get("stopped"), None, "none of them came to X");
    sqlx::query(
        "insert into effects (environment, key, kind, account, state, fence, digest, job_id, attempt, holder, error)
         select d.environment, d.effect_key, 'post', 'main', 'failed', 1, sha256(''), d.job_id, 1, 'a worker', 'X: 403'
         from learner.decisions d join learner.outcomes o on o.environment = d.environment and o.decision_id = d.id
         where o.state = 'failed'",
    )
    .execute(&world.database().raw())
    .await
    .expect("Postgres answers");
    assert_eq!(run(&world).await["stopped"], json!(1));
    let bot = world.store.learner().bot(&baker()).await.expect("Postgres answers").expect("it is there");
    assert_eq!((bot.enabled, bot.updated_by.as_str()), (false, "learner"));
    let (details,): (Value,) = sqlx::query_as("select details from audit_log where action = 'learn.pause'")
        .fetch_one(&world.database().raw())
        .await
        .expect("Postgres answers");
    assert_eq!(details["why"], "X refused its last 3 posts for good");
    let (actor,): (String,) =
        sqlx::query_as("select actor from audit_log where object = 'brake:account:main' and action = 'brake.on'")
            .fetch_one(&world.database().raw())
            .await
            .expect("Postgres answers");
    assert_eq!(actor, "learner", "the brake of the account is on");
    run(&world).await;
    world.store.learner().set_enabled(&baker(), true, None, "ann").await.expect("Postgres answers");
    assert_eq!(run(&world).await.get("stopped"), None, "what happened before does not stop it again");
}

#[tokio::test]
async fn a_policy_without_proof_is_refused_with_its_figures_and_the_active_one_stays() {
    let together = Together::saying(&[]).await;
    let world = told(&together, &[IDLE]).await;
    learns(&world, &LearnerSpec::default()).await;
    let tables = world.store.learner();
    let first = tables.active_policy(&baker(), &Policy::default()).await.expect("Postgres answers");
    let proposed = tables
        .propose(&baker(), &Policy { growth_weight: 0.5, ..Policy::default() }, "to grow", "ann")
        .await
        .expect("Postgres answers");
    assert_eq!((first.version, proposed.version, proposed.state), (1, 2, PolicyState::Proposed));
    assert!(
        tables.activate(&baker(), 2, &json!({ "why": "a test" }), ("learn.promote", "ann")).await.expect("Postgres")
    );
    let active = tables.active_policy(&baker(), &Policy::default()).await.expect("Postgres answers");
    assert_eq!((active.version, active.policy.growth_weight), (2, 0.5));
    let before = tables.before_active(&baker()).await.expect("Postgres answers").expect("there is one");
    assert_eq!(before.version, 1);
    assert!(tables.activate(&baker(), 1, &Value::Null, ("learn.rollback", "ann")).await.expect("Postgres answers"));
    let lines: Vec<(String,)> =
        sqlx::query_as("select action from learner.audit_log where bot_id = 'baker' and action ~ 'propose|promote|rollback' order by id")
            .fetch_all(&world.database().raw())
            .await
            .expect("Postgres answers");
    let actions: Vec<&str> = lines.iter().map(|(action,)| action.as_str()).collect();
    assert_eq!(actions, ["learn.propose", "learn.promote", "learn.rollback"]);
}

#[tokio::test]
async fn every_view_of_the_template_can_be_read() {
    let together = Together::saying(&[&four()]).await;
    let world = told(&together, &[IDLE]).await;
    let slot_at = one_slot(&world).await;
    write(&world, slot_at).await;
    score(&world, slot_at).await;
    published(&world).await;
    for view in [
        "tweets",
        "bot_config",
        "daily_summaries",
        "audit_log",
        "system_health",
        "by_bot",
        "by_topic",
        "by_form",
        "by_hour",
        "by_week",
        "follower_growth",
        "cost_per_engagement",
        "learning_curve",
    ] {
        let statement = format!("select count(*) from learner.{view}");
        let count: Result<i64, _> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_one(&world.database().raw()).await;
        assert!(count.is_ok(), "{view}: {count:?}");
    }
    let (id, analytics): (String, Value) = sqlx::query_as("select tweet_id, analytics from learner.tweets")
        .fetch_one(&world.database().raw())
        .await
        .expect("Postgres answers");
    assert!(!id.is_empty() && analytics.is_object());
}

/// The model that the sandbox plays writes every kind that it is asked for.
#[tokio::test]
async fn in_the_sandbox_every_arm_gets_a_candidate() {
    let world = World::with(&[IDLE]).await;
    let slot_at = one_slot(&world).await;
    let wrote = write(&world, slot_at).await;
    assert!(wrote["ready"].as_u64().is_some_and(|ready| ready >= 3), "{wrote}");
    assert_eq!(score(&world, slot_at + TimeDelta::hours(1)).await, json!({ "idle": "unknown" }));
}
