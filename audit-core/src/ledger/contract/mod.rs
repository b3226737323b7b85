//! What every ledger must do, tried on each: the same cases for all stores.

mod cases;
mod server;
mod stores;
