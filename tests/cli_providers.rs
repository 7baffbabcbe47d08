//! `kalends provider`, the real binary: with and without a running server, exit codes, and what is never printed.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn kalends(data: &Path, key: Option<&str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kalends"));
    command.env("KALENDS_DATA", data).env_remove("KALENDS_CONFIG").env_remove("KALENDS_PROVIDERS_KEY");
    if let Some(key) = key {
        command.env("KALENDS_PROVIDERS_KEY", key);
    }
    command.stdin(Stdio::null());
    command
}

fn run(data: &Path, arguments: &str) -> Output {
    kalends(data, Some(KEY)).args(arguments.split(' ')).output().expect("it runs")
}

fn feed(mut command: Command, input: &str) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
    child.wait_with_output().expect("it ends")
}

fn add(data: &Path, arguments: &str, secrets: &str, key: Option<&str>) -> Output {
    let mut command = kalends(data, key);
    command.args(["provider", "add"]).args(arguments.split(' ')).arg("--secrets-stdin");
    feed(command, secrets)
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it exits")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn done(output: &Output) -> String {
    assert_eq!(code(output), 0, "{}{}", out(output), err(output));
    out(output)
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_str(&done(output)).expect("JSON")
}

struct Server(Child);

impl Server {
    fn start(data: &Path) -> Self {
        let mut child = kalends(data, Some(KEY))
            .args(["serve", "--listen", "127.0.0.1:0"])
            .env("KALENDS_LOG_LEVEL", "warn")
            .stdout(Stdio::piped())
            .spawn()
            .expect("it runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("it greets");
        Self(child)
    }

    fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it lives");
        assert!(self.0.wait().expect("it ends").success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Every command, in an order that leaves nothing behind.
fn commands(data: &Path) {
    let added = add(data, "zoom --user mara --name Acct1", "hook=very-secret-token\n", Some(KEY));
    done(&added);
    assert!(err(&added).contains("/hooks/zoom/Acct1"), "{}", err(&added));
    assert_eq!(code(&add(data, "zoom --user mara --name Acct1", "hook=x\n", Some(KEY))), 4);
    assert_eq!(code(&add(data, "zoom --user nobody --name A2", "hook=x\n", Some(KEY))), 3);
    assert_eq!(code(&add(data, "zoom --user mara --name A2 --calendar none", "hook=x\n", Some(KEY))), 3);
    let unsigned = run(data, "provider add slack --user mara --name T1");
    assert!(code(&unsigned) == 2 && err(&unsigned).contains("signing secret"), "{}", err(&unsigned));
    assert_eq!(code(&run(data, "provider add ics --user mara --name feed")), 2, "a feed has an address");
    assert_eq!(code(&run(data, "provider add nothing --user mara")), 2);
    let wrong = add(data, "zoom --user mara --name A2", "hok=very-secret-token\n", Some(KEY));
    assert!(code(&wrong) == 2 && !err(&wrong).contains("very-secret"), "{}", err(&wrong));

    let token = done(&run(data, "provider add generic --user mara --name crm"));
    assert!(token.starts_with("crm:") && token.trim().len() > 40, "{token}");

    let listed = json(&run(data, "provider list --json"));
    let names: Vec<_> = listed.as_array().expect("a list").iter().map(|row| row["account"].clone()).collect();
    assert_eq!(names, ["generic/crm", "zoom/Acct1"]);
    assert!(done(&run(data, "provider list")).contains("mara/default"));
    done(&run(data, "provider pause zoom/Acct1"));
    let status = json(&run(data, "provider status zoom/Acct1 --json"));
    assert_eq!((&status[0]["state"], &status[0]["counts"]["forged"]), (&"paused".into(), &0.into()));
    done(&run(data, "provider resume zoom/Acct1"));
    done(&run(data, "provider resync zoom/Acct1"));
    assert!(done(&run(data, "provider status")).contains("zoom/Acct1: active"));
    for verb in ["pause", "resume", "resync", "remove", "status"] {
        assert_eq!(code(&run(data, &format!("provider {verb} zoom/none"))), 3, "{verb}");
        assert_eq!(code(&run(data, &format!("provider {verb} none"))), 2, "{verb}");
    }
    assert_eq!(json(&run(data, "provider dead --json")), serde_json::json!([]));
    done(&run(data, "provider dead --forget"));
    for output in ["provider list --json", "provider status --json", "provider dead --json"] {
        assert!(!out(&run(data, output)).contains("very-secret"), "{output}");
    }
    done(&run(data, "provider remove zoom/Acct1"));
    done(&run(data, "provider remove generic/crm --keep-meetings"));
    assert_eq!(json(&run(data, "provider list --json")), serde_json::json!([]));
}

#[test]
fn every_command_works_with_and_without_a_server() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut user = kalends(dir.path(), None);
    user.args(["user", "add", "mara", "--email", "mara@example.com", "--password-stdin"]);
    done(&feed(user, "a-password\n"));
    commands(dir.path());
    let server = Server::start(dir.path());
    commands(dir.path());
    server.stop();
}

#[test]
fn without_a_key_one_is_made_and_with_another_one_it_says_so() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut user = kalends(dir.path(), None);
    user.args(["user", "add", "mara", "--password-stdin"]);
    done(&feed(user, "a-password\n"));
    let bad = add(dir.path(), "zoom --user mara --name z", "hook=s\n", Some("c2hvcnQ="));
    assert!(code(&bad) != 0 && err(&bad).contains("5 bytes"), "{}", err(&bad));
    done(&add(dir.path(), "zoom --user mara --name z", "hook=s\n", None));
    let key = dir.path().join("kalends.key");
    let mode = std::fs::metadata(&key).expect("a key beside the data").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "nobody else reads it");
    let resume = |key: Option<&str>| {
        let mut resume = kalends(dir.path(), key);
        resume.args(["provider", "resume", "zoom/z", "--secrets-stdin"]);
        feed(resume, "hook=t\n")
    };
    // A key that is configured later opens what is there, and seals what is new.
    done(&resume(Some(KEY)));
    for key in [None, Some("//////////////////////////////////////////8=")] {
        let other = resume(key);
        assert!(code(&other) == 1 && err(&other).contains("another key"), "{}", err(&other));
    }
}
