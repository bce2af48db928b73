//! A load test in a crate that imports `golo` under another name.

#[load::loadtest(crate = load)]
async fn journey(context: load::Context) -> Vec<load::ResponseTag> {
    load::tagify([("renamed", true), ("has a job", !context.job_name.is_empty())])
}
