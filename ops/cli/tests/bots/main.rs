//! Both bots through a whole day: twenty accounts and three hundred mentions in the sandbox, the real binary, workers that are
//! killed on the way, and in the end what the day deserves, and nothing twice.

mod books;
mod day;
#[path = "../cli/world.rs"]
#[allow(dead_code, reason = "the tests of the command line use the rest")]
mod world;

use std::time::Duration;

use perch_play::{DAY, DayOptions, Player, Script};
use perch_sandbox::Endpoint;

use crate::{
    books::Books,
    day::{KILLS, Staged, patiently},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_of_twenty_accounts_and_three_hundred_mentions_ends_with_what_it_deserves_and_nothing_twice() {
    let script = Script::write(&DayOptions::default()).expect("a day");
    let mut player = Player::new(&script);
    let accounts = player.expectation().accounts;
    let staged = Staged::start(&accounts).await;
    let _scheduler = staged.run(&["scheduler"]);
    let mut workers = [staged.run(&["worker"]), staged.run(&["worker"])];
    let x = staged.sandbox();

    // Three times a day a worker dies amid its work, and another takes its place.
    for (hour, victim) in KILLS {
        let before = x.made().len();
        player.play_until(&x, DAY * hour / 24);
        let busy = x.wait_until(Duration::from_secs(20), |x| x.made().len() > before).await;
        assert!(busy || hour == 6, "the bots do nothing before hour {hour}");
        workers[victim].kill();
        workers[victim] = staged.run(&["worker"]);
    }
    player.play(&x);

    let expected = player.expectation();
    patiently(|| async { Books::read(&staged).await.wrong(&expected) }).await;

    // Later polls find nothing new to do, and what was done stands in the ledger once.
    let (made, polls) = (x.made(), x.calls(Endpoint::UserPosts));
    let polled = x.wait_until(Duration::from_secs(30), |x| x.calls(Endpoint::UserPosts) > polls + 20).await;
    assert!(polled, "the accounts are not polled any more");
    assert_eq!(x.made().len(), made.len(), "something was done a second time");
    let books = Books::read(&staged).await;
    assert_eq!(books.wrong(&expected), Vec::<String>::new());
    assert_eq!(books.unsettled, 0, "an effect is left open");
    assert_eq!(books.check_records(&staged.tell(&["picks", "record", "--by", "account"])), Vec::<String>::new());
    assert!(books.spent_on.contains("x") && books.spent_on.contains("grok") && books.spent_on.contains("together"));
}
