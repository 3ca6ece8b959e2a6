//! A provider that speaks as Together AI does and says what a test has it say.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use axum::{Json, Router, extract::State, routing::post};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Barrier};

/// An answer that ends before its end.
pub const CUT_OFF: &str = "And another thing";

#[derive(Clone, Default)]
pub struct Together {
    answers: Arc<Mutex<VecDeque<String>>>,
    asked: Arc<Mutex<Vec<Value>>>,
    /// How many of the first questions are answered together, and where they meet.
    meeting: Option<(usize, Arc<Barrier>)>,
    base_url: String,
}

impl Together {
    /// One that gives these answers in turn, and something harmless after them.
    pub async fn saying(answers: &[&str]) -> Self {
        Self::start(answers, None).await
    }

    /// The same, which answers none of the first `count` questions before it was asked all of them.
    pub async fn saying_at_once(answers: &[&str], count: usize) -> Self {
        Self::start(answers, Some((count, Arc::new(Barrier::new(count))))).await
    }

    async fn start(answers: &[&str], meeting: Option<(usize, Arc<Barrier>)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let together = Self {
            answers: Arc::new(Mutex::new(answers.iter().map(|answer| (*answer).to_owned()).collect())),
            base_url: format!("http://{address}/v1"),
            meeting,
            ..Self::default()
        };
        let router = Router::new().route("/v1/chat/completions", post(complete)).with_state(together.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        together
    }

    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The bodies of the requests so far.
    pub fn asked(&self) -> Vec<Value> {
        self.asked.lock().expect("no test panics with it").clone()
    }
}

async fn complete(State(together): State<Together>, Json(body): Json<Value>) -> Json<Value> {
    let nth = {
        let mut asked = together.asked.lock().expect("no test panics with it");
        asked.push(body.clone());
        asked.len()
    };
    let answer = together.answers.lock().expect("no test panics with it").pop_front();
    if let Some((_, barrier)) = together.meeting.as_ref().filter(|(count, _)| nth <= *count) {
        barrier.wait().await;
    }
    let content = answer.unwrap_or_else(|| format!("Fair point number {nth}, good luck tonight."));
    Json(json!({
        "id": format!("nz{nth:06}-4Yz4kd"), "object": "chat.completion", "created": 1_790_000_000, "model": body["model"],
        "prompt": [],
        "choices": [{
            "finish_reason": if content == CUT_OFF { "length" } else { "stop" }, "seed": 7_312_839_u64, "logprobs": null, "index": 0,
            "message": { "role": "assistant", "content": content, "tool_calls": [] },
        }],
        "usage": { "prompt_tokens": 120, "completion_tokens": 14, "total_tokens": 134, "cached_tokens": 0 },
    }))
}
