//! The routes, and the way of a request through them.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use subquad::Context;
use tokio::sync::OwnedSemaphorePermit;

use crate::body;
use crate::compute::{self, Options};
use crate::gate::{Gate, Slot};
use crate::limits::Limits;
use crate::refusal::Refusal;

/// What all requests share.
#[derive(Debug)]
pub struct Service {
    limits: Limits,
    gate: Arc<Gate>,
    /// Those that no computation uses: each serves one at a time.
    contexts: Mutex<Vec<Context>>,
}

impl Service {
    /// A service within `limits`.
    pub fn new(limits: Limits) -> Self {
        let gate = Arc::new(Gate::new(&limits));
        Self {
            limits,
            gate,
            contexts: Mutex::default(),
        }
    }

    /// What it grants.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// `POST /attention` and `GET /metrics`.
    pub fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/attention", post(attention))
            .route(
                "/metrics",
                get(|State(service): State<Arc<Self>>| async move { service.gate.metrics() }),
            )
            .with_state(self)
    }

    /// Compute with a context that no other computation uses, until `stop` says that nobody wants the answer.
    fn compute(
        &self,
        body: &[u8],
        options: &Options,
        stop: Arc<AtomicBool>,
    ) -> Result<Vec<u8>, Refusal> {
        let idle = || self.contexts.lock().unwrap_or_else(PoisonError::into_inner);
        let known = idle().pop();
        let mut context = match known {
            Some(context) => context,
            None => self.make_context()?,
        };
        context.set_progress(move |_fraction| match stop.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })?;
        let answer = compute::answer(&context, body, options, &self.limits);
        idle().push(context);
        answer
    }

    fn make_context(&self) -> subquad::Result<Context> {
        let mut context = Context::new()?;
        context.set_threads(self.limits.threads.into())?;
        context.set_workspace_limit(self.limits.max_workspace)?;
        Ok(context)
    }

    /// Wait for a worker and compute. The slot and the worker are held for as long as the computation lasts, though nobody may wait
    /// for it any more.
    async fn answer(
        self: Arc<Self>,
        slot: Slot,
        body: Vec<u8>,
        options: Options,
        stop: Arc<AtomicBool>,
    ) -> Result<Response, Refusal> {
        let worker: OwnedSemaphorePermit = self.gate.worker().await;
        let task = tokio::task::spawn_blocking(move || {
            let bytes = self.compute(&body, &options, stop);
            drop(body);
            drop(worker);
            bytes.map(|bytes| Answer { bytes, _slot: slot })
        });
        match task.await {
            Ok(answer) => {
                let content = [(header::CONTENT_TYPE, "application/octet-stream")];
                Ok((content, Body::from(Bytes::from_owner(answer?))).into_response())
            }
            Err(panic) => Err(Refusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                panic.to_string(),
            )),
        }
    }
}

/// The bytes to send, and the slot that they fill until they are sent.
struct Answer {
    bytes: Vec<u8>,
    _slot: Slot,
}

impl AsRef<[u8]> for Answer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Refuse what needs no look at the body; accept; read, compute and answer, or say why not. When the client leaves, the server drops
/// this future, and with it the ticket; but not when bytes of a next request already wait to be read.
async fn attention(
    State(service): State<Arc<Service>>,
    options: Result<Query<Options>, QueryRejection>,
    request: Request,
) -> Result<Response, Refusal> {
    let limits = service.limits.clone();
    let Query(options) =
        options.map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, error.body_text()))?;
    let length = body::length(request.headers(), &limits)?;
    let Some((ticket, slot)) = service.gate.enter() else {
        return Err(Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many requests are under way",
        ));
    };
    let stop = ticket.stop();
    let work = async {
        let Some(body) = body::read(request.into_body(), length, &limits).await? else {
            return Ok(None);
        };
        service.answer(slot, body, options, stop).await.map(Some)
    };
    let outcome = tokio::time::timeout(limits.timeout, work)
        .await
        .unwrap_or_else(|_| {
            let text = format!("not answered within {:?}", limits.timeout);
            Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, text))
        });
    if let Ok(None) = outcome {
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "the body ended early",
        )); // to nobody: the client left
    }
    ticket.answered();
    outcome.map(|response| response.unwrap_or_default())
}
