//! Files of test data that a run needs, named by their paths below the current folder.

use std::fmt;
use std::fs::{self, File};
use std::path::{Component, Path};
use std::str::FromStr;

use crate::support::setting_error::SettingError;

/// Largest number of files of one run.
const MOST: usize = 100;
/// Largest length of a name in bytes.
const LONGEST: usize = 1024;
/// Largest length of a part of a name in bytes. Most file systems have this limit.
const LONGEST_PART: usize = 255;

/// A file of test data, such as `accounts.csv` or `fixtures/items.json`. It is below the current folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DataFile {
    name: String,
}

impl DataFile {
    /// Returns the path, with `/` between its parts.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Checks that the file is there and can be read.
    ///
    /// # Errors
    ///
    /// Returns an error that names the file if it cannot be read.
    pub fn check(&self) -> Result<(), SettingError> {
        let unread = |reason: &dyn fmt::Display| format!("`{self}` cannot be read: {reason}");
        // Before the file is opened, since opening a pipe waits for its writer.
        let about = fs::metadata(&self.name).map_err(|error| unread(&error))?;
        if !about.is_file() {
            return Err(unread(&"it is not a file; give each file of a folder").into());
        }
        File::open(&self.name).map_err(|error| unread(&error))?;
        Ok(())
    }

    /// Checks that a run can have these files.
    ///
    /// # Errors
    ///
    /// Returns an error if there are too many files, or if one would be in the place of another one's folder.
    pub fn check_names<'f>(files: impl IntoIterator<Item = &'f Self>) -> Result<(), SettingError> {
        let mut names: Vec<_> = files.into_iter().map(Self::name).collect();
        if names.len() > MOST {
            return Err(format!("{} files: a run can have at most {MOST}", names.len()).into());
        }
        names.sort_unstable();
        let is_folder_of =
            |folder: &str, name: &str| name.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
        for (number, file) in names.iter().enumerate() {
            if let Some(other) = names[number..].iter().find(|other| is_folder_of(file, other)) {
                return Err(format!("`{file}` cannot be both a file and the folder of `{other}`").into());
            }
        }
        Ok(())
    }
}

impl fmt::Display for DataFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl FromStr for DataFile {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        let wrong = || {
            "expected the path of a file below the current folder, without `..`, as in `fixtures/accounts.csv`"
                .to_owned()
        };
        if text.chars().any(char::is_control) {
            return Err("the name of a file of test data has control characters".into());
        }
        let mut parts = Vec::new();
        for part in Path::new(text).components() {
            match part {
                Component::Normal(part) => parts.push(part.to_str().ok_or_else(wrong)?),
                Component::CurDir => {}
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => return Err(wrong().into()),
            }
        }
        let name = parts.join("/");
        if name.is_empty() {
            return Err(wrong().into());
        }
        if name.len() > LONGEST || parts.iter().any(|part| part.len() > LONGEST_PART) {
            return Err(format!("the name of a file of test data has more than {LONGEST} bytes, or a part of it has more than {LONGEST_PART}").into());
        }
        Ok(Self { name })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<String, String> {
        text.parse::<DataFile>().map(|file| file.name().to_owned()).map_err(Into::into)
    }

    #[test]
    fn names_are_paths_below_the_current_folder() {
        for (text, expected) in [("a.csv", "a.csv"), ("./a/b.csv", "a/b.csv"), ("a//b/./c", "a/b/c"), ("...", "...")] {
            assert_eq!(read(text).as_deref(), Ok(expected));
        }
        for text in ["", ".", "./", "..", "../a", "a/../b", "a/..", "/a", "/", "//a"] {
            let error = read(text).unwrap_err();
            assert!(error.starts_with("expected the path of a file below the current folder"), "{text}: {error}");
        }
        for text in ["a\nb", "a\0b"] {
            assert!(read(text).unwrap_err().contains("control characters"));
        }
        for text in ["a".repeat(256), "a/".repeat(600)] {
            assert!(read(&text).unwrap_err().contains("more than 1024 bytes"));
        }
    }

    #[test]
    fn files_that_exclude_each_other_are_refused() {
        let check = |names: &[&str]| {
            let files: Vec<DataFile> = names.iter().map(|name| name.parse().unwrap()).collect();
            DataFile::check_names(&files).map_err(String::from)
        };
        assert_eq!(check(&["a", "a.b/c", "b/a", "b/c"]), Ok(()));
        assert_eq!(check(&["a/b/c", "b", "a"]), Err("`a` cannot be both a file and the folder of `a/b/c`".to_owned()));
        assert_eq!(check(&["a"; 101]), Err("101 files: a run can have at most 100".to_owned()));
    }

    #[test]
    fn check_reports_what_cannot_be_read() {
        assert_eq!("Cargo.toml".parse::<DataFile>().unwrap().check(), Ok(()), "cargo runs tests in the crate's folder");
        for (name, reason) in [("src", "`src` cannot be read: it is not a file"), ("none", "`none` cannot be read: ")] {
            let error = name.parse::<DataFile>().unwrap().check().unwrap_err().to_string();
            assert!(error.starts_with(reason), "{error}");
        }
    }

    proptest! {
        #[test]
        fn names_never_leave_the_folder(text in "[a./\\\\ ]{0,12}") {
            if let Ok(name) = read(&text) {
                let is_inside = |part: &str| !part.is_empty() && part != "." && part != "..";
                prop_assert!(name.split('/').all(is_inside), "{}", name);
                prop_assert_eq!(read(&name), Ok(name));
            }
        }
    }
}
