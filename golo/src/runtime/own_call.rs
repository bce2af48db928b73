//! The command that started this program, for messages.

use std::{env, path::Path};

/// Commands that start this program again.
pub(super) struct OwnCall {
    /// The command as it was used.
    pub(super) plain: String,
    /// The same command with an optimised build, if cargo builds the program.
    pub(super) optimised: String,
}

/// Returns the commands that start this program again: with `cargo run` if cargo started it, otherwise by its path as
/// typed.
pub(super) fn own_call() -> OwnCall {
    let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let package = variable("CARGO_MANIFEST_DIR").zip(variable("CARGO_PKG_NAME")).map(|(folder, name)| {
        let is_here = env::current_dir().is_ok_and(|here| here == Path::new(&folder));
        (is_here, name)
    });
    of(package, env::args().next())
}

/// Returns the commands for `package`: whether the package is in the current folder, and its name.
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
    fn own_call_uses_cargo_if_cargo_started_the_program() {
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
