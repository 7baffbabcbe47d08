//! The real binary on real directories: the first start, every command with and without a server, exit codes.

mod sockets;

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use sockets::{Answer, request};

const EVENT: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\nBEGIN:VEVENT\r\nUID:one\r\nDTSTAMP:20260101T000000Z\r\n\
                     DTSTART:20260105T100000Z\r\nDTEND:20260105T110000Z\r\nSUMMARY:One\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

fn kalends(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kalends"));
    command.env("KALENDS_DATA", data).env_remove("KALENDS_CONFIG").stdin(Stdio::null());
    command
}

/// Runs a command to its end.
fn run(data: &Path, arguments: &[&str]) -> Output {
    kalends(data).args(arguments).output().expect("it runs")
}

/// Runs a command that reads `input`.
fn feed(data: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = kalends(data)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
    child.wait_with_output().expect("it ends")
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

/// A running server, and what it printed when it started.
struct Server {
    child: Child,
    greeting: String,
    address: SocketAddr,
}

impl Server {
    fn start(data: &Path) -> Self {
        Self::logging(data, Stdio::inherit(), "warn")
    }

    fn logging(data: &Path, log: Stdio, level: &str) -> Self {
        let mut child = kalends(data)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .env("KALENDS_LOG_LEVEL", level)
            // No terminal, wherever the tests run.
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("it runs");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let first = lines.next().expect("it greets").expect("in UTF-8");
        let address = first.split("http://").nth(1).and_then(|rest| rest.split('/').next()).expect("a URL");
        let address = address.parse().expect("an address");
        let mut greeting = vec![first];
        let fresh = std::fs::read_dir(data).expect("the data directory").count() > 0;
        assert!(fresh);
        // The greeting ends with the third command at a first start, and with an empty line at others.
        let wanted = |line: &str| line.starts_with("curl") && line.contains("REPORT");
        for line in lines.by_ref().map_while(Result::ok) {
            let last = wanted(&line) || (line.is_empty() && !data.join("expect-first-start").exists());
            greeting.push(line);
            if last {
                break;
            }
        }
        Self { child, greeting: greeting.join("\n"), address }
    }

    /// A first start, which greets at length.
    fn first(data: &Path) -> Self {
        let marker = data.join("expect-first-start");
        std::fs::write(&marker, "").expect("written");
        let server = Self::start(data);
        std::fs::remove_file(marker).expect("removed");
        server
    }

    fn password(&self) -> String {
        self.greeting.lines().find(|line| line.starts_with("    ")).expect("a password").trim().to_owned()
    }

    fn stop(mut self) -> bool {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it lives");
        self.child.wait().expect("it ends").success()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The words of a shell command with nothing but plain and single-quoted words.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in line.split('\'').enumerate() {
        if index % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// Does what one of the printed lines says.
fn execute(line: &str, address: SocketAddr) -> Answer {
    let (input, curl) = match line.split_once(" | ") {
        Some((printf, curl)) => (words(printf)[1].replace("\\r\\n", "\r\n"), curl),
        None => (String::new(), line),
    };
    let words = words(curl);
    let behind = |flag: &str| words.iter().position(|word| word == flag).map(|at| words[at + 1].clone());
    let url = words.last().expect("a URL");
    let target = url.strip_prefix(&format!("http://{address}")).expect("a URL of this server");
    let method = behind("-X").unwrap_or_else(|| "PUT".to_owned());
    let login = behind("-u").expect("a login");
    let (user, password) = login.split_once(':').expect("a password");
    let mut sent = request(&method, target).login(user, password).body(behind("-d").unwrap_or(input));
    if let Some((name, value)) = behind("-H").as_deref().and_then(|header| header.split_once(": ")) {
        sent = sent.header(name, value);
    }
    if behind("-T").is_some() { sent.chunked().send(address) } else { sent.send(address) }
}

#[test]
fn the_first_start_prints_lines_that_work_as_they_are() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::first(dir.path());
    assert!(server.greeting.contains(&format!("http://{}/dav/", server.address)), "{}", server.greeting);
    let lines: Vec<&str> = server.greeting.lines().filter(|line| line.contains("curl -u")).collect();
    assert_eq!(lines.len(), 3, "{}", server.greeting);
    let answers: Vec<Answer> = lines.iter().map(|line| execute(line, server.address)).collect();
    assert_eq!(answers.iter().map(|answer| answer.status).collect::<Vec<_>>(), [207, 201, 200], "{answers:?}");
    assert!(answers[0].body.contains("/dav/calendars/admin/default/"), "{}", answers[0].body);
    assert!(answers[2].body.contains("FREEBUSY"), "{}", answers[2].body);
    if Command::new("curl").arg("--version").output().is_ok() {
        for line in lines {
            let line = format!("{line} --silent --fail");
            let ran = Command::new("sh").args(["-c", &line]).output().expect("a shell");
            assert!(ran.status.success(), "{line}\n{}", err(&ran));
        }
    }
    assert!(server.stop(), "a signal ends it well");
    let again = Server::start(dir.path());
    assert!(!again.greeting.contains("curl"), "the password is shown once: {}", again.greeting);
}

#[test]
fn commands_work_the_same_while_the_server_runs_and_while_it_does_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path();
    let server = Server::first(data);
    let commands = || {
        let mut said = Vec::new();
        let mut note = |output: Output| said.push((code(&output), out(&output), err(&output)));
        note(feed(data, &["user", "add", "anna", "--email", "anna@example.com", "--password-stdin"], "secret\n"));
        note(feed(data, &["user", "add", "Anna", "--password-stdin"], "secret\n"));
        note(feed(data, &["user", "passwd", "anna", "--password-stdin"], "other\n"));
        note(run(data, &["user", "passwd", "anna"]));
        note(run(data, &["user", "remove", "nobody"]));
        note(run(data, &["user", "remove", "not/a/name"]));
        note(run(data, &["calendar", "create", "anna/work", "--display-name", "Work"]));
        note(run(data, &["calendar", "create", "anna/work"]));
        note(run(data, &["calendar", "rename", "anna/work", "job"]));
        note(run(data, &["calendar", "rename", "anna/work", "job"]));
        note(run(data, &["calendar", "remove", "anna/job"]));
        note(run(data, &["app-password", "revoke", "anna"]));
        note(feed(data, &["import", "anna/default", "-"], EVENT));
        note(feed(data, &["import", "anna/default", "-"], EVENT));
        note(feed(data, &["import", "anna/default", "-"], &EVENT.replace("SUMMARY:One", "SUMMARY:Two")));
        note(run(data, &["import", "anna/none", "x.ics"]));
        note(run(data, &["import", "anna/default", "/nonexistent.ics"]));
        note(run(data, &["export", "anna/default"]));
        note(run(data, &["export", "anna"]));
        note(run(data, &["verify", "--rebuild", "--json"]));
        note(run(data, &["user", "remove", "anna"]));
        said
    };
    let with = commands();
    assert!(server.stop());
    let without = commands();
    assert_eq!(with, without);
    let codes: Vec<i32> = with.iter().map(|(code, ..)| *code).collect();
    assert_eq!(codes, [0, 4, 0, 2, 3, 2, 0, 4, 0, 3, 0, 3, 0, 0, 0, 3, 5, 0, 2, 0, 0], "{with:#?}");
    assert_eq!(with[12].2.trim(), "1 created, 0 updated, 0 unchanged, 0 failed");
    assert_eq!(with[13].2.trim(), "0 created, 0 updated, 1 unchanged, 0 failed");
    assert_eq!(with[14].2.trim(), "0 created, 1 updated, 0 unchanged, 0 failed");
    assert!(with[17].1.contains("SUMMARY:Two\r\n"), "{}", with[17].1);
    assert_eq!(with[19].1.trim(), "[]");
}

#[test]
fn import_takes_what_it_can_and_names_the_rest() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path();
    drop(Server::first(data));
    let broken =
        EVENT.replace("END:VCALENDAR\r\n", "BEGIN:VEVENT\r\nUID:two\r\nnonsense\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n");
    let file = data.join("broken.ics");
    std::fs::write(&file, broken).expect("written");
    let ran = run(data, &["import", "admin/default", file.to_str().expect("UTF-8")]);
    assert_eq!(code(&ran), 5);
    assert!(err(&ran).contains("broken.ics line 13: UID two: "), "{}", err(&ran));
    assert!(err(&ran).contains("1 created, 0 updated, 0 unchanged, 1 failed"), "{}", err(&ran));
    let target = data.join("out");
    let ran = run(data, &["export", "admin", "--out", target.to_str().expect("UTF-8")]);
    assert_eq!(code(&ran), 0, "{}", err(&ran));
    let text = std::fs::read_to_string(target.join("default.ics")).expect("written");
    assert!(text.contains("UID:one\r\n") && !text.contains("UID:two"), "{text}");
}

#[test]
fn lists_come_as_json_for_programs() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path();
    let server = Server::first(data);
    let password = out(&run(data, &["app-password", "add", "admin", "--name", "phone"]));
    let json =
        |arguments: &[&str]| -> serde_json::Value { serde_json::from_str(&out(&run(data, arguments))).expect("JSON") };
    assert_eq!(json(&["user", "list", "--json"])[0]["name"], "admin");
    assert_eq!(json(&["user", "list", "--json"])[0]["admin"], true);
    assert_eq!(json(&["calendar", "list", "admin", "--json"])[0]["path"], "/dav/calendars/admin/default/");
    assert_eq!(json(&["app-password", "list", "admin", "--json"])[0]["name"], "phone");
    let login = |password: &str| {
        request("PROPFIND", "/dav/").header("Depth", "0").login("admin", password).send(server.address).status
    };
    assert_eq!(login(password.trim()), 207);
    assert_eq!(login(&server.password()), 207);
    assert_eq!(code(&run(data, &["app-password", "revoke", "admin", "--name", "phone"])), 0);
    assert_eq!(login(password.trim()), 401, "at once, in the running server");
}

/// Whether users can find each other is the administrator's to say (docs/decisions/0005).
#[test]
fn the_directory_is_closed_until_the_configuration_opens_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let look = |server: &Server, password: &str| {
        let request = request("PROPFIND", "/dav/principals/ben/").header("Depth", "0").login("admin", password);
        request.send(server.address).status
    };
    let server = Server::first(dir.path());
    let password = server.password();
    assert_eq!(code(&feed(dir.path(), &["user", "add", "ben", "--password-stdin"], "a long enough one\n")), 0);
    assert_eq!(look(&server, &password), 404);
    assert!(server.stop());
    std::fs::write(dir.path().join("kalends.toml"), "[auth]\nopen_directory = true\n").expect("written");
    let server = Server::start(dir.path());
    assert_eq!(look(&server, &password), 207);
    assert!(server.stop());
}

#[test]
fn a_second_server_on_the_same_data_is_refused_and_told_of_the_first() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::first(dir.path());
    let second = run(dir.path(), &["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(code(&second), 1);
    assert!(err(&second).contains(&server.child.id().to_string()), "{}", err(&second));
    let other = tempfile::tempdir().expect("a directory");
    let taken = run(other.path(), &["serve", "--listen", &server.address.to_string()]);
    assert_eq!(code(&taken), 1);
    assert!(err(&taken).contains("is in use"), "{}", err(&taken));
}

#[test]
fn a_server_that_was_killed_leaves_nothing_in_the_way() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut server = Server::first(dir.path());
    server.child.kill().expect("it lives");
    server.child.wait().expect("it ends");
    assert!(dir.path().join("kalends.sock").exists(), "its socket is left over");
    assert_eq!(code(&run(dir.path(), &["user", "list"])), 0);
    let again = Server::start(dir.path());
    assert_eq!(code(&run(dir.path(), &["user", "list"])), 0);
    assert!(again.stop());
    assert!(!dir.path().join("kalends.sock").exists());
}

#[test]
fn the_socket_and_the_data_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("fresh");
    let ran = feed(&data, &["user", "list"], "");
    assert_eq!(code(&ran), 1, "a command makes no data directory: a wrong --data would go unnoticed");
    assert_eq!(
        code(&feed(&data, &["user", "add", "anna", "--password-stdin"], "secret\n")),
        0,
        "before the first start"
    );
    assert_eq!(std::fs::metadata(&data).expect("made").permissions().mode() & 0o777, 0o700);
    let server = Server::start(&data);
    let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&data.join("kalends.sock")), 0o600);
    drop(server);
}

#[test]
fn the_default_configuration_is_accepted_and_mistakes_are_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let printed = run(dir.path(), &["config", "print-default"]);
    assert_eq!(code(&printed), 0);
    let file = dir.path().join("my.toml");
    let wrong = out(&printed).replace("[auth]\n", "[auth]\nrelm = \"x\"\n");
    std::fs::write(&file, wrong).expect("written");
    let ran = run(dir.path(), &["serve", "--config", file.to_str().expect("UTF-8")]);
    assert_eq!(code(&ran), 2);
    assert!(err(&ran).contains("[auth] has no setting `relm`; is `realm` meant?"), "{}", err(&ran));
    std::fs::write(&file, "[log]\nlevel = \"loud==\"\n").expect("written");
    let ran = run(dir.path(), &["doctor", "--config", file.to_str().expect("UTF-8")]);
    assert!(out(&ran).contains("[log] level: `loud==` is no level"), "{}", out(&ran));
    assert_eq!(code(&run(dir.path(), &["no-such-command"])), 2);
}

#[test]
fn a_hangup_ends_no_service() {
    let dir = tempfile::tempdir().expect("a directory");
    drop(Server::first(dir.path()));
    let server = Server::logging(dir.path(), Stdio::null(), "info");
    let pid = rustix::process::Pid::from_child(&server.child);
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).expect("it lives");
    assert_eq!(request("GET", "/healthz").send(server.address).status, 200);
    assert!(server.stop(), "it ends as it should");
}

/// A closed terminal takes no log lines any more, and is none: the server ends as it should nevertheless.
#[test]
fn a_server_ends_with_its_terminal() {
    let dir = tempfile::tempdir().expect("a directory");
    drop(Server::first(dir.path()));
    let terminal =
        rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY).expect("a terminal");
    rustix::pty::grantpt(&terminal).expect("granted");
    rustix::pty::unlockpt(&terminal).expect("unlocked");
    let name = rustix::pty::ptsname(&terminal, Vec::new()).expect("it has a name").into_string().expect("in UTF-8");
    // As nobody's own terminal: its end is to hit the server alone.
    let flags = rustix::fs::OFlags::NOCTTY.bits().cast_signed();
    let inside = std::fs::File::options().read(true).write(true).custom_flags(flags).open(name).expect("its other end");
    let mut server = Server::logging(dir.path(), inside.into(), "info");
    let pid = rustix::process::Pid::from_child(&server.child);
    drop(terminal);
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).expect("it lives");
    let ended = server.child.wait().expect("it ends");
    assert_eq!(ended.code(), Some(0), "{ended}");
}

#[test]
fn data_moves_to_the_other_engine_and_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path();
    drop(Server::first(data));
    assert_eq!(code(&feed(data, &["import", "admin/default", "-"], EVENT)), 0);
    assert_eq!(code(&run(data, &["compact"])), 0);
    let moved = run(data, &["migrate", "--to", "fjall"]);
    assert_eq!(code(&moved), 0, "{}", err(&moved));
    let refused = run(data, &["user", "list"]);
    assert_eq!(code(&refused), 1);
    assert!(err(&refused).contains("fjall"), "{}", err(&refused));
    let on_fjall = |arguments: &[&str]| {
        kalends(data).env("KALENDS_STORE_ENGINE", "fjall").args(arguments).output().expect("it runs")
    };
    assert!(out(&on_fjall(&["export", "admin/default"])).contains("UID:one"));
    assert_eq!(code(&on_fjall(&["migrate", "--to", "sled"])), 0);
    assert!(out(&run(data, &["export", "admin/default"])).contains("UID:one"));
}

fn busy(uid: &str, start: &str, end: &str, more: &str) -> String {
    EVENT
        .replace("UID:one", &format!("UID:{uid}"))
        .replace("DTSTART:20260105T100000Z", &format!("DTSTART:{start}"))
        .replace("DTEND:20260105T110000Z", &format!("DTEND:{end}"))
        .replace("SUMMARY:One", format!("SUMMARY:Private\r\n{more}").trim_end())
}

#[test]
fn freebusy_finds_the_times_at_which_all_are_free() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path();
    let server = Server::first(data);
    for user in ["anna", "ben"] {
        assert_eq!(code(&feed(data, &["user", "add", user, "--password-stdin"], "secret\n")), 0);
    }
    run(data, &["calendar", "create", "ben/work"]);
    // Sunday and Monday lie in two weeks; the evening's meeting spans them.
    let store = |calendar: &str, event: &str| assert_eq!(code(&feed(data, &["import", calendar, "-"], event)), 0);
    store("anna/default", &busy("a", "20260104T200000Z", "20260105T083000Z", ""));
    store("anna/default", &busy("b", "20260105T093000Z", "20260105T120000Z", "RRULE:FREQ=WEEKLY;COUNT=3"));
    store("ben/default", &busy("c", "20260105T084000Z", "20260105T085000Z", "STATUS:TENTATIVE"));
    store("ben/default", &busy("d", "20260105T090000Z", "20260105T093000Z", "TRANSP:TRANSPARENT"));
    store("ben/work", &busy("e", "20260105T091500Z", "20260105T092000Z", ""));
    let search = |more: &[&str]| {
        let window = ["freebusy", "--from", "2026-01-04T20:00:00+01:00", "--to", "20260105T100000Z"];
        run(data, &[&window, more].concat())
    };
    let both = ["--users", "anna,ben", "--duration"];
    let searches = || {
        let found = [
            search(&[&both[..], &["30m"]].concat()),
            search(&[&both[..], &["PT15M", "--json"]].concat()),
            search(&[&both[..], &["30m", "--tentative-is-free"]].concat()),
            search(&[&both[..], &["1h", "--step", "1h", "--json"]].concat()),
            search(&["--users", "anna,nobody", "--duration", "30m"]),
            search(&["--users", "anna,", "--duration", "30m"]),
            search(&["--users", "anna", "--duration", "soon"]),
            run(
                data,
                &[
                    "freebusy",
                    "--users",
                    "anna",
                    "--from",
                    "20260105T100000Z",
                    "--to",
                    "20260105T100000Z",
                    "--duration",
                    "1h",
                ],
            ),
            run(
                data,
                &["freebusy", "--users", "anna", "--from", "20260105", "--to", "20260106T100000Z", "--duration", "1h"],
            ),
            run(
                data,
                &[
                    "freebusy",
                    "--users",
                    "anna",
                    "--from",
                    "00010101T000000Z",
                    "--to",
                    "90000101T000000Z",
                    "--duration",
                    "1h",
                ],
            ),
        ];
        found.map(|output| (code(&output), out(&output), err(&output)))
    };
    let with = searches();
    assert!(server.stop());
    assert_eq!(with, searches(), "the same without a server");
    assert_eq!(with.each_ref().map(|(code, ..)| *code), [0, 0, 0, 0, 3, 2, 2, 2, 2, 2], "{with:#?}");
    let slots = |of: &[(&str, &str)]| -> String {
        of.iter().map(|(start, end)| format!("2026-01-0{start}:00Z  2026-01-0{end}:00Z\n")).collect()
    };
    let evening = [("4T19:00", "4T19:30"), ("4T19:15", "4T19:45"), ("4T19:30", "4T20:00")];
    assert_eq!(with[0].1, slots(&evening));
    assert_eq!(with[2].1, slots(&[&evening[..], &[("5T08:30", "5T09:00"), ("5T08:45", "5T09:15")]].concat()));
    let starts = |text: &str| {
        let rows: serde_json::Value = serde_json::from_str(text).expect("JSON");
        let rows = rows.as_array().expect("a list").clone();
        rows.iter().map(|row| row["start"].as_str().expect("a time")[8..16].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(starts(&with[1].1), ["04T19:00", "04T19:15", "04T19:30", "04T19:45", "05T09:00"]);
    assert_eq!(starts(&with[3].1), ["04T19:00"]);
    for (at, words) in [(4, "nobody"), (6, "1h30m"), (7, "not after"), (8, "2026-01-05T09:00:00+01:00"), (9, "shorter")]
    {
        assert!(with[at].2.contains(words), "{}", with[at].2);
    }
    assert!(with.iter().all(|(_, out, err)| !out.contains("Private") && !err.contains("Private")));
}
