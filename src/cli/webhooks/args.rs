//! What may stand behind `kalends webhook`.

use clap::{Args, Subcommand, ValueEnum};

use super::super::times;
use crate::base::Utc;

/// `kalends webhook`
#[derive(Debug, Subcommand)]
pub enum Webhook {
    /// Make an endpoint, and print its id and its secret, once
    ///
    /// The secret signs every message (Standard Webhooks); the receiver needs it to verify them. It cannot be shown again, only
    /// replaced with `rotate`.
    Add(Add),
    /// List the endpoints: state, what waits, what was given up
    List {
        /// Of this user only
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// All about one endpoint: since when it fails and with what, how much waits, when is the next try
    Show {
        /// The endpoint
        #[arg(value_name = "ID")]
        id: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Send nothing to an endpoint until it is resumed; what changes meanwhile waits
    Pause {
        /// The endpoint
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Send to an endpoint again that was paused, or that was disabled because it failed for days
    Resume {
        /// The endpoint
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Make a new secret and print it, once; for a day messages are signed with the old one as well
    Rotate {
        /// The endpoint
        #[arg(value_name = "ID")]
        id: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove an endpoint with all that waits for it and its log
    Remove {
        /// The endpoint
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Send a test message (`webhook.test`)
    Test {
        /// The endpoint
        #[arg(value_name = "ID")]
        id: String,
    },
    /// List messages with their attempts, the newest first
    Deliveries {
        /// The endpoint
        #[arg(value_name = "ID")]
        id: String,
        /// Only those in this state
        #[arg(long, value_name = "STATE")]
        state: Option<State>,
        /// Which, how many and how
        #[command(flatten)]
        range: Range,
        /// How many at most
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: u64,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Send one message again, under the same webhook-id, whatever became of it
    Resend {
        /// The endpoint
        #[arg(value_name = "ID")]
        id: String,
        /// The message's webhook-id
        #[arg(value_name = "MESSAGE")]
        message: String,
    },
    /// Send again what was given up, under the same webhook-ids
    Recover {
        /// The endpoint
        #[arg(value_name = "ID")]
        id: String,
        /// Of which time
        #[command(flatten)]
        range: Range,
    },
    /// Send to one endpoint what another was sent, as it was: to fill a new receiver
    Replay {
        /// The endpoint that gets it
        #[arg(value_name = "ID")]
        id: String,
        /// The endpoint whose messages are sent; without, its own
        #[arg(long, value_name = "ID")]
        from: Option<String>,
        /// Of which time
        #[command(flatten)]
        range: Range,
    },
    /// List what was given up, with the reason
    Dead {
        /// The endpoint; without, of all
        #[arg(value_name = "ID")]
        id: Option<String>,
        /// How many at most, of each endpoint
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: u64,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// What each endpoint was told since a point in time: once, more than once and why, out of order, not at all
    Audit {
        /// The endpoint; without, all
        #[arg(value_name = "ID")]
        id: Option<String>,
        /// From when on; 2026-01-05T09:00:00+01:00 or 20260105T080000Z
        #[arg(long, value_name = "TIME", value_parser = times::point)]
        since: Utc,
        /// Up to when; written like --since
        #[arg(long, value_name = "TIME", value_parser = times::point)]
        until: Option<Utc>,
        /// How many messages each listing names at most; what they count is always all
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: u64,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// `kalends webhook add`
#[derive(Debug, Args)]
pub struct Add {
    /// Where messages are sent: https, or http with --allow-private
    #[arg(long, value_name = "URL")]
    pub url: String,
    /// Whose it is: it hears of what this user may read. Without, it is the administrator's and hears of everything
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Hear of this calendar only; CALENDAR of the user, or USER/CALENDAR of somebody who has shared it. Can be repeated
    #[arg(long = "calendar", value_name = "CALENDAR")]
    pub calendars: Vec<String>,
    /// Hear of this type of event only, such as event.created. Can be repeated
    #[arg(long = "event", value_name = "TYPE")]
    pub events: Vec<String>,
    /// Send one message of a calendar after the other; one that cannot be delivered holds up those behind it
    #[arg(long)]
    pub in_order: bool,
    /// Let it lead into private networks and to this machine, and without TLS
    #[arg(long)]
    pub allow_private: bool,
    /// Leave a message out that a newer one about the same event follows already
    #[arg(long)]
    pub latest_only: bool,
    /// Say only what changed and where, nothing of the event itself
    #[arg(long)]
    pub thin: bool,
    /// A header field to send with each message. Can be repeated
    #[arg(long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// Messages a second, in the long run [default: 10]
    #[arg(long, value_name = "N")]
    pub rate: Option<u32>,
    /// Messages at once, after a pause [default: 20, or --rate]
    #[arg(long, value_name = "N")]
    pub burst: Option<u32>,
    /// Requests without an answer at once [default: 4]
    #[arg(long, value_name = "N")]
    pub in_flight: Option<u16>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// A stretch of time.
#[derive(Debug, Clone, Copy, Args)]
pub struct Range {
    /// From when on; 2026-01-05T09:00:00+01:00 or 20260105T080000Z
    #[arg(long, value_name = "TIME", value_parser = times::point)]
    pub since: Option<Utc>,
    /// Up to when; written like --since
    #[arg(long, value_name = "TIME", value_parser = times::point)]
    pub until: Option<Utc>,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum State {
    /// Still to be sent
    Waiting,
    /// Delivered
    Delivered,
    /// Given up
    Dead,
}
