//! What a command says, and where that goes: to this process's streams, or through the socket to another's.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use base64::Engine as _;
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::draft::{self, Draft};
use crate::base::ETag;

/// How a command ended. The numbers are its exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// No such user, calendar or password.
    NotFound = 3,
    /// There is one already.
    Conflict = 4,
    /// Done in part.
    Partial = 5,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Something that a command says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Message {
    /// Data, for standard output.
    Data(String),
    /// A line for the one who called, for standard error.
    Note(String),
    /// A calendar that was asked for: where it goes is decided by the one who called.
    Calendar {
        /// Its name.
        name: String,
        /// Its text.
        text: String,
    },
    /// Bytes of the backup, in base64.
    Backup(String),
    /// How far the work is.
    Progress {
        /// What is done.
        done: u64,
        /// Of how much.
        total: u64,
    },
    /// The end, with the exit code.
    End(Exit),
}

/// Where a command says things. It waits while nobody takes them; it goes on in silence when nobody ever will.
#[derive(Clone)]
pub struct Output(mpsc::Sender<Message>);

impl Output {
    /// An output and its other end.
    pub fn channel() -> (Self, mpsc::Receiver<Message>) {
        let (sender, receiver) = mpsc::channel(64);
        (Self(sender), receiver)
    }

    /// Data.
    pub async fn data(&self, text: impl Into<String>) {
        let _ = self.0.send(Message::Data(text.into())).await;
    }

    /// A line for the one who called.
    pub async fn note(&self, line: impl Into<String>) {
        let _ = self.0.send(Message::Note(line.into())).await;
    }

    /// A calendar.
    pub async fn calendar(&self, name: &str, text: String) {
        let _ = self.0.send(Message::Calendar { name: name.to_owned(), text }).await;
    }

    /// Bytes of the backup. Says whether anybody takes them.
    pub async fn backup(&self, bytes: &[u8]) -> bool {
        let text = base64::engine::general_purpose::STANDARD.encode(bytes);
        self.0.send(Message::Backup(text)).await.is_ok()
    }

    /// How far the work is.
    pub async fn progress(&self, done: u64, total: u64) {
        let _ = self.0.send(Message::Progress { done, total }).await;
    }

    /// The end.
    pub async fn end(&self, exit: Exit) {
        let _ = self.0.send(Message::End(exit)).await;
    }
}

/// Where exported calendars go.
#[derive(Debug, Clone)]
pub enum Target {
    /// Standard output.
    Standard,
    /// One file.
    File(PathBuf),
    /// A file for each calendar in this directory.
    Directory(PathBuf),
    /// A file that counts only when it is whole: a backup.
    Whole(PathBuf),
}

/// Takes what a command says to this process's streams and files.
pub struct Console {
    target: Target,
    /// The backup while it is written.
    draft: Option<Draft>,
    progress: Option<ProgressBar>,
    /// Nobody reads standard output any more.
    closed: bool,
}

impl Console {
    /// A console that writes calendars to `target`.
    pub fn new(target: Target) -> Self {
        Self { target, draft: None, progress: None, closed: false }
    }

    /// Takes one message.
    ///
    /// # Errors
    /// What could not be written.
    pub fn take(&mut self, message: Message) -> Result<(), String> {
        match message {
            Message::Data(text) => self.print(&text),
            Message::Note(line) => {
                match &self.progress {
                    Some(bar) => bar.suspend(|| eprintln!("{line}")),
                    None => eprintln!("{line}"),
                }
                Ok(())
            }
            Message::Calendar { name, text } => self.write(&name, &text),
            Message::Backup(text) => self.append(&text),
            Message::Progress { done, total } => {
                self.show(done, total);
                Ok(())
            }
            Message::End(exit) => {
                if let Some(bar) = self.progress.take() {
                    bar.finish_and_clear();
                }
                match self.draft.take() {
                    Some(draft) if exit == Exit::Done => draft.finish(),
                    _ => Ok(()),
                }
            }
        }
    }

    /// Whether the rest of the output is of no use: its reader has gone.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    fn print(&mut self, text: &str) -> Result<(), String> {
        if self.closed {
            return Ok(());
        }
        let mut out = std::io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            result => result.map_err(|error| format!("cannot write to standard output: {error}")),
        }
    }

    fn append(&mut self, text: &str) -> Result<(), String> {
        let bytes = base64::engine::general_purpose::STANDARD.decode(text);
        let bytes = bytes.map_err(|_| "the backup arrived damaged".to_owned())?;
        let draft = match (&mut self.draft, &self.target) {
            (Some(draft), _) => draft,
            (None, Target::Whole(path)) => self.draft.insert(Draft::begin(path)?),
            (None, _) => return Err("a backup came where none was asked for".to_owned()),
        };
        draft.append(&bytes)
    }

    fn write(&mut self, name: &str, text: &str) -> Result<(), String> {
        let (path, parent) = match &self.target {
            Target::Standard => return self.print(text),
            Target::File(path) => (path.clone(), None),
            Target::Whole(_) => return Err("a calendar came where a backup was asked for".to_owned()),
            Target::Directory(directory) => (directory.join(format!("{}.ics", file_name(name))), Some(directory)),
        };
        if let Some(parent) = parent {
            std::fs::create_dir_all(parent).map_err(|error| format!("cannot make {}: {error}", parent.display()))?;
        }
        draft::write(&path, text.as_bytes())
    }

    fn show(&mut self, done: u64, total: u64) {
        if !std::io::stderr().is_terminal() {
            return;
        }
        let bar = self.progress.get_or_insert_with(|| {
            let style =
                ProgressStyle::with_template("{bar:40} {pos}/{len} {eta}").expect("the template is well-formed");
            ProgressBar::new(total).with_style(style)
        });
        bar.set_length(total);
        bar.set_position(done);
    }
}

/// Longer names are cut: file systems take 255 bytes, and `.ics.part` stands behind.
const FILE_NAME_BYTES_MAX: usize = 240;

/// A calendar's name as a file's: no slashes, and no dot in front. Different names stay different.
fn file_name(name: &str) -> String {
    let escaped = name.replace('%', "%25").replace('/', "%2F").replace('\0', "%00");
    let safe = escaped.strip_prefix('.').map_or(escaped.clone(), |rest| format!("%2E{rest}"));
    if safe.len() <= FILE_NAME_BYTES_MAX {
        return safe;
    }
    let tag = ETag::of(name.as_bytes()).to_string();
    let tag = tag.trim_matches('"');
    let mut cut = FILE_NAME_BYTES_MAX - tag.len() - 1;
    while !safe.is_char_boundary(cut) {
        cut -= 1;
    }
    format!("{}-{tag}", &safe[..cut])
}

#[cfg(test)]
mod tests {
    use super::{FILE_NAME_BYTES_MAX, file_name};

    #[test]
    fn different_calendars_have_different_files() {
        let long = "\u{e4}".repeat(127);
        let names = ["work", ".work", "_work", "%2Ework", "a/b", "a_b", "a%2Fb", &long, &format!("{long}x")];
        let files: std::collections::BTreeSet<String> = names.into_iter().map(file_name).collect();
        assert_eq!(files.len(), names.len(), "{files:?}");
        for file in files {
            assert!(file.len() <= FILE_NAME_BYTES_MAX && !file.starts_with('.') && !file.contains('/'), "{file}");
        }
        assert_eq!(file_name("M\u{fc}ller"), "M\u{fc}ller");
    }
}
