#[golo::loadtest]
mod shop;
