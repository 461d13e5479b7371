//! adseg
#![forbid(unsafe_code)]
pub mod campaign;
pub mod cli;
pub mod commands;
pub mod computation;
pub mod encoder;
pub mod engine;
pub mod interrupt;
pub mod partition;
pub mod progress;
pub mod record;
pub mod sink;
pub mod source;
pub mod summary;
