//! Invalid answers of models and of X.

use perch_base::Paging;
use perch_bot_mentions::MentionState;
use perch_bot_picks::store::PicksStore as _;
use perch_clients::x::CreatePost;
use perch_jobs::PollAccount;
use perch_sandbox::{Endpoint, Fault, FaultKind};
use perch_store::{ActionState, JobState};
use serde_json::{Value, json};

use crate::{
    mentions::{FAN, comes_to, fetched, told},
    together::Together,
    world::{CELTICS, LAKERS, SALLY, World, eventually, main_account},
};

const TWO_PROVIDERS: [(&str, &str); 2] = [("OPENAI_API_KEY", "sandbox"), ("PERCH__PICKS__PROVIDERS", "openai, grok")];

/// A world in which two providers extract, both of them the sandbox.
async fn two_providers(vars: &[(&str, &str)]) -> World {
    let world = World::without_workers(&[&TWO_PROVIDERS[..], vars].concat()).await;
    let models = world.vars["PERCH__MODELS__PROVIDERS__GROK__BASE_URL"].clone();
    world.configured(&[("PERCH__MODELS__PROVIDERS__OPENAI__BASE_URL", &models)]).work()
}

async fn extracted(world: &World, text: &str) -> Value {
    world.done(&world.written(SALLY, text)).await.result.expect("a result")
}

#[tokio::test]
async fn a_reply_goes_out_without_what_stands_around_it() {
    for (answer, published) in [
        (
            "<think>The user wants an explanation; the persona says short.</think>\nGood question, friend.",
            "Good question, friend.",
        ),
        ("Okay, the persona is dry.</think>\n\nReply: \"I would wait.\"", "I would wait."),
        ("```json\n{\"reply\": \"No bet for me tonight.\"}\n```", "No bet for me tonight."),
        ("```text\nSmall stakes only.\n```", "Small stakes only."),
        ("Here is the reply:\n\nI lean under, no rush.", "I lean under, no rush."),
        (
            "Sure! Here's a short answer: {\"reasoning\": \"be kind\", \"reply\": \"Enjoy the game.\"}",
            "Enjoy the game.",
        ),
    ] {
        let together = Together::saying(&[answer]).await;
        let world = told(&together, &[]).await;
        let mention = world.x.publish(FAN, "@perch_bot who do you like?");
        fetched(&world).await;
        comes_to(&world, &mention, MentionState::Answered).await;
        assert_eq!(world.x.made()[0].text, published, "{answer}");
    }
}

#[tokio::test]
async fn an_answer_of_which_nobody_can_tell_the_reply_is_asked_for_once_more_and_then_left_to_a_person() {
    for answer in [
        "The user is asking about tonight.\n\nI would go with: under.\n\nLet me know if you want it shorter.",
        "<scratch>hm</scratch> I would wait.",
        "**Reply**\nI would wait.",
    ] {
        let together = Together::saying(&[answer, answer]).await;
        let world = told(&together, &[]).await;
        let mention = world.x.publish(FAN, "@perch_bot who do you like?");
        fetched(&world).await;
        comes_to(&world, &mention, MentionState::InReview).await;
        assert_eq!((together.asked().len(), world.x.made().len()), (2, 0), "{answer}");
    }
}

#[tokio::test]
async fn a_model_that_thinks_aloud_before_its_json_has_its_picks_read() {
    let world = World::start().await;
    world.x.add_fault(Fault::new(Endpoint::Chat, FaultKind::ThinksAloud));
    let result = extracted(&world, LAKERS).await;
    assert_eq!((&result["new"], &result["objections"]), (&json!(1), &json!(0)));
}

#[tokio::test]
async fn a_provider_whose_answers_cannot_be_used_gives_way_to_the_next() {
    let world = two_providers(&[]).await;
    world.x.add_fault(Fault::new(Endpoint::Chat, FaultKind::Malformed).times(3));
    let result = extracted(&world, LAKERS).await;
    assert_eq!((&result["new"], &result["objections"]), (&json!(1), &json!(3)));
    assert_eq!(result["model"], world.settings.models.providers["grok"].model);
    assert_eq!(world.x.calls(Endpoint::Chat), 4);
}

#[tokio::test]
async fn a_provider_without_credit_gives_way_to_the_next() {
    let world = two_providers(&[]).await;
    world.x.add_fault(Fault::new(Endpoint::Chat, FaultKind::NoCredit).times(1));
    let result = extracted(&world, LAKERS).await;
    assert_eq!((&result["new"], &result["model"]), (&json!(1), &json!(world.settings.models.providers["grok"].model)));
}

#[tokio::test]
async fn where_nobody_has_credit_a_reply_is_dead_with_what_to_do_and_picks_are_read_by_the_rules() {
    let world = World::start().await;
    world.x.add_fault(Fault::new(Endpoint::Chat, FaultKind::NoCredit));
    assert_eq!(extracted(&world, LAKERS).await["model"], json!("rules"));
    let mention = world.x.publish(FAN, "@perch_bot who do you like?");
    fetched(&world).await;
    let failed = comes_to(&world, &mention, MentionState::Failed).await;
    let job = world.ended(failed.job_id.expect("it has a job")).await;
    assert!(
        job.state == JobState::Dead && job.last_error.as_deref().is_some_and(|why| why.contains("top it up")),
        "{job:?}"
    );
}

#[tokio::test]
async fn an_error_inside_a_200_and_a_usage_that_is_none_cost_neither_the_post_nor_an_answer() {
    let world = World::start().await;
    world.x.add_fault(Fault::new(Endpoint::Chat, FaultKind::ErrorInside).times(1));
    world.x.add_fault(Fault::new(Endpoint::Chat, FaultKind::OddUsage));
    let result = extracted(&world, LAKERS).await;
    assert_eq!(result["new"], json!(1));
    assert!(result["prompt_tokens"].as_u64().is_some_and(|tokens| tokens > 0), "{result}");
}

#[tokio::test]
async fn one_odd_post_of_a_page_is_counted_and_the_others_are_read_by_polls_and_for_mentions() {
    let world = World::start().await;
    for text in [LAKERS, CELTICS, "Suns ML"] {
        world.x.publish(SALLY, text);
        world.x.publish(FAN, format!("@perch_bot {text}").as_str());
    }
    world.x.add_fault(Fault::new(Endpoint::UserPosts, FaultKind::OddPost).times(1));
    world.x.add_fault(Fault::new(Endpoint::Mentions, FaultKind::OddPost).times(1));
    let polled = world.done(&PollAccount { username: SALLY.into() }).await.result.expect("a result");
    assert_eq!(polled, json!({ "read": 3, "taken": 2, "skipped": { "unreadable": 1 } }));
    assert_eq!(fetched(&world).await, json!({ "read": 3, "taken": 2, "left_out": { "unreadable": 1 } }));
    let again = world.done(&PollAccount { username: SALLY.into() }).await.result.expect("a result");
    assert_eq!(again, json!({ "read": 0, "taken": 0 }), "what is known to be there is not paid for again");
    let reads = eventually("the reads are written down", || async {
        world.sync().await;
        let day = perch_store::day(chrono::Utc::now());
        let sums = world
            .store
            .spend()
            .sums(day, day + chrono::TimeDelta::days(2), &Paging::default())
            .await
            .expect("Postgres answers")
            .2
            .items;
        // The numbers of what is out by then are read too, on the bill of another bot.
        let of_polls = |bot: &str| ["picks", "mentions"].contains(&bot);
        let reads: Vec<i64> = sums
            .iter()
            .filter(|sum| of_polls(&sum.bot) && sum.kind.ends_with("_read") && sum.kind != "user_read")
            .map(|sum| sum.units)
            .collect();
        (reads.len() == 2).then_some(reads)
    })
    .await;
    assert_eq!(reads, [3, 3], "each post once");
}

#[tokio::test]
async fn an_edit_of_a_post_whose_pick_is_out_is_published_nowhere_and_flagged() {
    let world = World::start().await;
    let id = world.x.publish(SALLY, LAKERS);
    let poll = PollAccount { username: SALLY.into() };
    world.done(&poll).await;
    let key = eventually("the pick is out", || async {
        world.sync().await;
        let pick = world.store.picks().latest(1).await.expect("Postgres answers").pop()?;
        (world.x.made().len() == 1).then_some(pick.key)
    })
    .await;

    world.x.edit(&id, "Lakers -2.5 (-110) 2u").expect("it is there");
    world.done(&poll).await;
    let flagged = eventually("the edit is flagged", || async {
        world.sync().await;
        let actions = world.store.picks().actions_of(&key).await.expect("Postgres answers");
        actions.into_iter().find(|action| action.state == ActionState::Failed)
    })
    .await;
    let why = flagged.error.expect("a reason");
    assert!(why.contains("edited") && why.contains("-2.5"), "{why}");
    assert_eq!(world.store.picks().latest(10).await.expect("Postgres answers").len(), 1, "the author has one bet");
    assert_eq!(world.x.made().len(), 1);
}

#[tokio::test]
async fn a_line_that_an_edit_adds_to_a_post_without_a_pick_is_a_pick_of_its_own() {
    let world = World::start().await;
    let id = world.x.publish(SALLY, "Locked in for tonight, card is coming. Lakers and more 2u");
    let poll = PollAccount { username: SALLY.into() };
    world.done(&poll).await;
    world.x.edit(&id, LAKERS).expect("it is there");
    world.done(&poll).await;
    eventually("the pick is out", || async { (world.x.made().len() == 1).then_some(()) }).await;
}

#[tokio::test]
async fn an_edited_mention_is_answered_once() {
    let together = Together::saying(&[]).await;
    let world = told(&together, &[]).await;
    let mention = world.x.publish(FAN, "@perch_bot who do you like?");
    fetched(&world).await;
    comes_to(&world, &mention, MentionState::Answered).await;
    world.x.edit(&mention, "@perch_bot who do you like tonight?").expect("it is there");
    assert_eq!(fetched(&world).await, json!({ "read": 1, "taken": 0, "left_out": { "processed": 1 } }));
    assert_eq!(world.x.made().len(), 1);
}

#[tokio::test]
async fn own_posts_and_mentions_are_read_at_the_price_of_own_reads() {
    let together = Together::saying(&[]).await;
    let world = told(&together, &[]).await;
    let mention = world.x.publish(FAN, "@perch_bot who do you like?");
    fetched(&world).await;
    comes_to(&world, &mention, MentionState::Answered).await;
    let sums = eventually("one mention and two readings of the reply are paid for", || async {
        world.sync().await;
        let day = perch_store::day(chrono::Utc::now());
        let sums = world
            .store
            .spend()
            .sums(day, day + chrono::TimeDelta::days(2), &Paging::default())
            .await
            .expect("Postgres answers")
            .2
            .items;
        let own: i64 = sums.iter().filter(|sum| sum.kind == "own_read").map(|sum| sum.units).sum();
        (own == 3).then_some(sums)
    })
    .await;
    let micros: i64 = sums.iter().filter(|sum| sum.kind == "own_read").map(|sum| sum.micros).sum();
    assert_eq!((micros, sums.iter().any(|sum| sum.kind == "post_read")), (3_000, false), "{sums:?}");
    assert_eq!(world.x.calls(Endpoint::Posts), 0);
}

#[tokio::test]
async fn a_post_that_went_out_before_a_crash_is_found_though_nothing_is_sent_any_more() {
    // An attempt that had the permit and posted, and was killed before it could say so.
    let world = World::without_workers(&[]).await;
    let job = crate::world::publication("It went out.", None, Some("promise:1"));
    let id = world.enqueue(&job).await;
    let intent = perch_store::EffectIntent {
        key: "promise:1".into(),
        kind: "post".into(),
        account: "main".into(),
        digest: perch_store::request_digest(&["main", "It went out.", ""]),
        job: id,
        attempt: 1,
        holder: crate::world::lost_worker(),
        live: true,
    };
    let _lost = world.store.effects().claim(&intent).await.expect("Postgres answers");
    let post = CreatePost { text: "It went out.".into(), reply_to: None, ..CreatePost::default() };
    world.other_x().create_post(crate::world::TestPermit, &main_account(), &post).await.expect("X takes it");
    world.age_effect("promise:1").await;

    // Now posts are simulated: to Perch this address is not this machine.
    let elsewhere = world.vars["PERCH__X__BASE_URL"].replace("127.0.0.1", "0.0.0.0");
    let world = world.configured(&[("PERCH__X__BASE_URL", &elsewhere)]).work();
    let ended = world.ended(id).await;
    assert_eq!(ended.result.as_ref().map(|result| &result["outcome"]), Some(&json!("published")), "{ended:?}");
    assert_eq!(world.x.made().len(), 1);
    world.done(&crate::world::publication("Not any more.", None, Some("promise:2"))).await;
    assert_eq!(world.action("promise:2").await.state, ActionState::Simulated);
}
