//! Answers other than attention.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use subquad::sys;

/// Bytes of a text at most: it may repeat what the client sent, and outlives the request's slot.
const MAX_TEXT: usize = 1 << 10;

/// Why there is no attention to answer with.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    text: String,
}

impl Refusal {
    /// A status, and a text that names the argument and its value.
    pub fn new(status: StatusCode, text: impl Into<String>) -> Self {
        let mut text = text.into();
        if text.len() > MAX_TEXT {
            let mut end = MAX_TEXT;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text = format!("{} ..", &text[..end]);
        }
        Self { status, text }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let text = self.text + "\n";
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE => {
                (self.status, [(header::RETRY_AFTER, "1")], text).into_response()
            }
            status => (status, text).into_response(),
        }
    }
}

impl From<subquad::Error> for Refusal {
    fn from(error: subquad::Error) -> Self {
        let status = match error.code() {
            sys::SUBQUAD_ERR_WORKSPACE => StatusCode::PAYLOAD_TOO_LARGE,
            sys::SUBQUAD_ERR_MEMORY | sys::SUBQUAD_ERR_THREADS | sys::SUBQUAD_ERR_CANCELLED => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            sys::SUBQUAD_ERR_INTERNAL | sys::SUBQUAD_ERR_BUSY => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        };
        Self::new(status, error.to_string())
    }
}
