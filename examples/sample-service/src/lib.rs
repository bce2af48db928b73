//! A small HTTP server to load: the target of the examples, the tests and the engine's checks of itself.
//!
//! It is fast and predictable. [`Counts`] reports exactly which requests it received, so that a load test's own numbers
//! can be checked against it. [`ENDPOINTS`] lists its endpoints.
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
mod forms;
mod graphql;
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
