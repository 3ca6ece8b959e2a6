//! The bot that posts as personas, with real workers, servers and the sandbox.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use perch_base::Paging;
use perch_bot_personas::{PostState, SlotState, StockFilter, StockPost, StockReviewError, StockStore as _};
use perch_core::personas::{CatchUpPolicy, PersonaChange, PersonaSpec, PersonaStore as _, ReviewPolicy, Topic};
use perch_jobs::{PersonaName, ReplenishStock, RunPersonas};
use perch_safety::similar::{Fingerprint, is_near_duplicate};
use perch_store::{AuditFilter, EffectState};
use serde_json::{Value, json};

use crate::{
    mentions::told,
    together::Together,
    world::{World, eventually, main_account},
};

fn name(text: &str) -> PersonaName {
    text.parse().expect("a name")
}

fn baker() -> PersonaSpec {
    PersonaSpec {
        schedule: vec!["0 * * * *".into()],
        review: ReviewPolicy::Flagged,
        ..PersonaSpec::new(main_account(), "You are a baker with dry humour.".into())
    }
}

/// A batch as a model answers it.
fn batch(texts: &[&str]) -> String {
    json!({ "posts": texts.iter().map(|text| json!({ "text": text })).collect::<Vec<_>>() }).to_string()
}

async fn add(world: &World, persona: &str, spec: &PersonaSpec) {
    let change = world.store.personas().put(&name(persona), spec, Some(0), "ann").await.expect("Postgres answers");
    assert!(matches!(change, PersonaChange::Added(_)), "{change:?}");
}

async fn replenish(world: &World, persona: &str) -> Value {
    world.done(&ReplenishStock { persona: name(persona), now: true }).await.result.expect("a result")
}

async fn run(world: &World) -> Value {
    world.done(&RunPersonas {}).await.result.expect("a result")
}

async fn posts(world: &World, filter: &StockFilter) -> Vec<StockPost> {
    world.store.stock().list(filter, &Paging::first(100)).await.expect("Postgres answers").items
}

async fn of(world: &World, persona: &str, state: PostState) -> Vec<StockPost> {
    posts(world, &StockFilter { persona: Some(name(persona)), state: Some(state), topic: None }).await
}

/// Sets back when a persona was added and what is known of its slots, so that the last ones are due now.
async fn due_since(world: &World, persona: &str, since: DateTime<Utc>) {
    let persona = world.store.personas().get(&name(persona)).await.expect("Postgres answers").expect("it is there");
    world.store.slots().progress(&persona).await.expect("Postgres answers");
    for statement in [
        "update personas.progress set slots_until = $1 where bot_id = $2",
        "update personas set created_at = $1 where name = $2",
    ] {
        sqlx::query(statement)
            .bind(since)
            .bind(persona.name.as_str())
            .execute(&world.database().raw())
            .await
            .expect("Postgres answers");
    }
}

async fn slots(world: &World, persona: &str) -> Vec<(DateTime<Utc>, SlotState)> {
    let page = world.store.slots().list(&name(persona), &Paging::first(100)).await.expect("Postgres answers");
    page.items.into_iter().map(|slot| (slot.slot_at, slot.state)).collect()
}

/// A persona whose slot of this minute is due, and the next one in an hour.
async fn due_now(world: &World, persona: &str, spec: PersonaSpec) {
    let slot_at = this_minute();
    add(world, persona, &PersonaSpec { schedule: vec![slot_at.format("%M * * * *").to_string()], ..spec }).await;
    due_since(world, persona, slot_at - TimeDelta::seconds(1)).await;
}

fn this_minute() -> DateTime<Utc> {
    DateTime::from_timestamp(Utc::now().timestamp() / 60 * 60, 0).expect("a time")
}

const IDLE: (&str, &str) = ("PERCH__CRON__RUN_PERSONAS__ENABLED", "false");

#[tokio::test]
async fn one_call_of_a_model_makes_a_batch_and_its_cost_is_divided_over_the_posts() {
    let answer = batch(&[
        "Rye wants a cold night and a hot stone.",
        "\"Salt goes in last, always.\"",
        "Flour remembers the weather.",
    ]);
    let together = Together::saying(&[&answer]).await;
    let world = told(&together, &[IDLE]).await;
    let topics = vec![Topic { name: "rye".into(), weight: 2.0 }, Topic { name: "salt".into(), weight: 1.0 }];
    add(&world, "baker", &PersonaSpec { topics, ..baker() }).await;
    let result = replenish(&world, "baker").await;
    assert_eq!(result, json!({ "written": 3, "ready": 3, "in_review": 0, "rejected": 0, "similar": 0 }));
    let ready = of(&world, "baker", PostState::Ready).await;
    assert_eq!(ready[1].text, "Salt goes in last, always.");
    assert_eq!(ready.iter().map(|post| post.tokens).collect::<Vec<_>>(), [Some(44); 3], "134 tokens over 3 posts");
    assert!(ready.iter().all(|post| post.usd.is_some_and(|usd| usd > 0.0) && post.model.is_some()));
    let asked = &together.asked()[0];
    assert!(asked["messages"][0]["content"].as_str().is_some_and(|system| system.starts_with("You are a baker")));
    let said = asked["messages"][1]["content"].as_str().expect("text");
    assert!(said.contains("1. rye\n2. salt\n3. rye"), "{said}");
}

#[tokio::test]
async fn the_next_batch_is_told_which_openings_are_taken_and_never_the_texts() {
    let first = batch(&["Rye wants a cold night and a hot stone."]);
    let together = Together::saying(&[&first, &batch(&["Flour remembers the weather."])]).await;
    let world = told(&together, &[IDLE]).await;
    add(&world, "baker", &baker()).await;
    replenish(&world, "baker").await;
    replenish(&world, "baker").await;
    let said = together.asked()[1]["messages"][1]["content"].as_str().expect("text").to_owned();
    assert!(said.contains("- rye wants a cold\n") && !said.contains("hot stone"), "{said}");
}

#[tokio::test]
async fn a_slot_is_filled_and_its_post_published_once_however_often_it_is_run() {
    let together =
        Together::saying(&[&batch(&["Rye wants a cold night and a hot stone.", "Flour remembers the weather."])]).await;
    let world = told(&together, &[IDLE]).await;
    due_now(&world, "baker", baker()).await;
    replenish(&world, "baker").await;
    let (mut first, mut second) = (run(&world).await, run(&world).await);
    first.as_object_mut().expect("an object").remove("replenishing");
    second.as_object_mut().expect("an object").remove("replenishing");
    assert_eq!(first, json!({ "filled": 1 }));
    let published = eventually("the post is published", || async {
        run(&world).await;
        of(&world, "baker", PostState::Published).await.into_iter().next()
    })
    .await;
    let key = published.effect_key.clone().expect("a key");
    assert_eq!(world.effect(&key).await.state, EffectState::Confirmed);
    assert_eq!(key, format!("persona:baker:{}", published.slot_at.expect("a slot").timestamp()));
    let made = world.x.made();
    assert_eq!(made.iter().filter(|post| post.text == published.text).count(), 1, "{made:?}");
    assert_eq!(published.external_id.as_deref(), Some(made[0].id.as_str()));
    let slot = published.slot_at.expect("a slot");
    assert!(slots(&world, "baker").await.contains(&(slot, SlotState::Published)));
}

#[tokio::test]
async fn a_post_that_was_reserved_before_a_crash_goes_out_once_and_its_slot_takes_no_other() {
    let together =
        Together::saying(&[&batch(&["Rye wants a cold night and a hot stone.", "Flour remembers the weather."])]).await;
    let world = told(&together, &[IDLE]).await;
    add(&world, "baker", &baker()).await;
    replenish(&world, "baker").await;
    let slot_at = this_minute();
    let (key, job) = (format!("persona:baker:{}", slot_at.timestamp()), perch_jobs::JobId::at(slot_at));
    let fill = async || {
        let first = |ready: &[perch_bot_personas::ReadyPost], _: &[Option<String>]| ready.first().map(|post| post.id);
        world.store.slots().fill(&name("baker"), slot_at, (&key, job), first).await.expect("Postgres answers")
    };
    // The process that filled the slot was killed before it enqueued the job.
    assert!(matches!(fill().await, perch_bot_personas::Reservation::Filled(_)));
    assert_eq!(fill().await, perch_bot_personas::Reservation::Before(SlotState::Reserved));
    sqlx::query("update personas.posts set updated_at = updated_at - interval '2 minutes' where state = 'reserved'")
        .execute(&world.database().raw())
        .await
        .expect("Postgres answers");
    let published = eventually("the post is published", || async {
        run(&world).await;
        of(&world, "baker", PostState::Published).await.into_iter().next()
    })
    .await;
    assert_eq!((published.slot_at, published.publish_job_id), (Some(slot_at), Some(job)));
    assert_eq!(world.x.made().len(), 1);
    assert_eq!(of(&world, "baker", PostState::Ready).await.len(), 1);
}

#[tokio::test]
async fn after_an_outage_missed_slots_are_left_out_or_the_latest_is_caught_up() {
    let together = Together::saying(&[]).await;
    let world = told(&together, &[IDLE]).await;
    for (persona, catch_up) in [("skips", CatchUpPolicy::Skip), ("catches", CatchUpPolicy::Latest)] {
        // Ten minutes ago, which is beyond the grace of five.
        let minute = (Utc::now() - TimeDelta::minutes(10)).format("%M");
        let schedule = vec![format!("{minute} * * * *")];
        add(&world, persona, &PersonaSpec { catch_up, schedule, ..baker() }).await;
        due_since(&world, persona, Utc::now() - TimeDelta::minutes(135)).await;
    }
    let result = run(&world).await;
    assert_eq!((&result["missed"], &result["empty"]), (&json!(5), &json!(1)), "{result}");
    let states = |slots: Vec<(_, SlotState)>| slots.into_iter().map(|(_, state)| state).collect::<Vec<_>>();
    assert_eq!(states(slots(&world, "skips").await), [SlotState::Missed; 3]);
    assert_eq!(states(slots(&world, "catches").await), [SlotState::Empty, SlotState::Missed, SlotState::Missed]);
}

#[tokio::test]
async fn a_text_that_another_persona_has_word_for_word_counts_as_similar() {
    let same = batch(&["The kettle agrees with the oven today."]);
    let together = Together::saying(&[&same, &same]).await;
    let world = told(&together, &[IDLE]).await;
    for persona in ["one", "two"] {
        add(&world, persona, &baker()).await;
    }
    replenish(&world, "one").await;
    let result = replenish(&world, "two").await;
    assert_eq!((&result["written"], &result["similar"]), (&json!(1), &json!(1)), "{result}");
}

/// The model that the sandbox plays answers the same question alike.
#[tokio::test]
async fn each_persona_gets_posts_in_the_sandbox() {
    let world = World::with(&[IDLE]).await;
    for persona in ["one", "two", "three"] {
        add(&world, persona, &baker()).await;
        let result = replenish(&world, persona).await;
        assert!(result["ready"].as_u64().is_some_and(|ready| ready >= 5), "{persona}: {result}");
    }
}

#[tokio::test]
async fn no_two_accounts_get_nearly_the_same_text_even_when_they_write_at_once() {
    let same = "The quiet part of baking is the part worth keeping, says my old oven.";
    let nearly = "The quiet part of baking is the part worth keeping, says my OLD oven! 🍞 #7";
    let together = Together::saying_at_once(&[&batch(&[same]), &batch(&[nearly])], 2).await;
    let world = told(&together, &[IDLE]).await.work();
    for persona in ["one", "two"] {
        add(&world, persona, &baker()).await;
    }
    let (first, second) = tokio::join!(replenish(&world, "one"), replenish(&world, "two"));
    let sum = |field: &str| first[field].as_u64().unwrap_or(0) + second[field].as_u64().unwrap_or(0);
    assert_eq!((sum("ready"), sum("similar")), (1, 1), "{first} {second}");
    let rejected = posts(&world, &StockFilter { state: Some(PostState::Rejected), ..StockFilter::default() }).await;
    assert!(rejected[0].reason.as_deref().is_some_and(|reason| reason.contains("too similar to post")), "{rejected:?}");
}

/// The model that the sandbox plays writes for three personas at once; whatever it writes, no two posts are alike.
#[tokio::test]
async fn the_stock_of_all_personas_has_no_two_posts_alike() {
    let world = World::with(&[IDLE]).await;
    for persona in ["one", "two", "three"] {
        add(&world, persona, &baker()).await;
    }
    for _ in 0..4 {
        tokio::join!(replenish(&world, "one"), replenish(&world, "two"), replenish(&world, "three"));
    }
    let ready = posts(&world, &StockFilter { state: Some(PostState::Ready), ..StockFilter::default() }).await;
    assert!(ready.len() > 30, "{}", ready.len());
    let prints: Vec<Fingerprint> = ready.iter().map(|post| Fingerprint::of(&post.text)).collect();
    for (at, one) in prints.iter().enumerate() {
        for (other_at, other) in prints.iter().enumerate().skip(at + 1) {
            assert!(!is_near_duplicate(one, other), "{:?} and {:?}", ready[at].text, ready[other_at].text);
        }
    }
}

#[tokio::test]
async fn what_the_guard_flags_waits_for_a_person_who_lets_it_pass_or_words_it_anew() {
    let flagged =
        ["What a dick move by the oven.", "Oh damn, the crust is burnt again.", "See evil.example.com, it is shit."];
    let together = Together::saying(&[&batch(&flagged)]).await;
    let world = told(&together, &[IDLE]).await;
    due_now(&world, "baker", baker()).await;
    let result = replenish(&world, "baker").await;
    assert_eq!((&result["in_review"], &result["ready"]), (&json!(2), &json!(0)), "{result}");
    let waiting = of(&world, "baker", PostState::InReview).await;
    let guard = perch_safety::Guard::new(&perch_safety::Rules::default()).expect("the lists can be read");
    let own = world.settings.sections.get().expect("the bot is there");
    let approve = async |id, text| perch_bot_personas::approve_post(&world.store, &guard, &own, id, text, "ann").await;
    let refused = approve(waiting[0].id, Some("What a shit oven.")).await.expect_err("it swears");
    assert!(matches!(refused, StockReviewError::Refused(_)), "{refused}");
    let (edited, flags) = approve(waiting[0].id, Some("The crust has character today.")).await.expect("it waits");
    assert_eq!((edited.state, edited.decided_by.as_deref(), flags.len()), (PostState::Ready, Some("ann"), 0));
    let (passed, flags) = approve(waiting[1].id, None).await.expect("it waits");
    assert_eq!((passed.text.as_str(), flags.len()), (flagged[0], 1));
    let closed = approve(waiting[1].id, None).await.expect_err("it is decided");
    assert!(matches!(closed, StockReviewError::Closed(_)), "{closed}");
    // What a person let pass is published, though the guard flags it.
    perch_bot_personas::reject_post(&world.store, edited.id, None, "ann").await.expect("it is ready");
    eventually("the post is published", || async {
        run(&world).await;
        (of(&world, "baker", PostState::Published).await.len() == 1).then_some(())
    })
    .await;
    assert_eq!(world.x.made()[0].text, flagged[0]);
}

#[tokio::test]
async fn what_was_paid_for_before_a_crash_is_not_written_again() {
    let together = Together::saying(&[]).await;
    let world = told(&together, &[IDLE, ("PERCH__PERSONAS__LOW_WATER", "1")]).await;
    add(&world, "baker", &baker()).await;
    let draft = perch_bot_personas::Draft {
        text: "Rye wants a cold night and a hot stone.".into(),
        topic: None,
        usd: Some(0.01),
        tokens: Some(30),
        model: None,
    };
    let store = async || world.store.stock().draft(&name("baker"), std::slice::from_ref(&draft)).await;
    assert_eq!(store().await.expect("Postgres answers"), 1);
    assert_eq!(store().await.expect("Postgres answers"), 0, "the same text again");
    let result = world.done(&ReplenishStock { persona: name("baker"), now: false }).await.result;
    assert_eq!(result, Some(json!({ "idle": "enough" })));
    assert!(together.asked().is_empty());
    assert_eq!(of(&world, "baker", PostState::Ready).await.len(), 1);
}

#[tokio::test]
async fn an_answer_without_posts_is_paid_once_and_then_the_persona_rests() {
    let together = Together::saying(&["I would rather not."]).await;
    let world = told(&together, &[IDLE]).await;
    add(&world, "baker", &baker()).await;
    replenish(&world, "baker").await;
    let again = world.done(&ReplenishStock { persona: name("baker"), now: false }).await.result;
    assert_eq!(again, Some(json!({ "idle": "rests" })));
    assert_eq!(run(&world).await["replenishing"], Value::Null);
    assert_eq!(together.asked().len(), 1);
}

#[tokio::test]
async fn a_persona_is_changed_paused_and_removed_at_run_time_and_the_audit_log_says_by_whom() {
    let together = Together::saying(&[&batch(&["Rye wants a cold night and a hot stone."])]).await;
    let world = told(&together, &[IDLE]).await;
    due_now(&world, "baker", baker()).await;
    replenish(&world, "baker").await;
    let personas = world.store.personas();
    let stale = personas.put(&name("baker"), &baker(), Some(7), "bob").await.expect("Postgres answers");
    assert!(matches!(stale, PersonaChange::Conflict(_)), "{stale:?}");
    personas.set_enabled(&name("baker"), false, "bob").await.expect("Postgres answers");
    assert_eq!(run(&world).await, json!({ "filled": 0 }));
    assert!(slots(&world, "baker").await.is_empty(), "it has no slots while it is paused");
    assert!(personas.remove(&name("baker"), "cat").await.expect("Postgres answers"));
    run(&world).await;
    assert_eq!(of(&world, "baker", PostState::Expired).await.len(), 1);
    let filter = AuditFilter { object: Some("baker".into()), actor: None };
    let lines = world.store.audit().list(&filter, &Paging::default()).await.expect("Postgres answers").items;
    let actions: BTreeMap<&str, &str> = lines.iter().map(|line| (line.action.as_str(), line.actor.as_str())).collect();
    assert_eq!(actions["personas.pause"], "bob");
    assert_eq!((actions["personas.add"], actions["personas.remove"]), ("ann", "cat"));
}

#[tokio::test]
async fn the_variables_of_a_single_bot_make_a_persona_that_they_change_until_an_operator_does() {
    let together = Together::saying(&[]).await;
    let vars =
        [IDLE, ("BOT_NAME", "template-bot"), ("BOT_PERSONALITY", "You are kind."), ("POSTING_SCHEDULE", "0 9 * * *")];
    let world = told(&together, &vars).await;
    let get = async || {
        run(&world).await;
        world.store.personas().get(&name("template-bot")).await.expect("Postgres answers").expect("it is added")
    };
    let added = get().await;
    assert_eq!(
        (added.spec.prompt.as_str(), added.spec.schedule.as_slice()),
        ("You are kind.", &["0 9 * * *".to_owned()][..])
    );
    assert_eq!(get().await.version, 1, "a second run changes nothing");
    let edited = PersonaSpec { prompt: "You are dry.".into(), ..added.spec };
    world.store.personas().put(&added.name, &edited, Some(1), "ann").await.expect("Postgres answers");
    assert_eq!(get().await.spec.prompt, "You are dry.", "what an operator has changed stays");
}

#[tokio::test]
async fn mentions_are_answered_as_the_persona_of_their_account() {
    let together = Together::saying(&[]).await;
    let world = told(&together, &[IDLE]).await;
    add(&world, "baker", &baker()).await;
    world.x.publish(crate::mentions::FAN, "@perch_bot good morning");
    crate::mentions::fetched(&world).await;
    let asked = eventually("the model is asked", || async { together.asked().into_iter().next() }).await;
    let system = asked["messages"][0]["content"].as_str().expect("text").to_owned();
    assert!(system.starts_with("You are a baker with dry humour."), "{system}");
}

#[tokio::test]
async fn a_persona_that_is_removed_leaves_nothing_behind_for_the_next_of_its_name() {
    let together = Together::saying(&[&batch(&["Rye wants a cold night and a hot stone."])]).await;
    let world = told(&together, &[IDLE]).await;
    let spec = PersonaSpec { schedule: vec!["*/20 * * * *".into()], ..baker() };
    add(&world, "baker", &spec).await;
    replenish(&world, "baker").await;
    due_since(&world, "baker", Utc::now() - TimeDelta::hours(3)).await;
    // Reserved by a process that was killed before it enqueued the job.
    let first = |ready: &[perch_bot_personas::ReadyPost], _: &[Option<String>]| ready.first().map(|post| post.id);
    let (slot_at, job) = (this_minute(), perch_jobs::JobId::at(this_minute()));
    let key = format!("persona:baker:{}", slot_at.timestamp());
    world.store.slots().fill(&name("baker"), slot_at, (&key, job), first).await.expect("Postgres answers");
    world.store.personas().remove(&name("baker"), "ann").await.expect("Postgres answers");
    run(&world).await;
    assert_eq!(of(&world, "baker", PostState::Expired).await.len(), 1);
    add(&world, "baker", &spec).await;
    assert_eq!(run(&world).await["missed"], Value::Null, "the slots before it was added again are none of its own");
    assert!(world.x.made().is_empty());
}

/// Fills the slot of this minute as a process that was killed before it enqueued the job.
async fn left_behind(world: &World, persona: &str) -> DateTime<Utc> {
    let slot_at = this_minute();
    let key = format!("persona:{persona}:{}", slot_at.timestamp());
    let first = |ready: &[perch_bot_personas::ReadyPost], _: &[Option<String>]| ready.first().map(|post| post.id);
    let job = perch_jobs::JobId::at(slot_at);
    world.store.slots().fill(&name(persona), slot_at, (&key, job), first).await.expect("Postgres answers");
    slot_at
}

async fn sql(world: &World, statement: &'static str) {
    sqlx::query(statement).execute(&world.database().raw()).await.expect("Postgres answers");
}

#[tokio::test]
async fn a_post_that_was_left_behind_too_long_is_ready_again_and_holds_no_other_persona_up() {
    let texts = [batch(&["Rye wants a cold night and a hot stone."]), batch(&["Flour remembers the weather."])];
    let together = Together::saying(&[&texts[0], &texts[1]]).await;
    let world = told(&together, &[IDLE]).await;
    add(&world, "late", &baker()).await;
    replenish(&world, "late").await;
    let slot_at = left_behind(&world, "late").await;
    due_now(&world, "other", baker()).await;
    replenish(&world, "other").await;
    sql(&world, "update personas.posts set updated_at = updated_at - interval '70 minutes' where state = 'reserved'")
        .await;
    assert_eq!(run(&world).await["filled"], json!(1), "the other one posts");
    let late = "update personas.posts set updated_at = updated_at - interval '1 hour' where bot_id = 'late' and state = 'reserved'";
    sql(&world, late).await;
    run(&world).await;
    let [post] = &of(&world, "late", PostState::Ready).await[..] else { panic!("it is ready again") };
    assert_eq!((post.slot_at, &post.effect_key, post.publish_job_id), (None, &None, None));
    assert!(slots(&world, "late").await.contains(&(slot_at, SlotState::Missed)));
}

#[tokio::test]
async fn a_post_whose_job_could_not_begin_in_time_is_ready_again_and_its_slot_missed() {
    let together = Together::saying(&[&batch(&["Rye wants a cold night and a hot stone."])]).await;
    let world = told(&together, &[IDLE]).await;
    due_now(&world, "baker", baker()).await;
    replenish(&world, "baker").await;
    let brake = perch_store::Brake::new(world.client.queues().redis().clone(), world.store.clone());
    brake.pull("ann", "test", Value::Null).await.expect("Redis and Postgres answer");
    run(&world).await;
    let reserved = of(&world, "baker", PostState::Reserved).await;
    let job = reserved[0].publish_job_id.expect("a job");
    eventually("Postgres knows of the job", || async {
        world.sync().await;
        world.store.history().job(job).await.expect("Postgres answers")
    })
    .await;
    // As if its deadline had passed while the brake was on.
    let passed =
        "update jobs set state = 'dead', finished_at = now(), envelope = jsonb_set(envelope, '{deadline}', '1')
                  where kind = 'publish_post'";
    sql(&world, passed).await;
    run(&world).await;
    assert_eq!(of(&world, "baker", PostState::Ready).await.len(), 1);
    let missed = reserved[0].slot_at.expect("a slot");
    assert!(slots(&world, "baker").await.contains(&(missed, SlotState::Missed)));
    assert!(world.x.made().is_empty());
}

#[tokio::test]
async fn an_edit_of_a_persona_that_was_removed_meanwhile_does_not_bring_it_back() {
    let together = Together::saying(&[]).await;
    let world = told(&together, &[IDLE]).await;
    add(&world, "baker", &baker()).await;
    let personas = world.store.personas();
    personas.remove(&name("baker"), "bob").await.expect("Postgres answers");
    let edited = PersonaSpec { tone: "dry".into(), ..baker() };
    let change = personas.put(&name("baker"), &edited, Some(1), "ann").await.expect("Postgres answers");
    assert_eq!(change, PersonaChange::Unknown);
}

#[tokio::test]
async fn a_persona_that_this_release_cannot_read_stops_only_itself_and_one_with_unknown_fields_not_even_that() {
    let together = Together::saying(&[]).await;
    let vars = [IDLE, ("BOT_NAME", "odd"), ("BOT_PERSONALITY", "You are kind.")];
    let world = told(&together, &vars).await;
    for persona in ["odd", "newer", "other"] {
        add(&world, persona, &baker()).await;
    }
    sql(&world, "update personas set spec = spec || '{\"timezone\": 7}' where name = 'odd'").await;
    sql(&world, "update personas set spec = spec || '{\"mood\": \"glad\"}' where name = 'newer'").await;
    let enabled = world.store.personas().enabled().await.expect("Postgres answers");
    assert_eq!(enabled.iter().map(|persona| persona.name.as_str()).collect::<Vec<_>>(), ["newer", "other"]);
    assert_eq!(run(&world).await["replenishing"], json!(2));
    assert!(world.store.personas().remove(&name("odd"), "ann").await.expect("Postgres answers"), "it can be removed");
}

#[tokio::test]
async fn words_of_a_person_that_another_post_has_are_refused_and_the_post_waits_on() {
    let together =
        Together::saying(&[&batch(&["Rye wants a cold night and a hot stone.", "Oh damn, the crust is burnt."])]).await;
    let world = told(&together, &[IDLE]).await;
    add(&world, "baker", &baker()).await;
    replenish(&world, "baker").await;
    let waiting = of(&world, "baker", PostState::InReview).await[0].id;
    let guard = perch_safety::Guard::new(&perch_safety::Rules::default()).expect("the lists can be read");
    let own = world.settings.sections.get().expect("the bot is there");
    let same = Some("Rye wants a cold night and a hot stone!");
    let refused = perch_bot_personas::approve_post(&world.store, &guard, &own, waiting, same, "ann").await;
    assert!(matches!(refused, Err(StockReviewError::Similar(id, _)) if id != waiting), "{refused:?}");
    assert_eq!(of(&world, "baker", PostState::InReview).await.len(), 1, "it is neither lost nor published");
}

#[tokio::test]
async fn what_keeps_a_persona_from_posting_is_told_to_probes_without_what_strangers_wrote() {
    let together = Together::saying(&["I would rather not."]).await;
    let world = told(&together, &[IDLE]).await;
    let told = async || perch_workers::bots().troubles(&world.settings, &world.store).await;
    assert!(told().await.is_empty());
    add(&world, "baker", &baker()).await;
    replenish(&world, "baker").await;
    assert_eq!(told().await, ["personas: baker: the stock is empty"]);
    world.store.personas().set_enabled(&name("baker"), false, "ann").await.expect("Postgres answers");
    assert!(told().await.is_empty(), "it is paused");
}

/// Several schedulers of several processes at once.
#[tokio::test]
async fn two_schedulers_fill_a_slot_once() {
    let texts = [
        "Rye wants a cold night and a hot stone.",
        "Flour remembers the weather.",
        "Steam is a guest with loud shoes.",
    ];
    let together = Together::saying(&[&batch(&texts)]).await;
    let world = told(&together, &[IDLE]).await;
    add(&world, "baker", &baker()).await;
    replenish(&world, "baker").await;
    let slot_at = this_minute();
    let job = perch_jobs::JobId::at(slot_at);
    let fills = (0..8).map(|_| async {
        let first = |ready: &[perch_bot_personas::ReadyPost], _: &[Option<String>]| ready.first().map(|post| post.id);
        world
            .store
            .slots()
            .fill(&name("baker"), slot_at, ("persona:baker:1", job), first)
            .await
            .expect("Postgres answers")
    });
    let filled = futures::future::join_all(fills).await;
    let ids: BTreeSet<i64> = filled
        .iter()
        .filter_map(|one| match one {
            perch_bot_personas::Reservation::Filled(post) => Some(post.id),
            _ => None,
        })
        .collect();
    assert_eq!(ids.len(), 1, "{filled:?}");
    assert_eq!(of(&world, "baker", PostState::Reserved).await.len(), 1);
}
