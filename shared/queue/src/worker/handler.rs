use std::{collections::BTreeMap, future::Future, sync::Arc};

use futures::future::BoxFuture;
use perch_job::{Job, JobKind, JobType, read_payload};
use serde::Serialize;
use serde_json::{Value, value::RawValue};

use super::context::{Deps, FromContext, JobContext};
use crate::Fail;

/// The result of a handler: a value that is kept in the history of the job, or how it failed.
pub type HandlerResult<T = ()> = Result<T, Fail>;

/// What a handler may return: a [`HandlerResult`], or `()` if it cannot fail.
pub trait Outcome {
    /// The result as JSON, or the failure.
    ///
    /// # Errors
    ///
    /// How the attempt failed.
    fn outcome(self) -> Result<Value, Fail>;
}

impl<T: Serialize> Outcome for HandlerResult<T> {
    fn outcome(self) -> Result<Value, Fail> {
        serde_json::to_value(self?).map_err(|e| Fail::Dead(format!("the result is not JSON: {e}")))
    }
}

impl Outcome for () {
    fn outcome(self) -> Result<Value, Fail> {
        Ok(Value::Null)
    }
}

/// An async function of a payload and up to four values from the context.
pub trait Handler<J: Job, Args>: Clone + Send + Sync + 'static {
    /// Runs it.
    fn call(&self, job: J, context: &JobContext) -> BoxFuture<'static, Result<Value, Fail>>;

    /// The name of the missing dependency, if any.
    fn missing(deps: &Deps) -> Option<&'static str>;
}

macro_rules! handler_of {
    ($($arg:ident),*) => {
        impl<J, F, Fut, $($arg,)*> Handler<J, ($($arg,)*)> for F
        where
            J: Job,
            F: Fn(J, $($arg),*) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future<Output: Outcome> + Send + 'static,
            $($arg: FromContext,)*
        {
            #[allow(unused_variables, reason = "a handler may take its payload alone")]
            fn call(&self, job: J, context: &JobContext) -> BoxFuture<'static, Result<Value, Fail>> {
                $(
                    #[allow(non_snake_case, reason = "the argument is named after its type")]
                    let $arg = match $arg::from_context(context) {
                        Ok(value) => value,
                        Err(what) => return without(what),
                    };
                )*
                let run = (self)(job, $($arg),*);
                Box::pin(async move { run.await.outcome() })
            }

            #[allow(unused_variables, reason = "a handler may take its payload alone")]
            fn missing(deps: &Deps) -> Option<&'static str> {
                let missing: Option<&'static str> = None;
                $(let missing = missing.or_else(|| $arg::missing(deps));)*
                missing
            }
        }
    };
}

fn without(what: &'static str) -> BoxFuture<'static, Result<Value, Fail>> {
    Box::pin(async move { Err(Fail::Dead(format!("the worker was started without {what}"))) })
}

handler_of!();
handler_of!(A);
handler_of!(A, B);
handler_of!(A, B, C);
handler_of!(A, B, C, D);

type ErasedHandler =
    dyn Fn(&RawValue, &JobContext) -> Result<BoxFuture<'static, Result<Value, Fail>>, String> + Send + Sync;
type MissingDependency = fn(&Deps) -> Option<&'static str>;

/// A handler with its payload type erased.
#[derive(Clone)]
pub(super) struct RegisteredHandler {
    pub job_type: JobType,
    call: Arc<ErasedHandler>,
    missing: MissingDependency,
}

impl RegisteredHandler {
    /// Reads the payload and starts the handler. Fails if the payload does not fit.
    pub fn call(
        &self,
        payload: &RawValue,
        context: &JobContext,
    ) -> Result<BoxFuture<'static, Result<Value, Fail>>, String> {
        (self.call)(payload, context)
    }
}

/// The handlers of a deployment, one for each kind.
#[derive(Clone, Default)]
pub struct Handlers(BTreeMap<JobKind, RegisteredHandler>);

impl Handlers {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a handler for the kind of `J`.
    #[must_use]
    pub fn on<J: Job, Args, H: Handler<J, Args>>(mut self, handler: H) -> Self {
        let call = move |payload: &RawValue, context: &JobContext| {
            let job = read_payload::<J>(payload).map_err(|e| e.to_string())?;
            Ok(handler.call(job, context))
        };
        let registered = RegisteredHandler { job_type: JobType::of::<J>(), call: Arc::new(call), missing: H::missing };
        self.0.insert(JobKind::from_static(J::KIND), registered);
        self
    }

    pub(crate) fn has(&self, kind: &str) -> bool {
        self.0.keys().any(|known| known.as_str() == kind)
    }

    pub(super) fn get(&self, kind: &JobKind) -> Option<&RegisteredHandler> {
        self.0.get(kind)
    }

    /// The kind of the first handler with a missing dependency, and the name of the dependency.
    pub(super) fn missing(&self, deps: &Deps) -> Option<(JobKind, &'static str)> {
        self.0.iter().find_map(|(kind, registered)| (registered.missing)(deps).map(|what| (kind.clone(), what)))
    }
}
