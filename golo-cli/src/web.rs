//! The web page: the list of runs, the page of a run, and the comparison of two, for the run of this process and for
//! those of a store.
//!
//! A [`Board`](board::Board) has the state of one run. A [`Shelf`] finds boards, and [`Web`] serves them. The pages of a
//! running run and of a stored one are the same.

mod args;
mod assets;
pub mod board;
mod events;
mod follow;
mod maker;
mod pages;
mod routes;
mod server;
mod shelf;

pub use args::{ADDRESS, WebArgs};
pub use follow::so_far;
pub use routes::Web;
pub use server::WebServer;
pub use shelf::Shelf;

use crate::http::server::{Pages, ServerOptions, Sessions};
use crate::support::failure::Failure;

/// Adds the pages to the settings of a server: browsers may open them, and log in with the token. Returns the sessions.
///
/// # Errors
///
/// Returns an error if the system has no random numbers.
pub fn offer_pages(options: &mut ServerOptions) -> Result<Sessions, Failure> {
    let sessions = Sessions::new(options.token.clone(), options.tls.is_some())?;
    let pages = Pages { login: pages::LOGIN, open: assets::FOLDER, sessions: sessions.clone() };
    options.pages = Some(pages);
    Ok(sessions)
}
