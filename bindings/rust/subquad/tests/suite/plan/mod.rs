//! Method auto and its plans.

mod approximate;
mod backward;
pub mod budget;
mod causality;
mod context;
mod errors;
mod exact;
mod kinds;
mod needles;
mod report;
mod views;
