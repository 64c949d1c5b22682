//! A web server that computes attention: `POST /attention` with arrays in the format safetensors. See docs/rust.md.

mod body;
mod compute;
mod gate;
mod limits;
mod refusal;
mod server;
mod service;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use limits::Limits;
use service::Service;

/// Answer attention requests on binary arrays.
#[derive(Parser)]
struct Arguments {
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,

    #[command(flatten)]
    limits: Limits,
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let listener = server::listen(arguments.listen)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    println!("listening on {}", listener.local_addr()?);
    server::serve(listener, Arc::new(Service::new(arguments.limits)), shutdown).await;
    Ok(())
}
