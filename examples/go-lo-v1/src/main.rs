//! The program of the first go-lo: a struct that holds its configuration and implements `Runner`.
//!
//! ```text
//! cargo run -p go-lo-v1 -- once
//! ```
//!
//! Without `TARGET_URL`, it starts a sample service and loads that.

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
