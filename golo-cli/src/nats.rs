//! NATS with JetStream, over which agents dial out: the connection of agents, clients and collectors to a server.

pub mod args;
pub mod calls;
pub mod connection;
pub mod objects;
pub mod registry;
pub mod results;
