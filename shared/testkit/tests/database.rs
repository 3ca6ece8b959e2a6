//! Databases of tests do not disturb each other.
#![allow(clippy::unwrap_used, reason = "a test that panics says where and why")]

use perch_testkit::TestDatabase;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// A login in progress: the server has asked for the password and waits for it.
async fn login(database: &TestDatabase) -> TcpStream {
    let url = url::Url::parse(database.url()).unwrap();
    let address = (url.host_str().unwrap(), url.port().unwrap());
    let mut server = TcpStream::connect(address).await.unwrap();
    let name = url.path().trim_start_matches('/');
    let mut message = Vec::from(196_608_u32.to_be_bytes());
    for text in ["user", url.username(), "database", name, ""] {
        message.extend_from_slice(text.as_bytes());
        message.push(0);
    }
    server.write_u32(u32::try_from(message.len() + 4).unwrap()).await.unwrap();
    server.write_all(&message).await.unwrap();
    assert_eq!(server.read_u8().await.unwrap(), b'R', "the server asks for the password");
    let length = server.read_u32().await.unwrap() as usize - 4;
    server.read_exact(&mut vec![0; length]).await.unwrap();
    server
}

/// `drop database` waits for logins in progress. A test that plays several worlds in one task holds them while it drops one.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_dropped_cuts_no_login_of_another() {
    let (one, other) = (TestDatabase::create().await, TestDatabase::create().await);
    let server = login(&other).await;
    drop(one);
    let mut answer = [0];
    let still_waits = server.try_read(&mut answer);
    assert_eq!(still_waits.unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "the server ended the login");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_database_is_dropped_with_all_before_it() {
    let (one, other) = (TestDatabase::create().await, TestDatabase::create().await);
    let names = [&one, &other].map(|database| database.url().rsplit('/').next().unwrap().to_owned());
    let server = one.url().rsplit_once('/').unwrap().0.to_owned() + "/postgres";
    drop((one, other));
    let mut conn = <sqlx::PgConnection as sqlx::Connection>::connect(&server).await.unwrap();
    let left: i64 = sqlx::query_scalar("select count(*) from pg_database where datname = any($1)")
        .bind(&names)
        .fetch_one(&mut conn)
        .await
        .unwrap();
    assert_eq!(left, 0);
}
