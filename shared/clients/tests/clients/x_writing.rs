use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use perch_base::{Classified as _, Disposition};
use perch_clients::{EffectPermit, LocalLimits, WriteOutcome, XClient, XError, x::CreatePost};
use perch_jobs::AccountId;
use sha1::Sha1;

use crate::{
    server::{Reply, Server},
    world::{
        CONSUMER_KEY, CONSUMER_SECRET, PATIENT, Permit, TOKEN, TOKEN_SECRET, created, main_account, post_id, problem,
        x_client, x_config,
    },
};

fn tailing() -> CreatePost {
    CreatePost { text: "Tailing this.".into(), reply_to: Some(post_id("1849")), ..CreatePost::default() }
}

async fn refused(reply: Reply, post: &CreatePost) -> XError {
    let server = Server::start([reply]).await;
    let error = x_client(&server.base).create_post(Permit, &main_account(), post).await.expect_err("a refusal");
    assert_eq!(server.requests().len(), 1, "a write is sent once");
    error
}

#[tokio::test]
async fn a_write_is_signed_over_its_address_and_not_over_its_body() {
    const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    let encoded = |text: &str| utf8_percent_encode(text, RESERVED).to_string();
    let server = Server::start([Reply::json(201, &created())]).await;

    x_client(&server.base).create_post(Permit, &main_account(), &tailing()).await.expect("a post");

    let request = server.request();
    let header = request.header("authorization").strip_prefix("OAuth ").expect("an OAuth header").to_owned();
    let mut fields: BTreeMap<String, String> = header
        .split(", ")
        .map(|field| {
            let (name, value) = field.split_once('=').expect("a pair");
            let value = percent_decode_str(value.trim_matches('"')).decode_utf8().expect("UTF-8");
            (name.to_owned(), value.into_owned())
        })
        .collect();
    let signature = fields.remove("oauth_signature").expect("a signature");
    assert_eq!(fields["oauth_consumer_key"], CONSUMER_KEY);
    assert_eq!(fields["oauth_token"], TOKEN);
    let joined: Vec<String> = fields.iter().map(|(n, v)| format!("{}={}", encoded(n), encoded(v))).collect();
    let address = server.base.join("2/tweets").expect("a URL");
    let base = format!("POST&{}&{}", encoded(address.as_str()), encoded(&joined.join("&")));
    let mut mac = Hmac::<Sha1>::new_from_slice(format!("{CONSUMER_SECRET}&{TOKEN_SECRET}").as_bytes()).expect("a key");
    mac.update(base.as_bytes());
    assert_eq!(signature, STANDARD.encode(mac.finalize().into_bytes()));
}

#[tokio::test]
async fn a_second_post_with_the_same_text_is_a_duplicate_and_never_repeated() {
    let detail = "You are not allowed to create a Tweet with duplicate content.";
    let error = refused(Reply::json(403, &problem(403, "about:blank", "Forbidden", detail)), &tailing()).await;
    assert!(matches!(error, XError::DuplicateContent { .. }), "{error:?}");
    assert_eq!(error.disposition(), Disposition::Never);
    assert_eq!(error.write_outcome(), WriteOutcome::NotDone);
}

#[tokio::test]
async fn a_reply_that_the_plan_does_not_allow_is_explained() {
    let detail = "Reply to this conversation is not allowed because you have not been mentioned or otherwise engaged \
                  by the author of the post you are replying to.";
    let error = refused(Reply::json(403, &problem(403, "about:blank", "Forbidden", detail)), &tailing()).await;
    assert!(matches!(error, XError::ReplyNotAllowed { .. }), "{error:?}");
    assert_eq!(error.disposition(), Disposition::Never);
    assert!(error.outcome_known());
    for part in ["mentioned the account or quoted it", "x.plan", "publish a post of its own instead", "Enterprise"] {
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[tokio::test]
async fn a_reply_to_a_post_that_is_gone_is_told_and_never_repeated() {
    let detail = "You attempted to reply to a Tweet that is deleted or not visible to you.";
    let error = refused(Reply::json(403, &problem(403, "about:blank", "Forbidden", detail)), &tailing()).await;
    assert!(matches!(error, XError::TargetGone { .. }), "{error:?}");
    assert_eq!((error.disposition(), error.write_outcome()), (Disposition::Never, WriteOutcome::NotDone));
}

#[tokio::test]
async fn refused_credentials_name_the_variables_to_check() {
    let error =
        refused(Reply::json(401, &problem(401, "about:blank", "Unauthorized", "Unauthorized")), &tailing()).await;
    for part in ["X_MAIN_ACCESS_TOKEN", "X_API_SECRET", "clock", "POST /2/tweets as main"] {
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[tokio::test]
async fn missing_credentials_are_named_and_nothing_is_sent() {
    let server = Server::start([]).await;
    let mut config = x_config(&server.base, PATIENT);
    config.bearer = None;
    let x = XClient::new(config, Arc::new(LocalLimits::new())).expect("a client");

    let reading = x.user_by_username("capper").await.expect_err("no token");
    let other = AccountId::from_static("second_bot");
    let writing = x.create_post(Permit, &other, &tailing()).await.expect_err("no keys");

    assert!(reading.to_string().contains("X_API_BEARER_TOKEN"), "{reading}");
    assert!(writing.to_string().contains("X_SECOND_BOT_ACCESS_TOKEN"), "{writing}");
    assert_eq!(writing.write_outcome(), WriteOutcome::NotDone);
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_redirected_write_is_not_followed_and_its_outcome_is_unknown() {
    let error = refused(Reply::text(307, "").with("location", &"/elsewhere"), &tailing()).await;
    assert!(matches!(error, XError::Problem { status: 307, .. }), "{error:?}");
    assert_eq!(error.write_outcome(), WriteOutcome::Unknown);
}

/// A permit that is lost after so many checks.
struct Fleeting(AtomicU32);

impl EffectPermit for Fleeting {
    fn effect_key(&self) -> &'static str {
        "publish:test"
    }

    fn holds(&self) -> bool {
        self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
    }
}

#[tokio::test]
async fn a_write_whose_permit_was_lost_is_not_sent_not_even_on_an_open_connection() {
    let server = Server::start([Reply::json(201, &created())]).await;
    let x = x_client(&server.base);
    for holds_for in [0, 1] {
        let permit = Fleeting(AtomicU32::new(holds_for));
        let error = x.create_post(permit, &main_account(), &tailing()).await.expect_err("no permit");
        assert!(matches!(error, XError::PermitLost { .. }), "{error:?}");
        assert_eq!((error.write_outcome(), error.disposition()), (WriteOutcome::NotDone, Disposition::Retry));
        assert!(server.requests().is_empty(), "{holds_for}");
    }
    x.create_post(Fleeting(AtomicU32::new(2)), &main_account(), &tailing()).await.expect("a post");
    assert_eq!(server.requests().len(), 1);
}
