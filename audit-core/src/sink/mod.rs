//! Where deliveries go.

pub mod ogc;
