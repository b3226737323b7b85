mod bisect;
mod engine;
mod model;
mod over_http;
mod simulation;
