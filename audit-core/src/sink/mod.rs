//! Where deliveries go.

pub mod ogc;
pub mod plausible;
