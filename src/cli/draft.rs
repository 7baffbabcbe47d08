//! A file that takes its name when it is whole.
//!
//! A new one is for its owner's eyes alone: it holds people's days. One that takes the place of another keeps who may read it.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

/// A file being written as `NAME.part`. Dropped before [`Draft::finish`], it is removed.
pub(super) struct Draft {
    file: File,
    path: PathBuf,
    part: PathBuf,
    whole: bool,
}

impl Draft {
    /// Begins to write what is to take the place of `path`, if something is there, behind its links and with its owner and mode, as far
    /// as the caller may give it away.
    pub(super) fn replacing(path: &Path) -> Result<Self, String> {
        let Ok(there) = fs::canonicalize(path) else { return Self::begin(path) };
        let known = fs::metadata(&there).map_err(|error| format!("cannot look at {}: {error}", there.display()))?;
        let draft = Self::begin(&there)?;
        let _ = fchown(&draft.file, Some(known.uid()), Some(known.gid()));
        let kept = draft.file.set_permissions(known.permissions());
        kept.map_err(|error| format!("cannot give {} the mode of {}: {error}", draft.part.display(), there.display()))?;
        Ok(draft)
    }

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

/// Writes `text` as the file at `path`. What is there stays until all of it is written; into pipes and devices it goes as it is.
pub(super) fn write(path: &Path, text: &[u8]) -> Result<(), String> {
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        let written = OpenOptions::new().write(true).open(path).and_then(|mut file| file.write_all(text));
        return written.map_err(|error| format!("cannot write {}: {error}", path.display()));
    }
    let mut draft = Draft::replacing(path)?;
    draft.append(text)?;
    draft.finish()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::write;

    fn mode(path: &std::path::Path) -> u32 {
        fs::metadata(path).expect("it is there").permissions().mode() & 0o7777
    }

    #[test]
    fn what_takes_anothers_place_keeps_who_may_read_it() {
        let place = tempfile::tempdir().expect("a directory");
        let (file, link) = (place.path().join("work.ics"), place.path().join("link.ics"));
        write(&file, b"one").expect("written");
        assert_eq!(mode(&file), 0o600);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("changed");
        symlink(&file, &link).expect("linked");
        write(&link, b"two").expect("written");
        assert_eq!((fs::read(&file).expect("there"), mode(&file)), (b"two".to_vec(), 0o644));
        assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
        assert_eq!(fs::read_dir(place.path()).expect("listed").count(), 2, "no draft is left");
    }

    #[test]
    fn a_pipe_is_written_into() {
        let place = tempfile::tempdir().expect("a directory");
        let pipe = place.path().join("pipe");
        let made =
            rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::from(0o600), 0);
        made.expect("a pipe");
        let reader = {
            let pipe = pipe.clone();
            std::thread::spawn(move || {
                let mut text = String::new();
                fs::File::open(pipe).and_then(|mut file| file.read_to_string(&mut text)).expect("read");
                text
            })
        };
        write(&pipe, b"one").expect("written");
        assert_eq!(reader.join().expect("it ended"), "one");
    }
}
