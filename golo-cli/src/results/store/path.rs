//! Path of the database.

use std::io;
use std::path::{Path, PathBuf};

use crate::support::environment::data_folder;

/// Returns the path of the database: `asked` from `--db`, else `GOLO_DB`, else `golo/runs.db` in the user's data
/// folder. Creates that folder.
///
/// # Errors
///
/// Returns an error if the data folder is unknown or cannot be created.
pub fn database_path(asked: Option<PathBuf>) -> io::Result<PathBuf> {
    let variable = std::env::var_os("GOLO_DB").filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = asked.or(variable) {
        return Ok(path);
    }
    let Some(data) = data_folder() else {
        let message = "no folder for data: give `--db FILE`, or set XDG_DATA_HOME or HOME";
        return Err(io::Error::new(io::ErrorKind::NotFound, message));
    };
    let folder = data.join("golo");
    std::fs::create_dir_all(&folder).map_err(|error| cannot_create(&folder, &error))?;
    Ok(folder.join("runs.db"))
}

fn cannot_create(folder: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot create {}: {error}", folder.display()))
}
