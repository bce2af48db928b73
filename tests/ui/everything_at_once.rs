#[golo::loadtest(nmae = "checkout", name = "")]
unsafe fn main<T>(context: &golo::Context, first: &mut T, second: &mut T, shared: golo::Shared<T>) {
    step(context, first, second, shared).await
}

async fn step<T>(_: &golo::Context, _: &mut T, _: &mut T, _: golo::Shared<T>) {}
