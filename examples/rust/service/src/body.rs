//! The body of a request, in memory that is asked for once.

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;

use crate::limits::Limits;
use crate::refusal::Refusal;

/// The length that the head of a request states, where it is within the limit.
pub fn length(head: &HeaderMap, limits: &Limits) -> Result<usize, Refusal> {
    let stated = head.get(header::CONTENT_LENGTH);
    let length = stated.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let Some(length) = length else {
        let text = "a request states its length (Content-Length)";
        return Err(Refusal::new(StatusCode::LENGTH_REQUIRED, text));
    };
    match usize::try_from(length) {
        Ok(length) if length <= limits.max_body => Ok(length),
        _ => {
            let text = format!(
                "the body has {length} bytes, of at most {}",
                limits.max_body
            );
            Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, text))
        }
    }
}

/// Read the body, whose stated length the server holds the client to. None: the client left before its end.
///
/// The first read tells a client that asked (`Expect: 100-continue`) that its request is accepted.
pub async fn read(
    mut body: Body,
    length: usize,
    limits: &Limits,
) -> Result<Option<Vec<u8>>, Refusal> {
    let mut bytes = Vec::new();
    if bytes.try_reserve_exact(length).is_err() {
        let text = format!("no memory for a body of {length} bytes");
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, text));
    }
    let arrival = async {
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return false };
            if let Some(data) = frame.data_ref() {
                bytes.extend_from_slice(data);
            }
        }
        true
    };
    match tokio::time::timeout(limits.transfer_timeout, arrival).await {
        Ok(whole) => Ok(whole.then_some(bytes)),
        Err(_) => {
            let (limit, got) = (limits.transfer_timeout, bytes.len());
            let text = format!("{got} of the body's {length} bytes arrived within {limit:?}");
            Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, text))
        }
    }
}
