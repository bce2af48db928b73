//! Measurements of a load test: outputs, checks, tags and journeys, and the scope of a trigger that collects them.

pub(crate) mod check;
pub(crate) mod connection;
pub(crate) mod custom;
pub(crate) mod error_kind;
pub(crate) mod evidence;
pub(crate) mod group;
pub(crate) mod journey;
pub(crate) mod output;
pub(crate) mod phases;
pub(crate) mod scope;
pub(crate) mod sequence;
pub(crate) mod sink;
pub(crate) mod tag_set;
pub(crate) mod tags;
pub(crate) mod thought;
pub(crate) mod trace;
pub(crate) mod visitor;
