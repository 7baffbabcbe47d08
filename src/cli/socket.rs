//! Commands to a running server: a socket in the data directory that only its owner can open.
//!
//! sled lets one process in, so whoever finds the server running hands the command over. One connection is one command: a
//! line of JSON with the [`Command`], for an import then each file as a line of JSON with its name and length and that
//! many bytes, then an empty line. Back come [`Message`]s, one line of JSON each, the last one [`Message::End`].

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

use super::command::{Command, ImportFile};
use super::output::{Console, Exit, Message, Output};
use super::{link, run};
use crate::service::Context;

const NAME: &str = "kalends.sock";

/// A command's line is at most this long.
const LINE_BYTES_MAX: u64 = 1024 * 1024;

/// A file to import is at most this long.
pub(super) const FILE_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Paths of sockets are at most 107 bytes long; longer ones go by way of the directory's descriptor.
const PATH_BYTES_MAX: usize = 107;

#[derive(Serialize, Deserialize)]
struct FileHead {
    name: String,
    /// The length in bytes, or why it cannot be read.
    length: Result<u64, String>,
}

/// A path to the socket that is short enough, and what must stay open for it.
fn place(data: &Path) -> std::io::Result<(PathBuf, Option<File>)> {
    let path = data.join(NAME);
    if path.as_os_str().len() <= PATH_BYTES_MAX {
        return Ok((path, None));
    }
    let directory = File::open(data)?;
    Ok((format!("/proc/self/fd/{}/{NAME}", directory.as_raw_fd()).into(), Some(directory)))
}

/// The server's end of the socket. Removed when dropped.
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    /// Opens the socket in `data`. Whatever lies there under its name is left over: the caller holds the store.
    ///
    /// # Errors
    /// The operating system's.
    pub fn open(data: &Path) -> std::io::Result<Self> {
        let path = data.join(NAME);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let (short, _directory) = place(data)?;
        let listener = UnixListener::bind(short)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, path })
    }

    /// Runs the commands that come, until it is dropped.
    pub async fn serve(&self, context: &Arc<Context>, links: &Arc<link::Server>) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(answer(Arc::clone(context), Arc::clone(links), stream))),
                Err(error) => {
                    tracing::warn!(error = %error, "command.not_accepted");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn answer(context: Arc<Context>, links: Arc<link::Server>, stream: UnixStream) {
    let (reading, mut writing) = stream.into_split();
    let mut reader = BufReader::new(reading);
    let command = read_line::<Command>(&mut reader).await;
    if let Ok(Command::Link { version: link::VERSION }) = command {
        return link::serve(&links, &mut reader, &mut writing).await;
    }
    let (output, messages) = Output::channel();
    let writer = tokio::spawn(write_messages(messages, writing));
    let exit = match command {
        Ok(command) => {
            let (sender, files) = mpsc::channel(1);
            let importing = command.takes_files();
            let feeding = async {
                if importing {
                    feed(&mut reader, sender).await;
                }
            };
            let (exit, ()) = tokio::join!(run::run(&context, command, files, &output), feeding);
            exit
        }
        Err(error) => {
            output.note(format!("the command could not be read: {error}")).await;
            Exit::Failed
        }
    };
    output.end(exit).await;
    drop(output);
    let _ = writer.await;
}

async fn feed(reader: &mut (impl AsyncBufRead + Unpin), sender: mpsc::Sender<ImportFile>) {
    while let Ok(Some(head)) = read_line::<Option<FileHead>>(reader).await {
        let content = match head.length {
            Err(why) => Err(why),
            Ok(length) if length > FILE_BYTES_MAX => return,
            Ok(length) => {
                let mut bytes = Vec::new();
                match reader.take(length).read_to_end(&mut bytes).await {
                    Ok(read) if read as u64 == length => Ok(bytes),
                    _ => return,
                }
            }
        };
        if sender.send(ImportFile { name: head.name, content }).await.is_err() {
            return;
        }
    }
}

async fn read_line<T: for<'de> Deserialize<'de>>(reader: &mut (impl AsyncBufRead + Unpin)) -> Result<T, String> {
    let mut line = String::new();
    reader.take(LINE_BYTES_MAX).read_line(&mut line).await.map_err(|error| error.to_string())?;
    serde_json::from_str(&line).map_err(|_| "it is of another version of Kalends, or cut off".to_owned())
}

async fn write_messages(mut messages: mpsc::Receiver<Message>, mut writing: OwnedWriteHalf) {
    while let Some(message) = messages.recv().await {
        if write_line(&mut writing, &message).await.is_err() {
            return;
        }
    }
}

async fn write_line(writing: &mut OwnedWriteHalf, value: &impl Serialize) -> Result<(), String> {
    let mut line = serde_json::to_vec(value).map_err(|error| error.to_string())?;
    line.push(b'\n');
    writing.write_all(&line).await.map_err(|error| error.to_string())
}

/// Connects to the server that has `data` open; `None` if none listens there.
pub async fn connect(data: &Path) -> Option<UnixStream> {
    let (path, _directory) = place(data).ok()?;
    UnixStream::connect(path).await.ok()
}

/// Has the server at the other end of `stream` run `command`, and shows what it says.
///
/// # Errors
/// If the connection breaks or something cannot be written here.
pub async fn relay(
    stream: UnixStream,
    command: Command,
    files: mpsc::Receiver<ImportFile>,
    console: &mut Console,
) -> Result<Exit, String> {
    let (reading, mut writing) = stream.into_split();
    let importing = command.takes_files();
    let sending = async move {
        write_line(&mut writing, &command).await?;
        if importing {
            send_files(&mut writing, files).await?;
        }
        // Kept open to the end: closing it would say that nobody listens.
        Ok::<_, String>(writing)
    };
    let receiving = async {
        let mut lines = BufReader::new(reading).lines();
        while let Some(line) = lines.next_line().await.map_err(|error| error.to_string())? {
            let message: Message =
                serde_json::from_str(&line).map_err(|_| "the running server is of another version of Kalends")?;
            let end = match &message {
                Message::End(exit) => Some(*exit),
                _ => None,
            };
            console.take(message)?;
            match end {
                Some(exit) => return Ok(exit),
                None if console.is_closed() => return Ok(Exit::Done),
                None => {}
            }
        }
        Err("the server ended before the command did".to_owned())
    };
    tokio::pin!(receiving);
    tokio::select! {
        exit = &mut receiving => exit,
        sent = sending => {
            // A server that refuses early closes its end: what it said is in the answer.
            let _kept = sent;
            receiving.await
        }
    }
}

async fn send_files(writing: &mut OwnedWriteHalf, mut files: mpsc::Receiver<ImportFile>) -> Result<(), String> {
    while let Some(file) = files.recv().await {
        let length = file.content.as_ref().map(|bytes| bytes.len() as u64).map_err(Clone::clone);
        write_line(writing, &Some(FileHead { name: file.name, length })).await?;
        if let Ok(bytes) = file.content {
            writing.write_all(&bytes).await.map_err(|error| error.to_string())?;
        }
    }
    write_line(writing, &None::<FileHead>).await
}
