//! Ways to drive a load test: the engine of this process, the load test's own engine over gRPC, or its stdout lines.

pub mod driven;
pub mod engine_client;
pub mod job_client;
pub mod journeys;
pub mod line_reader;
pub mod merged;
pub mod passing;
pub mod run_end;
pub mod served;
