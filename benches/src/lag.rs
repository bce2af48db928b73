//! Start lag of triggers in the open model, and a check that as many were due as planned.

use crate::{Options, Size, compare::Target};

const ROUNDS: usize = 3;

pub(crate) fn measure(size: Size, options: &Options) {
    println!("\nhow late triggers start that are due at a constant rate");
    let target = Target::start(options.url.as_deref());
    let hello = options.hello(&target.url);
    let (rates, seconds, rounds): (&[u64], _, _) =
        if size.counted > 0 { (&[100, 1_000, 5_000], 10, ROUNDS) } else { (&[100], 1, 1) };
    for rate in rates {
        for _ in 0..rounds {
            let ended = hello.run(&format!("-r {rate}/s -d {seconds}s"));
            let (due, planned) = (ended.starts("due"), rate * seconds);
            let lag = ended.said("start lag").unwrap_or("nothing said of it");
            let is_whole = if due == planned { "as planned" } else { "NOT AS PLANNED" };
            println!("  {:<28}{lag}; {due} of {planned} due, {is_whole}", format!("{rate}/s for {seconds} s"));
        }
    }
}
