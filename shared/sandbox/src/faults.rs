//! Faults on demand: which calls fail, and how.

use serde::{Deserialize, Serialize};

use crate::{Endpoint, draw::Draw};

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// 429; the window resets after `delay_ms` (2 s when not given).
    RateLimited,
    /// 503.
    Unavailable,
    /// Holds the request for `delay_ms` (60 s when not given, which is also the most) and then answers 504.
    Timeout,
    /// Closes the connection without acting.
    DropBefore,
    /// Acts, then closes the connection without an answer.
    DropAfter,
    /// Acts, then answers with a broken body: cut JSON from X, prose or cut JSON in turn from the model.
    Malformed,
    /// An empty answer of the model with `content_filter`. Calls of X are answered as usual.
    ContentFilter,
    /// The model's answer after reasoning between `<think>` and `</think>`. Calls of X are answered as usual.
    ThinksAloud,
    /// 429 in the words of xAI: the team has no credit. Calls of X are answered as usual.
    NoCredit,
    /// 200 with an error of the model's provider instead of an answer. Calls of X are answered as usual.
    ErrorInside,
    /// The model's answer in parts, with invalid token counts. Calls of X are answered as usual.
    OddUsage,
    /// The newest post on a page of X has an object as its text. Calls of models are answered as usual.
    OddPost,
    /// 429 of X whose window was reset half a minute ago. Calls of models are answered as usual.
    PastReset,
    /// 429 of X: the limit of the account for 24 hours is used up. Calls of models are answered as usual.
    DayLimit,
    /// Waits `delay_ms` (1 s when not given), then acts and answers as usual.
    Slow,
}

impl FaultKind {
    /// Whether a call of this endpoint can fail this way.
    const fn concerns(self, endpoint: Endpoint) -> bool {
        let is_chat = matches!(endpoint, Endpoint::Chat);
        match self {
            Self::ContentFilter | Self::ThinksAloud | Self::NoCredit | Self::ErrorInside | Self::OddUsage => is_chat,
            Self::OddPost | Self::PastReset | Self::DayLimit => !is_chat,
            _ => true,
        }
    }
}

/// Which calls a fault is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FaultTarget {
    /// Calls of one endpoint.
    One(Endpoint),
    /// Every call, written `*`.
    All(AllEndpoints),
}

/// The wildcard for every endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AllEndpoints {
    /// `*`
    #[serde(rename = "*")]
    All,
}

impl FaultTarget {
    /// Every call.
    pub const EVERY: Self = Self::All(AllEndpoints::All);

    fn covers(self, endpoint: Endpoint) -> bool {
        match self {
            Self::All(_) => true,
            Self::One(one) => one == endpoint,
        }
    }
}

impl From<Endpoint> for FaultTarget {
    fn from(endpoint: Endpoint) -> Self {
        Self::One(endpoint)
    }
}

/// A fault for future calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Which calls.
    pub endpoint: FaultTarget,
    /// How they fail.
    pub kind: FaultKind,
    /// How many calls; if missing, all until the fault is cleared.
    #[serde(default)]
    pub times: Option<u32>,
    /// The probability for each call, over 0.0 and at most 1.0.
    #[serde(default = "always")]
    pub probability: f64,
    /// Milliseconds, as [`FaultKind`] says.
    #[serde(default)]
    pub delay_ms: Option<u64>,
}

fn always() -> f64 {
    1.0
}

impl Fault {
    /// A fault for every call of an endpoint until it is cleared.
    pub fn new(endpoint: impl Into<FaultTarget>, kind: FaultKind) -> Self {
        Self { endpoint: endpoint.into(), kind, times: None, probability: 1.0, delay_ms: None }
    }

    /// The same fault for this many calls only.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times: Some(times), ..self }
    }

    /// The same fault with another delay in milliseconds.
    #[must_use]
    pub fn delay_ms(self, delay_ms: u64) -> Self {
        Self { delay_ms: Some(delay_ms), ..self }
    }

    /// What is wrong with a field, if anything.
    pub(crate) fn mistake(&self) -> Option<(&'static str, &'static str)> {
        let endpoints = Endpoint::ALL.into_iter().filter(|endpoint| self.endpoint.covers(*endpoint));
        if !endpoints.into_iter().any(|endpoint| self.kind.concerns(endpoint)) {
            return Some((
                "endpoint",
                "a fault of models is for chat, one of X for the other endpoints; * has both in it",
            ));
        }
        if self.times == Some(0) {
            return Some(("times", "times is 1 or more; leave it out for all calls"));
        }
        if !(self.probability > 0.0 && self.probability <= 1.0) {
            return Some(("probability", "probability is over 0.0 and at most 1.0"));
        }
        None
    }
}

/// A fault with the number of calls that it struck.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ActiveFault {
    pub id: u64,
    #[serde(flatten)]
    pub fault: Fault,
    pub struck: u64,
}

/// The faults in force, in the order they were added.
#[derive(Debug)]
pub(crate) struct Faults {
    active: Vec<ActiveFault>,
    next: u64,
    draw: Draw,
}

impl Faults {
    pub fn new(seed: u64) -> Self {
        Self { active: Vec::new(), next: 1, draw: Draw::new(seed) }
    }

    pub fn add(&mut self, fault: Fault) -> ActiveFault {
        let active = ActiveFault { id: self.next, fault, struck: 0 };
        self.next += 1;
        self.active.push(active.clone());
        active
    }

    pub fn list(&self) -> &[ActiveFault] {
        &self.active
    }

    pub fn clear(&mut self) {
        self.active.clear();
    }

    /// Removes one; false when there is none with that id.
    pub fn remove(&mut self, id: u64) -> bool {
        let before = self.active.len();
        self.active.retain(|fault| fault.id != id);
        self.active.len() < before
    }

    /// The fault that strikes this call, if one does. A fault whose calls are used up is gone.
    pub fn strike(&mut self, endpoint: Endpoint) -> Option<Fault> {
        let draw = &mut self.draw;
        let concerns = |fault: &Fault| fault.endpoint.covers(endpoint) && fault.kind.concerns(endpoint);
        let at = self.active.iter().position(|a| concerns(&a.fault) && draw.chance(a.fault.probability))?;
        let active = &mut self.active[at];
        active.struck += 1;
        let fault = active.fault.clone();
        if let Some(times) = &mut active.fault.times {
            *times -= 1;
            if *times == 0 {
                self.active.remove(at);
            }
        }
        Some(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_strikes_its_endpoint_as_often_as_it_says() {
        let mut faults = Faults::new(1);
        faults.add(Fault::new(Endpoint::Posts, FaultKind::Unavailable).times(2));
        assert_eq!(faults.strike(Endpoint::Chat), None);
        assert!(faults.strike(Endpoint::Posts).is_some());
        assert!(faults.strike(Endpoint::Posts).is_some());
        assert_eq!(faults.strike(Endpoint::Posts), None);
        assert!(faults.list().is_empty());
    }

    #[test]
    fn a_content_filter_strikes_models_and_nothing_else() {
        let mut faults = Faults::new(1);
        faults.add(Fault::new(FaultTarget::EVERY, FaultKind::ContentFilter));
        assert_eq!(faults.strike(Endpoint::Posts), None);
        assert!(faults.strike(Endpoint::Chat).is_some());
        assert!(Fault::new(Endpoint::Posts, FaultKind::ContentFilter).mistake().is_some());
        assert!(Fault::new(Endpoint::Chat, FaultKind::OddPost).mistake().is_some());
    }

    #[test]
    fn a_fault_for_half_of_the_calls_strikes_about_half_of_them() {
        let mut faults = Faults::new(7);
        faults.add(Fault { probability: 0.5, ..Fault::new(FaultTarget::EVERY, FaultKind::Slow) });
        let struck = (0..1_000).filter(|_| faults.strike(Endpoint::Chat).is_some()).count();
        assert!((400..600).contains(&struck), "{struck} of 1000");
    }
}
