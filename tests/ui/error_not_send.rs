use std::error::Error;

#[golo::loadtest]
async fn journey() -> Result<(), Box<dyn Error>> {
    step().await?;
    Ok(())
}

async fn step() -> Result<(), std::io::Error> {
    Ok(())
}
