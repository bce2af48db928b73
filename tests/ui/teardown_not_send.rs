use std::rc::Rc;

async fn clean_up() {
    let count = Rc::new(1);
    step().await;
    println!("{count}");
}

async fn step() {}

#[golo::loadtest(teardown = clean_up)]
async fn journey() {}
