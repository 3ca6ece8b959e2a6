//! TLS to Redis and Postgres, where the URL asks for it: it works with an authority of one's own, and nothing else does.

mod certificates;
mod postgres;
#[path = "../cli/world.rs"]
#[allow(dead_code, reason = "the tests of the command line use the rest")]
mod world;

use std::{
    path::Path,
    process::{Child, Command, Stdio},
};

use certificates::Certificates;
use perch_testkit::{OwnRedis, free_port};
use postgres::Postgres;
use world::{Ran, perch, run, until};

/// Redis that also speaks TLS, and the port where it does.
async fn redis(certificates: &Certificates) -> (OwnRedis, u16) {
    let port = free_port();
    let path = |path: &Path| path.to_str().expect("a path of UTF-8").to_owned();
    let arguments = [
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &path(&certificates.server()),
        "--tls-key-file",
        &path(&certificates.key()),
        "--tls-ca-cert-file",
        &path(&certificates.authority()),
        "--tls-auth-clients",
        "no",
    ];
    (OwnRedis::with(&arguments).await, port)
}

/// The binary, which trusts the authority in `trusted` and no other.
fn trusting(trusted: &Path, arguments: &[&str], redis_url: &str, database_url: &str) -> Command {
    let mut command = perch();
    command.env("SSL_CERT_FILE", trusted).env("APP_ENV", "staging").args(arguments);
    command.env("REDIS_URL", redis_url).env("DATABASE_URL", database_url);
    command.env("PERCH__REDIS__CONNECT_TIMEOUT", "2s").env("PERCH__POSTGRES__ACQUIRE_TIMEOUT", "3s");
    command
}

fn refused(ran: &Ran, about: &str) {
    assert!(ran.code == 1 && !ran.stderr.is_empty(), "{about}: {ran:?}");
}

/// A process that is killed when the test ends, however it ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_over_tls_works_and_a_server_that_cannot_prove_its_name_is_refused() {
    let certificates = Certificates::make();
    let (server, port) = redis(&certificates).await;
    let nowhere = format!("postgres://nobody@127.0.0.1:{}/none", free_port());
    let queues = |trusted: &Path, url: &str| run(&mut trusting(trusted, &["queues"], url, &nowhere), b"");
    let (ours, others) = (certificates.authority(), certificates.other());
    queues(&ours, &format!("rediss://127.0.0.1:{port}")).went_well();
    refused(&queues(&others, &format!("rediss://127.0.0.1:{port}")), "signed by an authority that is not trusted");
    refused(&queues(&ours, &format!("rediss://localhost:{port}")), "a certificate for another name");
    refused(&queues(&ours, &format!("rediss://127.0.0.1:{}", server.port())), "a server without TLS");
    refused(&queues(&ours, &format!("redis://127.0.0.1:{port}")), "a server with TLS, asked without");
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_over_tls_works_and_a_server_that_cannot_prove_its_name_is_refused() {
    let certificates = Certificates::make();
    let (server, plain) = (Postgres::start(Some(&certificates)), Postgres::start(None));
    let migrate =
        |trusted: &Path, url: &str| run(&mut trusting(trusted, &["migrate"], "redis://127.0.0.1:1", url), b"");
    let (ours, others) = (certificates.authority(), certificates.other());
    migrate(&ours, &server.url("127.0.0.1", "sslmode=verify-full")).went_well();
    migrate(&ours, &server.url("localhost", "sslmode=verify-ca")).went_well();
    migrate(&others, &server.url("127.0.0.1", "sslmode=require")).went_well();
    let named = format!("sslmode=verify-full&sslrootcert={}", ours.display());
    migrate(&others, &server.url("127.0.0.1", &named)).went_well();
    let refusals = [
        (&others, server.url("127.0.0.1", "sslmode=verify-full"), "signed by an authority that is not trusted"),
        (&others, server.url("127.0.0.1", "sslmode=verify-ca"), "signed by an authority that is not trusted"),
        (&ours, server.url("localhost", "sslmode=verify-full"), "a certificate for another name"),
        (&ours, server.url("127.0.0.1", "sslmode=disable"), "a server with TLS, asked without"),
        (&ours, plain.url("127.0.0.1", "sslmode=require"), "a server without TLS"),
        (&ours, plain.url("127.0.0.1", "sslmode=verify-full"), "a server without TLS"),
    ];
    for (trusted, url, about) in refusals {
        refused(&migrate(trusted, &url), about);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_passes_from_the_command_line_into_postgres_over_tls_alone() {
    let certificates = Certificates::make();
    let ((_redis, port), postgres) = (redis(&certificates).await, Postgres::start(Some(&certificates)));
    let (redis_url, database_url) =
        (format!("rediss://127.0.0.1:{port}"), postgres.url("127.0.0.1", "sslmode=verify-full"));
    let trusted = certificates.authority();
    let command = |arguments: &[&str]| trusting(&trusted, arguments, &redis_url, &database_url);
    run(&mut command(&["migrate"]), b"").went_well();
    let mut worker = command(&["worker", "--bind", "127.0.0.1:0"]);
    worker.stdout(Stdio::null()).stderr(Stdio::null());
    let _worker = Running(worker.spawn().expect("the binary is built"));
    // In staging it is only rehearsed.
    let payload = r#"{"account":"main","text":"over TLS"}"#;
    run(&mut command(&["enqueue", "publish_post", payload]), b"").went_well();
    until("the job is in Postgres as done", || async {
        run(&mut command(&["enqueue", "sync_hot_state"]), b"").went_well();
        let done = run(&mut command(&["jobs", "list", "--state", "done", "--json"]), b"").json();
        done["items"].as_array().is_some_and(|jobs| jobs.iter().any(|job| job["kind"] == "publish_post"))
    })
    .await;
}
