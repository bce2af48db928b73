use std::rc::Rc;

async fn prepare() {
    let count = Rc::new(1);
    step().await;
    println!("{count}");
}

async fn step() {}

#[golo::loadtest(setup = prepare)]
async fn journey() {}
