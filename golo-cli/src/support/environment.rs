//! What this machine and this user's environment say.

use std::path::PathBuf;

/// The longest name of a machine.
const LONGEST: usize = 64;

/// A variable, where it is not empty.
#[must_use]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The folder of this user's data, as the XDG base directory specification has it.
#[must_use]
pub fn data_folder() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // The specification has a relative path count as none.
    let data = folder("XDG_DATA_HOME").filter(|path| path.is_absolute());
    data.or_else(|| folder("HOME").map(|home| home.join(".local/share")))
}

/// Whether a machine can be called so: it can stand in URLs and in names of files.
#[must_use]
pub fn is_machine(name: &str) -> bool {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=LONGEST).contains(&name.len()) && name.chars().all(is_fine) && !name.starts_with('.')
}

/// What this machine is called, as far as it [can be](is_machine).
#[must_use]
pub fn machine() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let name: String = name.chars().filter(|c| is_machine(&c.to_string()) || *c == '.').take(LONGEST).collect();
    if is_machine(&name) { name } else { "localhost".to_owned() }
}
