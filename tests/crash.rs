//! Servers that are killed, and machines that lose power, under load: everything acknowledged is there afterwards, nothing
//! in halves, and sync-tokens from before still tell the truth.
//!
//! `KALENDS_CRASH_ROUNDS=500` makes a long run, `KALENDS_CRASH_SEED` repeats one. The power cuts need root and a file
//! system of their own: `scripts/power-cut` runs them.

mod load;
mod sockets;

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use load::{Client, Dice, Listing, Place, Progress, Reader};
use rustix::process::Signal;

/// The calendars that clients write into: two of them share the first.
const CALENDARS: [&str; 4] = ["default", "default", "own-one", "own-two"];
/// States kept, from which is synchronised after every later crash.
const REPLICAS: usize = 6;
/// No power cut waits longer for a moment without writes to the image.
const QUIET: Duration = Duration::from_secs(20);

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// A state of a calendar that was read at some time, with its token.
struct Replica {
    calendar: String,
    token: String,
    listing: Listing,
}

/// What was counted.
#[derive(Debug, Default)]
struct Tally {
    rounds: u64,
    steps: u64,
    tokens_true: u64,
    tokens_refused: u64,
}

/// The clients and what they know.
struct Harness {
    clients: Vec<Client>,
    replicas: Vec<Replica>,
    dice: Dice,
    tally: Tally,
}

impl Harness {
    fn new(place: &Place, seed: u64) -> Self {
        let clients = (0..).zip(CALENDARS).map(|(n, calendar)| Client::new(place, calendar, n, seed)).collect();
        Self { clients, replicas: Vec::new(), dice: Dice(seed), tally: Tally::default() }
    }

    /// Lets the clients write while `meanwhile` runs, with somebody who synchronises. What `meanwhile` says comes back when
    /// all have stopped.
    fn load<T>(
        &mut self,
        server: std::net::SocketAddr,
        password: &str,
        meanwhile: impl FnOnce(&Progress, &AtomicBool) -> T,
    ) -> T {
        let (stop, progress) = (AtomicBool::new(false), Progress::default());
        let reader = Reader { address: server, password };
        let replicas = &mut self.replicas;
        let calendar = format!("/dav/calendars/anna/{}/", CALENDARS[0]);
        std::thread::scope(|scope| {
            for client in &mut self.clients {
                scope.spawn(|| load::write(client, server, &stop, &progress));
            }
            scope.spawn(|| {
                let (mut token, mut listing) = (String::new(), Listing::new());
                while !stop.load(Ordering::SeqCst) {
                    match reader.synchronise(&calendar, &token, &mut listing) {
                        Some(Ok(next)) => token = next,
                        Some(Err(())) => panic!("a token just issued is refused"),
                        None => break,
                    }
                }
                replicas.push(Replica { calendar: calendar.clone(), token, listing });
            });
            let said = meanwhile(&progress, &stop);
            stop.store(true, Ordering::SeqCst);
            said
        })
    }

    /// Compares all that a server says with what the clients were told. `bounds` tells for each client the steps that must,
    /// and that may, be there; without, those answered and those sent.
    fn compare(
        &mut self,
        place: &Place,
        server: std::net::SocketAddr,
        bounds: Option<&Bounds>,
    ) -> Result<Vec<Listing>, String> {
        let reader = Reader { address: server, password: &place.password };
        let mut found = Vec::new();
        for client in &self.clients {
            let (listing, _) = reader.listing(&client.calendar);
            let (from, to) = match bounds {
                Some(bounds) => bounds.get(&client.prefix).copied().unwrap_or_default(),
                None => client.progress(),
            };
            let own = load::compare(client, &listing, from, to)?;
            for (name, etag) in own.iter().skip(self.dice.below(5) as usize).step_by(7) {
                let back = reader.tag_of_bytes(&format!("{}{name}", client.calendar));
                if back != *etag {
                    return Err(format!("{name} comes back as {back} and is listed as {etag}"));
                }
            }
            found.push(own);
        }
        let verified = place.run(&["verify"]);
        if !verified.status.success() {
            return Err(format!("verify: {verified:?}"));
        }
        Ok(found)
    }

    /// Synchronises from every state read earlier: the result must equal the listing, or the token be refused.
    fn tokens(&mut self, place: &Place, server: std::net::SocketAddr) {
        let reader = Reader { address: server, password: &place.password };
        for Replica { calendar, token, listing } in &self.replicas {
            let (now, _) = reader.listing(calendar);
            let mut replica = listing.clone();
            match reader.synchronise(calendar, token, &mut replica).expect("the server serves") {
                Ok(_) => {
                    assert_eq!(replica, now, "a delta since {token} lost something");
                    self.tally.tokens_true += 1;
                }
                Err(()) => self.tally.tokens_refused += 1,
            }
        }
        // Old ones are the harder ones, so it is by chance which ones stay.
        while self.replicas.len() > REPLICAS {
            let gone = self.dice.below(self.replicas.len() as u64) as usize;
            self.replicas.remove(gone);
        }
    }

    fn settle(&mut self, found: Vec<Listing>) {
        for (client, listing) in self.clients.iter_mut().zip(found) {
            client.settle(listing);
        }
        self.tally.rounds += 1;
        self.tally.steps = self.clients.iter().map(|client| client.total).sum();
    }
}

/// By client: the steps that must be there, and those that may.
type Bounds = std::collections::BTreeMap<String, (usize, usize)>;

fn log_is_clean(log: &Path) {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    assert!(!text.contains("panic") && !text.contains("ERROR"), "{text}");
}

fn killed_again_and_again(engine: &'static str) {
    let seed = number("KALENDS_CRASH_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let rounds = number("KALENDS_CRASH_ROUNDS").unwrap_or(6);
    let dir = tempfile::tempdir().expect("a directory");
    let log = dir.path().join("log");
    let place = Place::make(&dir.path().join("data"), engine, &CALENDARS[2..]);
    let mut harness = Harness::new(&place, seed);
    let mut server = place.serve(&log).expect("it starts");
    for round in 0..rounds {
        let pause = Duration::from_millis(20 + harness.dice.below(900));
        let address = server.address;
        harness.load(address, &place.password, |progress, _| {
            let begun = Instant::now();
            while begun.elapsed() < pause || progress.total() < 4 {
                std::thread::sleep(Duration::from_millis(1));
            }
            server.kill();
        });
        log_is_clean(&log);
        server = place.serve(&log).unwrap_or_else(|| {
            panic!(
                "seed {seed}, round {round}: it does not start: {}",
                std::fs::read_to_string(&log).unwrap_or_default()
            )
        });
        let found = harness.compare(&place, server.address, None);
        let found = found.unwrap_or_else(|why| panic!("seed {seed}, round {round}: {why}"));
        harness.tokens(&place, server.address);
        harness.settle(found);
        log_is_clean(&log);
        if (round + 1) % 50 == 0 {
            eprintln!("{engine}: {:?}", harness.tally);
        }
    }
    eprintln!("{engine}, seed {seed}: {:?}: nothing acknowledged was lost, nothing is there by halves", harness.tally);
}

#[test]
fn kills_lose_nothing_on_sled() {
    killed_again_and_again("sled");
}

#[test]
fn kills_lose_nothing_on_fjall() {
    killed_again_and_again("fjall");
}

/// An ext4 file system in a file, mounted. Unmounted when dropped.
struct Image {
    mount: std::path::PathBuf,
    device: String,
}

fn tool(program: &str, arguments: &[&str]) -> String {
    let ran = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(ran.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8_lossy(&ran.stdout).trim().to_owned()
}

impl Image {
    fn mount(file: &Path, mount: &Path) -> Self {
        std::fs::create_dir_all(mount).expect("a mount point");
        let file = file.to_str().expect("UTF-8");
        let device = tool("losetup", &["--find", "--show", file]);
        let image = Self { mount: mount.to_owned(), device };
        tool("mount", &["-t", "ext4", &image.device, mount.to_str().expect("UTF-8")]);
        image
    }

    /// How much was written to the device so far, and how much is under way.
    fn writes(&self) -> Vec<u64> {
        let name = self.device.trim_start_matches("/dev/");
        let text = std::fs::read_to_string(format!("/sys/block/{name}/stat")).expect("the kernel counts");
        let fields: Vec<u64> = text.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect();
        // Writes completed, sectors written, requests in flight.
        vec![fields[4], fields[6], fields[8]]
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.mount).status();
        let _ = Command::new("losetup").args(["--detach", &self.device]).status();
    }
}

/// Copies the image as a power cut at this moment would leave it: with what the device has, and without what only the
/// page cache has. The server stands still meanwhile; if the kernel writes to the device during the copy, it is taken anew.
fn cut(image: &Image, file: &Path, copy: &Path) {
    let begun = Instant::now();
    loop {
        let before = image.writes();
        let arguments = ["--sparse=always", file.to_str().expect("UTF-8"), copy.to_str().expect("UTF-8")];
        tool("cp", &arguments);
        if before[2] == 0 && image.writes() == before {
            return;
        }
        assert!(begun.elapsed() < QUIET, "the image is never quiet");
    }
}

/// Does nothing unless `scripts/power-cut` asks for it: mounting needs root.
#[test]
fn power_cuts_lose_nothing() {
    let (Some(rounds), Ok(engine)) = (number("KALENDS_POWER_CUTS"), std::env::var("KALENDS_POWER_CUT_ENGINE")) else {
        return;
    };
    let engine = if engine == "fjall" { "fjall" } else { "sled" };
    let seed = number("KALENDS_CRASH_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let dir = tempfile::tempdir().expect("a directory");
    let (file, copy, log) = (dir.path().join("image"), dir.path().join("copy"), dir.path().join("log"));
    tool("truncate", &["--size=768M", file.to_str().expect("UTF-8")]);
    tool("mkfs.ext4", &["-q", "-F", file.to_str().expect("UTF-8")]);
    let image = Image::mount(&file, &dir.path().join("mounted"));
    let place = Place::make(&image.mount.join("data"), engine, &CALENDARS[2..]);
    let mut harness = Harness::new(&place, seed);
    for round in 0..rounds {
        let mut server = place.serve(&log).expect("it starts");
        let pause = Duration::from_millis(50 + harness.dice.below(2_500));
        let bounds = harness.load(server.address, &place.password, |progress, _| {
            let begun = Instant::now();
            while begun.elapsed() < pause || progress.total() < 4 {
                std::thread::sleep(Duration::from_millis(1));
            }
            // Told before this moment must be there; sent after the server stood still cannot be.
            let told = progress.now();
            server.signal(Signal::STOP);
            cut(&image, &file, &copy);
            let sent = progress.now();
            server.signal(Signal::CONT);
            told.into_iter().map(|(client, (told, _))| (client.clone(), (told, sent[&client].1))).collect::<Bounds>()
        });
        server.kill();
        after_power_cut(&mut harness, &place, dir.path(), &bounds, &format!("{engine}, seed {seed}, round {round}"));
        // The original lives on: what all clients were told is there, and the next round begins from it.
        let server = place.serve(&log).expect("it starts");
        let found = harness.compare(&place, server.address, None).unwrap_or_else(|why| panic!("{why}"));
        harness.settle(found);
    }
    println!("{engine}, seed {seed}: {:?}: nothing acknowledged was lost, nothing is there by halves", harness.tally);
}

fn after_power_cut(harness: &mut Harness, place: &Place, dir: &Path, bounds: &Bounds, round: &str) {
    let log = dir.join("log-of-copy");
    let image = Image::mount(&dir.join("copy"), &dir.join("mounted-copy"));
    let copied = place.moved(&image.mount.join("data"), place.engine);
    {
        let server = copied.serve(&log).unwrap_or_else(|| {
            panic!("{round}: it does not start: {}", std::fs::read_to_string(&log).unwrap_or_default())
        });
        let compared = harness.compare(&copied, server.address, Some(bounds));
        compared.unwrap_or_else(|why| panic!("{round}: {why}"));
        // Tokens of states that were lost must be refused here; those that are taken must tell the truth.
        harness.tokens(&copied, server.address);
        harness.replicas.clear();
    }
    log_is_clean(&log);
}
