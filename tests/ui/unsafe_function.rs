#[golo::loadtest]
async unsafe fn journey() {}
