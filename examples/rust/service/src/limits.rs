//! What the service grants.

use std::time::Duration;

use clap::{Args, value_parser};

/// The limits of a service. With them its memory is bounded, whatever clients do: at most
///
/// ```text
/// (workers + queue) (max_body + 2 max_answer) + workers (max_body + max_workspace + max_heads 4 kB + 1 MB) + connections 0.2 MB
/// ```
///
/// for the largest body, the answer as arrays and as the bytes to send, a copy of arrays that do not lie aligned in the body, what a
/// computation takes, the plans of heads and what the report takes while it is written, the parsed header of a body, and the buffers
/// of a connection.
#[derive(Args, Clone, Debug)]
pub struct Limits {
    /// Requests that are computed at the same time [default: the processors]
    #[arg(long, default_value_t = processors(), value_parser = value_parser!(u16).range(1..), hide_default_value = true)]
    pub workers: u16,

    /// Threads of one computation
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u16).range(1..=1024))]
    pub threads: u16,

    /// Requests that are accepted beyond those that are computed; more are refused with 503
    #[arg(long, default_value_t = 16)]
    pub queue: u16,

    /// Connections at the same time; more wait to be accepted
    #[arg(long, default_value_t = 256, value_parser = value_parser!(u16).range(1..))]
    pub connections: u16,

    /// Largest body of a request, in bytes
    #[arg(long, default_value_t = 64 << 20)]
    pub max_body: usize,

    /// Largest answer, in bytes: its arrays and its report
    #[arg(long, default_value_t = 64 << 20)]
    pub max_answer: usize,

    /// Most heads of q, of k and of v, those of all the batch; each has its plan and its part of the report
    #[arg(long, default_value_t = 4096, value_parser = value_parser!(u32).range(1..))]
    pub max_heads: u32,

    /// Most memory that a computation may take beyond its arrays, in bytes; 0 means no limit
    #[arg(long, default_value_t = 256 << 20)]
    pub max_workspace: u64,

    /// Seconds from the acceptance of a request to its answer
    #[arg(long, default_value = "30", value_parser = seconds)]
    pub timeout: Duration,

    /// Seconds in which the head of a request, and then its body, must arrive, and in which 300 kB or so of an answer must be taken
    #[arg(long, default_value = "10", value_parser = seconds)]
    pub transfer_timeout: Duration,
}

fn processors() -> u16 {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    count.try_into().unwrap_or(u16::MAX)
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().map_err(|error| error.to_string())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("must be above 0".into()),
    }
}
