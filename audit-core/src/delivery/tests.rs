mod bisect;
mod engine;
mod model;
mod simulation;
