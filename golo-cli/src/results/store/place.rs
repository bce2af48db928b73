//! Where the database is.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::support::environment::data_folder;

/// Where it is: what `--db` says, else `GOLO_DB`, else `golo/runs.db` in the user's folder of data, which is made.
///
/// # Errors
///
/// Where there is no such folder, and it cannot be made.
pub fn place(asked: Option<PathBuf>) -> io::Result<PathBuf> {
    let variable = std::env::var_os("GOLO_DB").filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = asked.or(variable) {
        return Ok(path);
    }
    let Some(data) = data_folder() else {
        let message = "give `--db FILE`: neither XDG_DATA_HOME nor HOME says where data belongs";
        return Err(io::Error::new(io::ErrorKind::NotFound, message));
    };
    let folder = data.join("golo");
    std::fs::create_dir_all(&folder).map_err(|error| cannot_make(&folder, &error))?;
    Ok(folder.join("runs.db"))
}

fn cannot_make(folder: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot make {}: {error}", folder.display()))
}
