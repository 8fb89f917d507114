//! Promises that other threads settle.

use keep_sdk::Fault;
use keep_sdk::agent::failure_json;
use napi::bindgen_prelude::Object;
use napi::{Env, Error, Result, Status};

use crate::{crew, guarded};

/// A promise of what `work` gives in another thread.
pub fn later(
    env: &Env,
    work: impl FnOnce() -> std::result::Result<String, Fault> + Send + 'static,
) -> Result<Object<'_>> {
    let (deferred, promise) = env.create_deferred()?;
    let started = crew::run(Box::new(move || match guarded(work) {
        Ok(reply) => deferred.resolve(move |_| Ok(reply)),
        Err(fault) => deferred.reject(Error::new(Status::GenericFailure, failure_json(&fault))),
    }));
    started
        .map_err(|error| Error::new(Status::GenericFailure, format!("no thread can be started: {error}")))?;
    Ok(promise)
}
