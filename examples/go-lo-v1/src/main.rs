//! The older go-lo's program: a struct that holds its configuration, and runs.
//!
//! ```text
//! cargo run -p go-lo-v1 -- once
//! ```
//!
//! It loads a sample service that it starts itself, or `TARGET_URL`.

struct MagnumApi {
    url: String,
}

impl golo::Runner for MagnumApi {
    async fn run(&self) {
        let seq = golo::new_sequence_id();
        let _ = golo::do_request(&seq, golo::client().get(&self.url)).await;
    }
}

fn main() -> std::process::ExitCode {
    let url = golo::param("TARGET_URL").unwrap_or_else(sample_service::spawn);
    golo::Loadtest::runner(MagnumApi { url }).name("go-lo-v1").start()
}
