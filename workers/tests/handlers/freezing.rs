//! A worker that is frozen between its claim and its call, and resumes after its job was taken over.

use std::{
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};

use perch_jobs::QueueName;
use perch_queue::{Client, Queues};
use perch_sandbox::Endpoint;
use perch_store::{EffectEventKind, JobState, Store};
use perch_testkit::TestRedis;
use perch_workers::bots;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::world::{World, eventually, publication, settings};

const CHILD: &str = "PERCH_TEST_CHILD_VARIABLES";
const KEY: &str = "promise:1";

/// Not a test of its own: the body of the worker process that the test freezes.
#[tokio::test(flavor = "multi_thread")]
async fn child_worker() {
    let Ok(vars) = std::env::var(CHILD) else { return };
    let settings = settings(&serde_json::from_str(&vars).expect("variables as JSON"));
    let redis = TestRedis::at(&vars_url(&vars)).door();
    let database = settings.database_url().expect("it is set");
    let store = Store::connect_lazy(database, settings.env, &settings.postgres).expect("a URL");
    let client = Client::new(Queues::new(redis, &settings, perch_jobs::types()));
    let runtime = bots().worker(&settings, &store, &client).expect("valid settings");
    let queue = QueueName::from_static("pending_posts");
    runtime.run(&[queue], CancellationToken::new()).await.expect("it works until it is killed");
}

fn vars_url(vars: &str) -> String {
    let vars: serde_json::Value = serde_json::from_str(vars).expect("variables as JSON");
    vars["REDIS_URL"].as_str().expect("it is set").to_owned()
}

/// A worker process that is killed when the test ends, however it ends.
struct Worker(Child);

impl Worker {
    /// One whose X is at `x`.
    fn start(world: &World, x: SocketAddr) -> Self {
        let mut vars = world.vars.clone();
        vars.insert("PERCH__X__BASE_URL".into(), format!("http://{x}"));
        vars.insert("PERCH__X__TIMEOUT".into(), "30s".into());
        let child = Command::new(std::env::current_exe().expect("a test has a path"))
            .args(["--exact", "freezing::child_worker", "--nocapture"])
            .env(CHILD, serde_json::to_string(&vars).expect("text is JSON"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the test can start itself");
        Self(child)
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.0.id().to_string()]).status().expect("kill runs");
        assert!(sent.success(), "{name}");
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server that takes no connection until it is opened; then it passes them on.
struct Gate {
    listener: TcpListener,
    waiting: Vec<TcpStream>,
    to: SocketAddr,
}

impl Gate {
    async fn shut(to: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
        let listener = socket.listen(1).expect("it listens");
        let at = listener.local_addr().expect("it is bound");
        let mut waiting = Vec::new();
        // Connections that nobody takes fill its queue; the system leaves the next one without an answer.
        while let Ok(connection) = timeout(Duration::from_millis(300), TcpStream::connect(at)).await {
            waiting.push(connection.expect("the queue has room"));
        }
        Self { listener, waiting, to }
    }

    fn at(&self) -> SocketAddr {
        self.listener.local_addr().expect("it is bound")
    }

    fn open(self) {
        let Self { listener, waiting, to } = self;
        drop(waiting);
        tokio::spawn(async move {
            while let Ok((mut from, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut to = TcpStream::connect(to).await.expect("the sandbox is there");
                    let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
                });
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_wakes_after_its_lease_was_taken_does_not_make_the_call_it_was_about_to_make() {
    let quick = [
        ("PERCH__ENGINE__LEASE", "1500ms"),
        ("PERCH__ENGINE__HEARTBEAT", "300ms"),
        ("PERCH__REDIS__COMMAND_TIMEOUT", "500ms"),
        ("PERCH__X__TIMEOUT", "1s"),
    ];
    let world = World::without_workers(&quick).await;
    let sandbox = world.settings.x.base_url.socket_addrs(|| None).expect("an address")[0];
    let gate = Gate::shut(sandbox).await;
    let worker = Worker::start(&world, gate.at());
    let id = world.enqueue(&publication("Only once", None, Some(KEY))).await;
    eventually("it has the permit and is on its way to X", || async {
        world.effect_events(KEY).await.contains(&EffectEventKind::Claimed).then_some(())
    })
    .await;
    worker.signal("-STOP");
    gate.open();

    let world = world.work();
    eventually("another worker has the job and asks X", || async {
        world.effect_events(KEY).await.contains(&EffectEventKind::Asked).then_some(())
    })
    .await;
    worker.signal("-CONT");
    assert_eq!(world.ended(id).await.state, JobState::Done);

    let history = world.effect_history(KEY).await;
    let (first, last) = (&history[0], &history[history.len() - 1]);
    // Either worker may be the one that posts in the end, the woken one too; but not with the permit that it lost.
    assert_eq!((last.event, last.fence), (EffectEventKind::Confirmed, 2), "{history:#?}");
    let said = history.iter().find(|event| event.event == EffectEventKind::Failed && event.fence == 1);
    assert!(said.is_some_and(|event| event.holder == first.holder), "it says that it sent nothing: {history:#?}");
    assert_eq!((world.x.made().len(), world.x.calls_that_ended(Endpoint::CreatePost, "201")), (1, 1));
    assert_eq!(world.x.calls_that_ended(Endpoint::CreatePost, "403"), 0);
}
