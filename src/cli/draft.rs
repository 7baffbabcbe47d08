//! A file that takes its name when it is whole.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A file being written as `NAME.part`. Dropped before [`Draft::finish`], it is removed.
pub(super) struct Draft {
    file: File,
    path: PathBuf,
    part: PathBuf,
    whole: bool,
}

impl Draft {
    /// Begins to write what is to become `path`, for its owner's eyes alone.
    pub(super) fn begin(path: &Path) -> Result<Self, String> {
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        // One that was cut off earlier may have been made with other rights.
        let _ = fs::remove_file(&part);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part);
        let file = file.map_err(|error| format!("cannot write {}: {error}", part.display()))?;
        Ok(Self { file, path: path.to_owned(), part, whole: false })
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.file.write_all(bytes).map_err(|error| format!("cannot write {}: {error}", self.part.display()))
    }

    /// Gives the file its name, durably.
    pub(super) fn finish(mut self) -> Result<(), String> {
        let place = match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        let finished = self
            .file
            .sync_all()
            .and_then(|()| fs::rename(&self.part, &self.path))
            .and_then(|()| File::open(place)?.sync_all());
        self.whole = finished.is_ok();
        finished.map_err(|error| format!("cannot finish {}: {error}", self.path.display()))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.whole {
            let _ = fs::remove_file(&self.part);
        }
    }
}
