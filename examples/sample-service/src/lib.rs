//! A small HTTP server to send load at: the target of the examples, the tests and the engine's checks on itself.
//!
//! It is fast, predictable and self-aware: [`Counts`] says exactly what it saw, so that a load test's own numbers can be
//! held against it. [`ENDPOINTS`] lists what it answers.
//!
//! ```
//! let service = sample_service::start()?;
//! let item = service.url_of("/items/7");
//! assert!(item.starts_with("http://127.0.0.1:") && item.ends_with("/items/7"));
//! assert_eq!(service.counter().seen, 0);
//! # Ok::<(), std::io::Error>(())
//! ```

mod counter;
mod endpoints;
mod handle;
mod refusal;
mod routes;
mod server;
mod session;
mod shop;

pub use counter::{Counts, OTHER_ROUTE};
pub use endpoints::{ENDPOINTS, Endpoint};
pub use handle::{SampleService, spawn, start};
pub use routes::router;
pub use server::{listen, serve};
pub use session::PASSWORD;
pub use shop::ITEMS;
