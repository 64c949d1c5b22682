//! Tests of the service over loopback: the program itself, and clients that speak HTTP byte by byte, to stall and leave where they like.

mod answers;
mod arrays;
mod back_pressure;
mod client;
mod leaving;
mod load;
mod program;
mod refusals;
mod timeouts;
