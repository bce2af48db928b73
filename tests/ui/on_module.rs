#[golo::loadtest]
mod load {}
