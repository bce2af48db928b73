use std::cell::Cell;

async fn prepare() -> Cell<u32> {
    Cell::new(1)
}

#[golo::loadtest(setup = prepare)]
async fn journey(count: golo::Shared<Cell<u32>>) {
    let _ = count.get();
}
