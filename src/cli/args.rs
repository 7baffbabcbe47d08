//! What may stand on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::base::Utc;
use crate::store::Engine;

/// A calendar server: CalDAV for clients, from one binary.
#[derive(Debug, Parser)]
#[command(name = "kalends", version, about, after_help = EXIT_CODES)]
pub struct Arguments {
    /// Where data and configuration lie.
    #[command(flatten)]
    pub place: Place,
    /// What to do; `serve` if nothing is said.
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

const EXIT_CODES: &str = "\
Without a command, `serve` is meant. Commands work the same while the server runs and while it does not.

Exit codes: 0 done; 1 failed; 2 the command line is wrong; 3 there is no such user, calendar or password;
4 there is one already; 5 done in part (import left objects out, verify found problems).";

/// Where data and configuration lie.
#[derive(Debug, Clone, Args)]
pub struct Place {
    /// The data directory
    #[arg(long, global = true, env = "KALENDS_DATA", default_value = "./kalends-data", value_name = "DIR")]
    pub data: PathBuf,
    /// The configuration file; see `kalends config print-default`
    #[arg(long, global = true, env = "KALENDS_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Serve clients until a signal ends it
    Serve(Serve),
    /// Users: add, list, passwd, remove
    #[command(subcommand)]
    User(User),
    /// Passwords for single devices: add, list, revoke
    #[command(subcommand)]
    AppPassword(AppPassword),
    /// Calendars: list, create, rename, remove
    #[command(subcommand)]
    Calendar(Calendar),
    /// Webhooks: endpoints that are told of changes, and what became of their messages
    #[command(subcommand)]
    Webhook(super::webhooks::args::Webhook),
    /// Accounts at providers of meetings: add, list, status, pause, resume, resync, remove, dead
    #[command(subcommand)]
    Provider(super::providers::ProviderVerb),
    /// Read iCalendar files into a calendar
    ///
    /// Each UID becomes one object; one that is there already is replaced if it differs. What cannot be stored is named with
    /// its line and reason, and the rest is taken (exit code 5).
    Import {
        /// The calendar
        #[arg(value_name = "USER/CALENDAR")]
        to: CalendarName,
        /// The files; `-` is standard input
        #[arg(required = true, value_name = "FILE.ics")]
        files: Vec<PathBuf>,
    },
    /// Write a calendar, or all of a user's, as iCalendar
    Export {
        /// The user, or one calendar
        #[arg(value_name = "USER[/CALENDAR]")]
        from: String,
        /// A file ending in .ics, or a directory for one file a calendar; else standard output
        #[arg(long, value_name = "DIR|FILE.ics")]
        out: Option<PathBuf>,
    },
    /// Find when several people are free
    ///
    /// Prints each time at which a meeting of that length fits for all of them, by all of their calendars that are not
    /// marked as transparent. Busy time is rounded to quarters of an hour.
    Freebusy(FreeBusy),
    /// Meetings from providers: replay a recorded day, show what there is
    #[command(subcommand)]
    Ingest(Ingest),
    /// Say why a meeting from providers is as it is
    ///
    /// Every source's record with its version, what came too late, why they were joined, and which rule decided each field.
    Explain {
        /// USER/CALENDAR/NAME of its object, its UID, or PROVIDER:ID of one of its sources
        event: String,
        /// Whose meeting; whoever has one of that name without
        #[arg(long)]
        user: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Check everything that is stored
    Verify {
        /// Compute the index anew from the objects
        #[arg(long)]
        rebuild: bool,
        /// Before that, give up a journal that is damaged or missing, with what was written in the last moments
        #[arg(long)]
        without_journal: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Write all data into one file, of one moment, while the server serves
    ///
    /// It is written to FILE.part, which takes the name FILE when it is whole; the last bytes are a checksum. It holds
    /// everything that is stored, passwords' hashes included: keep it as safe as the data directory.
    Backup {
        /// The file; a backup that is there is replaced
        file: PathBuf,
    },
    /// Fill an empty data directory (--data) from a backup
    ///
    /// The backup's checksum is verified before anything is written, and the restored data after it. The engine is the
    /// one of the configuration, whichever the backup came from.
    Restore {
        /// The file that `kalends backup` wrote
        file: PathBuf,
    },
    /// Give back the disk space of what was replaced and deleted
    Compact,
    /// Move the data to another storage engine
    Migrate {
        /// The engine
        #[arg(long, value_name = "ENGINE")]
        to: EngineName,
    },
    /// Look at everything around the server that can be wrong, and say what to do
    ///
    /// Configuration, data directory, disk, clock, zone data, certificate, address, other servers. Exit code 1 if
    /// something fails; warnings alone are 0.
    Doctor {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// The bus: where its groups stand, pause and resume them
    #[command(subcommand)]
    Bus(BusVerb),
    /// Carry events to Kafka, and providers' events from it, beside a running server
    ///
    /// The server starts it itself unless [bus.kafka] supervise is false. It may be ended at any time, in any way: what was under
    /// way is done again.
    Relay(Relay),
    /// Deliver webhooks in a process of its own, beside a running server
    ///
    /// With [bus.kafka] it also reads the topic of changes, as a member of a group. As many as wanted may run; each may be ended at any
    /// time, in any way.
    Worker(Worker),
    /// The configuration
    #[command(subcommand)]
    Config(ConfigVerb),
}

/// `kalends bus`
#[derive(Debug, Subcommand)]
pub enum BusVerb {
    /// Show where the groups stand
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Give a group nothing from now on; its place is kept
    Pause {
        /// The group: webhooks, relay, or a group of Kafka's
        group: String,
    },
    /// Let a group go on where it stood
    Resume {
        /// The group
        group: String,
    },
    /// List what groups of the outbox could not handle
    Dead {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// `kalends relay`
#[derive(Debug, Args)]
pub struct Relay {
    /// One direction only: out (the outbox) or in (providers' events)
    #[arg(long, value_name = "out|in")]
    pub only: Option<Direction>,
    /// Host and port at which to serve metrics
    #[arg(long, value_name = "ADDR")]
    pub metrics_listen: Option<String>,
    /// End when this process is no longer the parent
    #[arg(long, hide = true, value_name = "PID")]
    pub parent: Option<u32>,
}

/// A direction of the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Direction {
    /// From the outbox to the topic of changes.
    Out,
    /// From the topic of providers' events to the server.
    In,
}

/// `kalends worker`
#[derive(Debug, Args)]
pub struct Worker {
    /// One part of the work only: deliver (send webhooks) or consume (read the topic of changes)
    #[arg(long, value_name = "deliver|consume")]
    pub only: Option<Work>,
    /// Requests under way at once
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub in_flight: usize,
    /// A name that this worker keeps over restarts: Kafka then moves no partitions when it restarts quickly
    #[arg(long, value_name = "NAME")]
    pub instance: Option<String>,
    /// Host and port at which to serve metrics
    #[arg(long, value_name = "ADDR")]
    pub metrics_listen: Option<String>,
}

/// A part of a worker's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Work {
    /// Send webhooks.
    Deliver,
    /// Read the topic of changes.
    Consume,
}

/// `kalends serve`
#[derive(Debug, Default, Args)]
pub struct Serve {
    /// Host and port to listen at [default: 127.0.0.1:8008]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// Host and port at which to serve metrics
    #[arg(long, value_name = "ADDR")]
    pub metrics_listen: Option<String>,
}

/// `kalends freebusy`
#[derive(Debug, Args)]
pub struct FreeBusy {
    /// The users, with commas between them
    #[arg(long, required = true, value_delimiter = ',', value_name = "USER,USER,...")]
    pub users: Vec<String>,
    /// From when on; 2026-01-05T09:00:00+01:00 or 20260105T080000Z
    #[arg(long, value_name = "TIME", value_parser = super::times::point)]
    pub from: Utc,
    /// Up to when; written like --from
    #[arg(long, value_name = "TIME", value_parser = super::times::point)]
    pub to: Utc,
    /// How long the meeting lasts; 30m, 1h30m, 2d or PT30M
    #[arg(long, value_name = "LENGTH", value_parser = super::times::length)]
    pub duration: i64,
    /// How far apart the times to try are, from --from on; at least 15m
    #[arg(long, value_name = "LENGTH", value_parser = super::times::length, default_value = "15m")]
    pub step: i64,
    /// Take time that is only tentatively busy as free
    #[arg(long)]
    pub tentative_is_free: bool,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// `kalends ingest`
#[derive(Debug, Subcommand)]
pub enum Ingest {
    /// Play recorded deliveries through the adapters, without any network
    Replay(Replay),
    /// Show the meetings, in a fixed order
    Show {
        /// Whose; everybody's without
        #[arg(long)]
        user: Option<String>,
        /// As JSON: `{"meetings":[...]}`
        #[arg(long)]
        json: bool,
    },
}

/// `kalends ingest replay`
///
/// A user and accounts that are missing are made. Their secrets are those of the samples where nothing else is said: do it
/// in a directory of its own.
#[derive(Debug, Args)]
pub struct Replay {
    /// The recording: a JSON object a line
    #[arg(value_name = "DELIVERIES.jsonl")]
    pub file: PathBuf,
    /// Play the lines in another order, which follows from SEED
    #[arg(long, value_name = "SEED")]
    pub shuffle: Option<u64>,
    /// Play every line twice
    #[arg(long)]
    pub twice: bool,
    /// The user whose day it is
    #[arg(long, default_value = "mara")]
    pub user: String,
    /// The user's calendar
    #[arg(long, default_value = "default")]
    pub calendar: String,
    /// An address of the user; those that accounts are called by without
    #[arg(long = "email", value_name = "ADDRESS")]
    pub emails: Vec<String>,
    /// What proves a provider's deliveries
    #[arg(long = "secret", value_name = "PROVIDER=SECRET", value_parser = secret)]
    pub secrets: Vec<(String, String)>,
}

fn secret(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').ok_or("write PROVIDER=SECRET, as in zoom=abc")?;
    Ok((parts.0.to_owned(), parts.1.to_owned()))
}

/// `kalends user`
#[derive(Debug, Subcommand)]
pub enum User {
    /// Make a user with a calendar `default`
    Add {
        /// The name to log in with
        name: String,
        /// A mail address; the first is the preferred one
        #[arg(long = "email", value_name = "ADDRESS")]
        emails: Vec<String>,
        /// The name to show
        #[arg(long, value_name = "TEXT")]
        display_name: Option<String>,
        /// Whether the user administers the server
        #[arg(long)]
        admin: bool,
        /// Read the password from the first line of standard input
        #[arg(long)]
        password_stdin: bool,
    },
    /// List the users
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Set a user's password
    Passwd {
        /// The user
        name: String,
        /// Read the password from the first line of standard input
        #[arg(long)]
        password_stdin: bool,
    },
    /// Remove a user with all calendars and files
    Remove {
        /// The user
        name: String,
    },
}

/// `kalends app-password`
#[derive(Debug, Subcommand)]
pub enum AppPassword {
    /// Make a password and print it, once
    Add {
        /// The user
        user: String,
        /// What it is for
        #[arg(long, default_value = "app", value_name = "NAME")]
        name: String,
    },
    /// List a user's app passwords, without the passwords
    List {
        /// The user
        user: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Revoke a password
    Revoke {
        /// The user
        user: String,
        /// Which
        #[arg(long, default_value = "app", value_name = "NAME")]
        name: String,
    },
}

/// `kalends calendar`
#[derive(Debug, Subcommand)]
pub enum Calendar {
    /// List a user's calendars
    List {
        /// The user
        user: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a calendar
    Create {
        /// Its user and name
        #[arg(value_name = "USER/CALENDAR")]
        calendar: CalendarName,
        /// The name to show
        #[arg(long, value_name = "TEXT")]
        display_name: Option<String>,
    },
    /// Give a calendar another name, in its URL or to show
    #[command(group(clap::ArgGroup::new("what").required(true).multiple(true).args(["new_name", "display_name"])))]
    Rename {
        /// The calendar
        #[arg(value_name = "USER/CALENDAR")]
        calendar: CalendarName,
        /// The new name in its URL
        new_name: Option<String>,
        /// The new name to show
        #[arg(long, value_name = "TEXT")]
        display_name: Option<String>,
    },
    /// Remove a calendar with all in it
    Remove {
        /// The calendar
        #[arg(value_name = "USER/CALENDAR")]
        calendar: CalendarName,
    },
}

/// `kalends config`
#[derive(Debug, Subcommand)]
pub enum ConfigVerb {
    /// Print every setting with its default, commented
    PrintDefault,
}

/// `USER/CALENDAR`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarName {
    /// The user's name.
    pub user: String,
    /// The calendar's name.
    pub calendar: String,
}

impl std::str::FromStr for CalendarName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            Some((user, calendar)) if !user.is_empty() && !calendar.is_empty() && !calendar.contains('/') => {
                Ok(Self { user: user.to_owned(), calendar: calendar.to_owned() })
            }
            _ => Err("write USER/CALENDAR, as in anna/default".to_owned()),
        }
    }
}

/// An engine's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EngineName {
    /// sled
    Sled,
    /// fjall
    Fjall,
}

impl From<EngineName> for Engine {
    fn from(name: EngineName) -> Self {
        match name {
            EngineName::Sled => Self::Sled,
            EngineName::Fjall => Self::Fjall,
        }
    }
}
