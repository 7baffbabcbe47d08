//! What a command reads: passwords and files.

use std::io::{BufRead, IsTerminal, Read, Write};
use std::path::PathBuf;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::sync::mpsc;

use super::command::ImportFile;
use super::socket::FILE_BYTES_MAX;

/// The password: the first line of standard input, or typed twice at a prompt that shows nothing.
///
/// # Errors
/// If there is none, or the two differ.
pub fn password(from_stdin: bool) -> Result<String, String> {
    if from_stdin {
        return first_line();
    }
    if !std::io::stdin().is_terminal() {
        return Err("standard input is no terminal: give the password with --password-stdin".to_owned());
    }
    let first = prompt("Password: ")?;
    if prompt("Again: ")? == first { Ok(first) } else { Err("the two passwords differ".to_owned()) }
}

fn first_line() -> Result<String, String> {
    let mut line = String::new();
    let read = std::io::stdin().lock().take(4_096).read_line(&mut line);
    read.map_err(|error| format!("cannot read the password: {error}"))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn prompt(text: &str) -> Result<String, String> {
    let mut err = std::io::stderr();
    let _ = write!(err, "{text}").and_then(|()| err.flush());
    let quiet = Quiet::start().map_err(|error| format!("cannot hide the password: {error}"))?;
    let line = first_line();
    drop(quiet);
    eprintln!();
    line
}

/// A terminal that does not show what is typed, until dropped.
struct Quiet(Termios);

impl Quiet {
    fn start() -> std::io::Result<Self> {
        let before = tcgetattr(std::io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(std::io::stdin(), OptionalActions::Flush, &quiet)?;
        Ok(Self(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// The files to import, read one by one as they are taken.
pub fn files(paths: Vec<PathBuf>) -> mpsc::Receiver<ImportFile> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::task::spawn_blocking(move || {
        for path in paths {
            let name = path.display().to_string();
            let content = read(&path).map_err(|error| error.to_string());
            if sender.blocking_send(ImportFile { name, content }).is_err() {
                return;
            }
        }
    });
    receiver
}

fn read(path: &PathBuf) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if path.as_os_str() == "-" {
        std::io::stdin().lock().take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    } else {
        std::fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    }
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(std::io::Error::other("it is larger than 1 GiB"));
    }
    Ok(bytes)
}
