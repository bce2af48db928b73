//! Counts golo's own clock reads per request, from the calls that callgrind recorded.

use std::{collections::BTreeMap, collections::HashMap};

use crate::compare::{Target, counted_to, has_valgrind};
use crate::hello::answered;
use crate::{Options, Size};

/// Name of the function that every clock read of `std` ends in. It is too large to be inlined.
const READING: &str = "std::sys::pal::unix::time::Timespec>::now";

pub(crate) fn count(size: Size, options: &Options) {
    println!("\nreadings of the clock for a request of `run`, by who reads");
    if size.counted == 0 || !has_valgrind() {
        return println!("  (not counted)");
    }
    let target = Target::start(options.url.as_deref());
    let hello = options.hello(&target.url);
    let folder = tempfile::tempdir().expect("there is room");
    let profile = folder.path().join("profile");
    let profile = profile.to_str().expect("it is text");
    let calls = |requests: u64| {
        let run = hello.command(&format!("-u 64 --workers 1 -i {requests}"));
        let output = counted_to(profile, &run).output().expect("it runs");
        answered(&output);
        readers(&std::fs::read_to_string(profile).expect("callgrind wrote it"))
    };
    let (short, long) = (calls(size.counted), calls(size.counted * 3));
    let mut own = 0.0;
    for (reader, calls) in long {
        let calls = calls.saturating_sub(short.get(&reader).copied().unwrap_or(0));
        let each = calls as f64 / (size.counted * 2) as f64;
        let is_own = reader.contains("golo::");
        if is_own {
            own += each;
        }
        if each >= 0.01 {
            println!("  {each:>5.2}  {}{reader}", if is_own { "" } else { "(not golo's) " });
        }
    }
    println!("  {own:>5.2}  golo's in all");
}

/// Returns the number of calls of [`READING`] by calling function. The profile writes each name once, with a number;
/// later lines refer to it by that number.
fn readers(profile: &str) -> BTreeMap<String, u64> {
    let mut names = HashMap::new();
    let mut readers = BTreeMap::new();
    let (mut caller, mut called) = ("", "");
    for line in profile.lines() {
        if let Some((key @ ("fn" | "cfn"), rest)) = line.split_once('=') {
            let (number, name) = rest.split_once(' ').unwrap_or((rest, ""));
            if !name.is_empty() {
                names.insert(number, name);
            }
            let name = names.get(number).copied().unwrap_or_default();
            if key == "fn" { caller = name } else { called = name }
        } else if let Some(calls) = line.strip_prefix("calls=")
            && called.contains(READING)
        {
            let calls = calls.split(' ').next().and_then(|calls| calls.parse().ok()).unwrap_or(0);
            *readers.entry(caller.to_owned()).or_default() += calls;
        }
    }
    readers
}
