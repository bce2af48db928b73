//! A load test whose crate knows `golo` under another name.

#[load::loadtest(crate = load)]
async fn journey(context: load::Context) -> Vec<load::ResponseTag> {
    load::tagify([("renamed", true), ("has a job", !context.job_name.is_empty())])
}
