//! Ways to drive a load test: its own engine over gRPC, or the engine of this process with gRPC triggers and stdout
//! lines.

pub mod driven;
pub mod engine_client;
pub mod job_client;
pub mod journeys;
pub mod line_reader;
pub mod local_time;
pub mod merged_run;
pub mod output_relay;
pub mod recorded_run;
pub mod run_end;
pub mod served;
pub mod setup_exchange;
mod socket_folder;
