use std::rc::Rc;

#[golo::loadtest]
async fn journey(context: golo::Context) -> Result<(), String> {
    let name = Rc::new(context.job_name);
    step().await;
    println!("{name}");
    Ok(())
}

async fn step() {}
