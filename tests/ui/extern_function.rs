#[golo::loadtest]
async extern "C" fn journey() {}
