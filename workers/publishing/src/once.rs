//! Does an act on X once, however often the job runs: claim, call, settle, record. An effect that an earlier attempt left open is
//! settled by searching X before the call is made again. The gate is passed before the claim and checked again before the call.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use perch_base::{clock, crash_point, settings::SimilarMode};
use perch_clients::{XError, x::Search};
use perch_core::x_failed;
use perch_queue::{Fail, worker::HandlerResult};
use perch_safety::similar::{Fingerprint, is_near_duplicate};
use perch_store::{
    CLEAR_FOR, Claim, EffectIntent, EffectState, Effects, Evidence, NewText, Permit, StoreError, StoredEffect,
    Takeover, request_digest,
};
use serde_json::json;

use super::{
    act::{Act, ActResponse},
    attempt::ActAttempt,
    decide::{ErrorMeaning, Finding, Resolution, Sending, SettleTime, error_meaning, finding, resolution},
    gate::{Deferral, Gate, GateDecision, GatePass, GateRequest},
    permit::LeasedPermit,
    record::{Published, record, record_refusal},
};

/// The least time before a call is tried again that X refused for what may end by itself.
const SHORTEST_WAIT: Duration = Duration::from_millis(500);

/// Why an attempt ends without a confirmed effect.
enum ActError {
    /// X refused it for good.
    Refused(String),
    /// Its effect key belongs to another act.
    Foreign(String),
    /// Any other failure.
    Failed(Fail),
}

impl From<StoreError> for ActError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl ActError {
    /// For an error of X after which the act is certainly not done.
    fn of(error: XError) -> Self {
        match x_failed(error) {
            Fail::Dead(why) => Self::Refused(why),
            fail => Self::Failed(fail),
        }
    }

    fn retry(why: impl Into<String>) -> Self {
        Self::Failed(Fail::Retry(why.into()))
    }

    fn held(held: Deferral) -> Self {
        Self::Failed(held.into())
    }

    fn why(&self) -> &str {
        match self {
            Self::Refused(why)
            | Self::Foreign(why)
            | Self::Failed(
                Fail::Retry(why)
                | Fail::RetryAfter(_, why)
                | Fail::Snooze(_, why)
                | Fail::Dead(why)
                | Fail::Cancelled(why),
            ) => why,
        }
    }
}

impl<A: Act> ActAttempt<'_, A> {
    /// Does the act, unless it is done already, and records it.
    pub(super) async fn carry_out(&self) -> HandlerResult<Published> {
        match self.done().await {
            Ok(effect) => {
                crash_point!("publish.confirmed");
                let published = record(self, &effect).await?;
                crash_point!("publish.recorded");
                Ok(published)
            }
            Err(ActError::Refused(why)) => {
                record_refusal(self, &why).await?;
                Err(Fail::Dead(why))
            }
            Err(ActError::Foreign(why)) => Err(Fail::Dead(why)),
            Err(ActError::Failed(fail)) => {
                if let Some(why) = self.gives_up(&fail) {
                    record_refusal(self, why).await?;
                }
                Err(fail)
            }
        }
    }

    /// The error where this failure makes the job a dead letter.
    fn gives_up<'f>(&self, fail: &'f Fail) -> Option<&'f str> {
        match fail {
            Fail::Dead(why) => Some(why),
            Fail::Retry(why) | Fail::RetryAfter(_, why) if self.cx.attempt() >= self.cx.max_attempts() => Some(why),
            _ => None,
        }
    }

    /// The confirmed effect: an earlier one, or that of a call made now.
    async fn done(&self) -> Result<StoredEffect, ActError> {
        // An effect that may have been done is searched for without passing the gate, and a confirmed one is only recorded.
        let known = self.ledger().get(&self.key).await?;
        let settled_at = known.as_ref().and_then(|effect| effect.settled_at);
        let pass = match known {
            Some(effect) if effect.state == EffectState::Confirmed => None,
            Some(effect) if effect.state != EffectState::Failed => {
                self.prepare().await?;
                None
            }
            _ => {
                if let Some(why) = &self.objection {
                    return Err(ActError::Refused(why.clone()));
                }
                let pass = self.admitted_and_prepared().await?;
                if let Err(stop) = self.claim_words().await {
                    self.gate().leave(&pass).await;
                    return Err(stop);
                }
                Some(pass)
            }
        };
        crash_point!("publish.admitted");
        let claim = self.ledger().claim(&self.intent()).await?;
        crash_point!("publish.claimed");
        // Without a permit the place is kept: it belongs to the effect, and the attempt with the permit may be using it.
        match claim {
            Claim::Granted(permit) if self.may_be_forgotten(settled_at, permit.lost_at()) => {
                self.ask_first(&permit, pass).await
            }
            Claim::Granted(permit) => self.act(permit, pass).await,
            Claim::Done(effect) => Ok(*effect),
            Claim::Unresolved { effect, takeover } => self.resolve(&effect, takeover).await,
            Claim::Busy { effect, retry_after } => {
                let why = format!("job {} is working on the same {}", effect.job_id, self.act.kind());
                Err(ActError::Failed(Fail::Snooze(retry_after, why)))
            }
            Claim::Superseded { effect } => {
                Err(ActError::retry(format!("attempt {} of this job has taken over; this one stops", effect.attempt)))
            }
            Claim::DigestMismatch { effect } => Err(ActError::Foreign(format!(
                "the effect key {} belongs to another {}, of job {}; enqueue this one with a key of its own",
                self.key, effect.kind, effect.job_id
            ))),
        }
    }

    /// Claims the words of the act for its account. X forbids several accounts of one operator to say nearly the same.
    async fn claim_words(&self) -> Result<(), ActError> {
        let settings = &self.publisher.settings;
        let configured = settings.x.accounts.keys().filter(|account| *account != self.act.account());
        let others: Vec<String> = configured.map(ToString::to_string).collect();
        if self.sending == Sending::Simulated || others.is_empty() {
            return Ok(());
        }
        let Some(words) = self.act.own_words() else { return Ok(()) };
        let fingerprint = Fingerprint::of(words);
        let keys: Vec<i32> = Fingerprint::keys(words).into_iter().map(u32::cast_signed).collect();
        // What an account that may say the same has said is known to the others all the same.
        let is_compared = settings.posting_of(self.act.account()).similar == SimilarMode::Refuse;
        let others = if is_compared { &others[..] } else { &[] };
        let new = NewText { key: &self.key, account: self.act.account(), text: words, keys: &keys, others };
        let is_like = |other: &str| is_near_duplicate(&fingerprint, &Fingerprint::of(other));
        match self.publisher.store.account_texts().claim(&new, is_like).await? {
            None => Ok(()),
            Some(other) => Err(ActError::Refused(format!(
                "the account {} has published nearly the same ({}): {:?}; X forbids it on several accounts of one operator; change the \
                 text and replay, or discard this, or let such posts of {} pass with posting.similar = \"allow\"",
                other.account,
                other.key,
                cut(&other.text),
                self.act.account()
            ))),
        }
    }

    /// Until when the ledger may lack what this job did: the job was put back from a Postgres that may have lost data, or Postgres lost
    /// data while the job waited.
    fn in_doubt_since(&self, lost_at: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
        self.cx.recovered_at().max(lost_at)
    }

    /// Whether the act may have been done although the ledger has nothing of it.
    fn may_be_forgotten(&self, settled_at: Option<DateTime<Utc>>, lost_at: Option<DateTime<Utc>>) -> bool {
        let is_unsettled = |since| settled_at.is_none_or(|at| at < since);
        self.sending == Sending::Real && self.in_doubt_since(lost_at).is_some_and(is_unsettled)
    }

    /// Settles the effect as unknown. The next attempt, which comes at once, searches X before it does anything.
    async fn ask_first(&self, permit: &Permit, pass: Option<GatePass>) -> Result<StoredEffect, ActError> {
        let why = "Postgres may have lost that it was done; X is asked first";
        self.ledger().unknown(permit, why).await?;
        if let Some(pass) = pass {
            self.gate().leave(&pass).await;
        }
        Err(ActError::Failed(Fail::Snooze(Duration::from_millis(1), why.to_owned())))
    }

    fn ledger(&self) -> Effects<'_> {
        self.publisher.store.effects()
    }

    fn intent(&self) -> EffectIntent {
        EffectIntent {
            key: self.key.clone(),
            kind: self.act.kind().to_owned(),
            account: self.act.account().to_string(),
            digest: request_digest(&self.act.request()),
            job: self.cx.id(),
            attempt: self.cx.attempt(),
            holder: self.cx.worker().to_owned(),
            live: self.sending == Sending::Real,
        }
    }

    fn gate(&self) -> &Gate {
        &self.publisher.gate
    }

    fn wanted(&self) -> GateRequest<'_> {
        let (account, bot) = (self.act.account(), self.publisher.bot);
        GateRequest { account, bot, kind: self.act.counts_as(), key: &self.key, cx: self.cx }
    }

    /// Passes the gate. A job that the brake stops waits here for a while.
    async fn admitted(&self) -> Result<GatePass, ActError> {
        match self.gate().enter(&self.wanted()).await? {
            GateDecision::Open(pass) => Ok(pass),
            GateDecision::Braked(state) => Err(ActError::held(self.gate().wait_for_lift(&state, self.cx).await)),
            GateDecision::Deferred(held) => Err(ActError::held(held)),
        }
    }

    /// Passes the gate before any call to X, even a read: while the brake is on, the tokens may be revoked.
    async fn admitted_and_prepared(&self) -> Result<GatePass, ActError> {
        let pass = self.admitted().await?;
        let asked = Instant::now();
        if let Err(stop) = self.prepared_and_ready().await {
            self.gate().leave(&pass).await;
            return Err(stop);
        }
        // After a slow preparation the gate is passed again, with the same place.
        if asked.elapsed() < CLEAR_FOR {
            return Ok(pass);
        }
        match self.admitted().await {
            Ok(pass) => Ok(pass),
            Err(stop) => {
                self.gate().leave(&pass).await;
                Err(stop)
            }
        }
    }

    async fn prepared_and_ready(&self) -> Result<(), ActError> {
        self.prepare().await?;
        match self.sending {
            Sending::Real => self.act.make_ready(self.publisher).await.map_err(|fail| match fail {
                Fail::Dead(why) => ActError::Refused(why),
                fail => ActError::Failed(fail),
            }),
            Sending::Simulated => Ok(()),
        }
    }

    async fn prepare(&self) -> Result<(), ActError> {
        match self.sending {
            Sending::Real => self.act.prepare(self.publisher).await.map_err(ActError::of),
            Sending::Simulated => Ok(()),
        }
    }

    /// A pass that is valid right before the call: the one from before the claim, or a new one.
    async fn open(&self, pass: Option<GatePass>) -> Result<GatePass, ActError> {
        let pass = match pass {
            Some(pass) => pass,
            None => match self.gate().enter(&self.wanted()).await? {
                GateDecision::Open(pass) => pass,
                GateDecision::Braked(state) => return Err(ActError::held(Deferral::braked(&state))),
                GateDecision::Deferred(held) => return Err(ActError::held(held)),
            },
        };
        let stopped = match self.gate().begin(&pass).await {
            Ok(None) => return Ok(pass),
            Ok(Some(held)) => ActError::held(held),
            Err(error) => error.into(),
        };
        self.gate().leave(&pass).await;
        Err(stopped)
    }

    /// Calls X with a permit of the ledger, and settles the effect.
    async fn act(&self, permit: Permit, pass: Option<GatePass>) -> Result<StoredEffect, ActError> {
        let pass = match self.open(pass).await {
            Ok(pass) => pass,
            Err(stop) => {
                self.ledger().fail(&permit, &format!("not begun: {}", stop.why())).await?;
                return Err(stop);
            }
        };
        let settled = match self.call(&permit, &pass).await {
            Ok(answer) => self.confirm(&permit, answer).await,
            Err(error) => self.settle_failure(permit, &pass, error).await,
        };
        self.gate().keep(&pass).await;
        settled
    }

    async fn call(&self, permit: &Permit, pass: &GatePass) -> Result<ActResponse, XError> {
        if self.sending == Sending::Simulated {
            let text = self.act.details().text;
            tracing::info!(account = %self.act.account(), kind = self.act.kind(), text, "simulated; live_posts is off");
            return Ok(ActResponse { id: None, response: json!({ "simulated": true }) });
        }
        crash_point!("publish.before_call");
        let answer = tokio::select! {
            answer = self.act.call(self.publisher, LeasedPermit::new(permit, self.cx, pass)) => answer,
            never = self.gate().watch(pass) => match never {},
        };
        crash_point!("publish.after_call");
        answer
    }

    async fn confirm(
        &self,
        permit: &Permit,
        ActResponse { id, response }: ActResponse,
    ) -> Result<StoredEffect, ActError> {
        Ok(self.ledger().confirm(permit, id.as_deref(), &response).await?)
    }

    async fn settle_failure(
        &self,
        mut permit: Permit,
        pass: &GatePass,
        error: XError,
    ) -> Result<StoredEffect, ActError> {
        let meaning = if self.act.is_so_already(&error) { ErrorMeaning::Done } else { error_meaning(&error) };
        match meaning {
            ErrorMeaning::NotMade => {
                self.ledger().fail(&permit, &error.to_string()).await?;
                self.gate().leave(pass).await;
                if self.act.may_pass(&error) {
                    let wait = self.publisher.settings.x.settle.max(SHORTEST_WAIT);
                    return Err(ActError::Failed(Fail::RetryAfter(wait, error.to_string())));
                }
                Err(pass.withdrawn(&error).map_or_else(|| ActError::of(error), ActError::held))
            }
            ErrorMeaning::Unknown => self.unknown(&permit, &error).await,
            ErrorMeaning::Done => {
                permit.add_evidence(Evidence::Refused { said: error.to_string() });
                self.confirm(&permit, ActResponse { id: None, response: json!({ "already": true }) }).await
            }
            ErrorMeaning::Exists => {
                permit.add_evidence(Evidence::Refused { said: error.to_string() });
                self.look_for_duplicate(permit, pass, error).await
            }
        }
    }

    /// Settles the effect as unknown. A retry is always safe, because the next attempt searches X before it does anything.
    async fn unknown(&self, permit: &Permit, error: &XError) -> Result<StoredEffect, ActError> {
        let why = error.to_string();
        self.ledger().unknown(permit, &why).await?;
        Err(ActError::retry(why))
    }

    /// X refused the call as a duplicate: the post that is there already may be that of an earlier attempt.
    async fn look_for_duplicate(
        &self,
        mut permit: Permit,
        pass: &GatePass,
        error: XError,
    ) -> Result<StoredEffect, ActError> {
        let claimed = self.ledger().get(&self.key).await?;
        let since = claimed.map_or_else(clock::now, |effect| effect.created_at);
        let search = match self.look(since).await {
            Ok(search) => search,
            Err(looking) => {
                self.ledger().unknown(&permit, &error.to_string()).await?;
                return Err(match x_failed(looking) {
                    Fail::Dead(why) => ActError::retry(why),
                    fail => ActError::Failed(fail),
                });
            }
        };
        permit.add_evidence(evidence(&search, &SettleTime::none(&self.publisher.settings.x)));
        match search.found {
            Some(id) => {
                let response = json!({ "id": id, "found": true });
                self.confirm(&permit, ActResponse { id: Some(id.to_string()), response }).await
            }
            // X detects duplicates before it shows the post, and an earlier attempt had a permit.
            None if permit.fence() > 1 => self.unknown(&permit, &error).await,
            None => {
                let kind = self.act.kind();
                let why =
                    format!("{error}; no such {kind} of this job is there, so the text is another post's: change it");
                self.ledger().fail(&permit, &why).await?;
                self.gate().leave(pass).await;
                Err(ActError::Refused(why))
            }
        }
    }

    /// Settles an effect that an earlier attempt left open by searching X, and makes the call if it was not done.
    async fn resolve(&self, effect: &StoredEffect, takeover: Takeover) -> Result<StoredEffect, ActError> {
        if resolution(effect.live, effect.state) == Resolution::NotDone {
            let because = "that attempt was to send nothing: live_posts was off".to_owned();
            let permit = self.ledger().resolve_not_done(takeover, &Evidence::NotAsked { because }).await?;
            return self.act(permit, None).await;
        }
        // A call that the ledger lacks may have begun at any time since the job was enqueued, and ended only just now.
        let (since, state) = match self.in_doubt_since(takeover.lost_at()) {
            Some(_) => (takeover.earliest(), EffectState::Intended),
            None => (effect.intended_at, effect.state),
        };
        let waited = SettleTime::of(state, takeover.quiet(), &self.publisher.settings.x);
        let search = self.look(since).await.map_err(|error| self.not_asked(error))?;
        let evidence = evidence(&search, &waited);
        match finding(&search, &waited) {
            Finding::Happened(id) => {
                tracing::info!(effect = self.key, %id, "an earlier attempt had done it");
                let response = json!({ "id": id, "found": true });
                Ok(self.ledger().resolve_confirmed(takeover, &evidence, Some(id.as_str()), &response).await?)
            }
            Finding::NotDone => {
                let permit = self.ledger().resolve_not_done(takeover, &evidence).await?;
                self.act(permit, None).await
            }
            Finding::TooEarly(wait) => {
                self.ledger().resolve_later(takeover, &evidence).await?;
                let kind = self.act.kind();
                let why = format!("an earlier attempt may have made the {kind}, and X may not show it yet");
                Err(ActError::Failed(Fail::Snooze(wait, why)))
            }
            Finding::CannotTell => {
                self.ledger().resolve_later(takeover, &evidence).await?;
                Err(ActError::Failed(Fail::Dead(format!(
                    "an earlier attempt may have made the {}, and X shows too few posts to tell; look there, settle it \
                     with `perch effects resolve {}`, then replay",
                    self.act.kind(),
                    self.key
                ))))
            }
        }
    }

    /// The search on X failed. Nothing is noted in the ledger, and the next attempt searches again.
    fn not_asked(&self, error: XError) -> ActError {
        let (kind, key) = (self.act.kind(), &self.key);
        ActError::Failed(match x_failed(error) {
            Fail::Dead(why) => Fail::Dead(format!(
                "an earlier attempt may have made the {kind}, and X cannot be asked for it: {why}; mend that and replay, or look \
                 there and settle it with `perch effects resolve {key}`"
            )),
            fail => fail,
        })
    }

    async fn look(&self, since: DateTime<Utc>) -> Result<Search, XError> {
        let user_id = self.publisher.clients.own_id(self.act.account()).await?;
        self.act.look(self.publisher, &user_id, since).await
    }
}

/// The beginning of a text, for a message.
fn cut(text: &str) -> String {
    const SHOWN: usize = 120;
    let beginning: String = text.chars().take(SHOWN).collect();
    if beginning.len() < text.len() { format!("{beginning}…") } else { beginning }
}

fn evidence(search: &Search, waited: &SettleTime) -> Evidence {
    let Search { found, looked_at, since, complete } = search;
    let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    match found {
        Some(id) => Evidence::Found { id: id.to_string(), looked_at: *looked_at, since: *since },
        None => Evidence::NotFound {
            looked_at: *looked_at,
            since: *since,
            complete: *complete,
            quiet_ms: millis(waited.quiet),
            needed_ms: millis(waited.needed),
        },
    }
}
