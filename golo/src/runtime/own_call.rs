//! The words with which a person called this program.

use std::{env, path::Path};

/// How to call this program again.
pub(super) struct OwnCall {
    /// As it was called.
    pub(super) plain: String,
    /// The same, built with optimisations where cargo builds it.
    pub(super) optimised: String,
}

/// Returns how to call this program again: through `cargo run` if cargo started it, else by its path as it was typed.
pub(super) fn own_call() -> OwnCall {
    let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let package = variable("CARGO_MANIFEST_DIR").zip(variable("CARGO_PKG_NAME")).map(|(folder, name)| {
        let is_here = env::current_dir().is_ok_and(|here| here == Path::new(&folder));
        (is_here, name)
    });
    of(package, env::args().next())
}

/// `package` is whether this is the folder of the package that cargo runs, and the package's name.
fn of(package: Option<(bool, String)>, typed: Option<String>) -> OwnCall {
    match package {
        Some((is_here, package)) => {
            let which = if is_here { String::new() } else { format!(" -p {package}") };
            OwnCall { plain: format!("cargo run{which} --"), optimised: format!("cargo run --release{which} --") }
        }
        None => {
            let typed = typed.unwrap_or_else(|| "LOAD_TEST".to_owned());
            OwnCall { plain: typed.clone(), optimised: typed }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_is_named_if_it_started_the_program() {
        let call = |package, typed: &str| {
            let OwnCall { plain, optimised } = of(package, Some(typed.to_owned()));
            [plain, optimised]
        };
        let front = |is_here| Some((is_here, "front".to_owned()));
        assert_eq!(call(front(true), "target/debug/front"), ["cargo run --", "cargo run --release --"]);
        assert_eq!(
            call(front(false), "target/debug/front"),
            ["cargo run -p front --", "cargo run --release -p front --"]
        );
        assert_eq!(call(None, "./front"), ["./front", "./front"]);
    }
}
