//! The commands that work on the store, as values: they travel through the socket to a server that has it open.

use serde::{Deserialize, Serialize};

/// A command that works on the store.
#[derive(Clone, Serialize, Deserialize)]
pub enum Command {
    /// `user add`
    UserAdd {
        /// The name.
        name: String,
        /// Mail addresses.
        emails: Vec<String>,
        /// The name to show.
        display_name: Option<String>,
        /// Whether it administers the server.
        admin: bool,
        /// The password.
        password: String,
    },
    /// `user list`
    UserList {
        /// How to list.
        listing: Listing,
    },
    /// `user passwd`
    UserPasswd {
        /// The name.
        name: String,
        /// The new password.
        password: String,
    },
    /// `user remove`
    UserRemove {
        /// The name.
        name: String,
    },
    /// `app-password add`
    AppPasswordAdd {
        /// The user.
        user: String,
        /// What it is for.
        label: String,
    },
    /// `app-password list`
    AppPasswordList {
        /// The user.
        user: String,
        /// How to list.
        listing: Listing,
    },
    /// `app-password revoke`
    AppPasswordRevoke {
        /// The user.
        user: String,
        /// Which.
        label: String,
    },
    /// `calendar list`
    CalendarList {
        /// The user.
        user: String,
        /// How to list.
        listing: Listing,
    },
    /// `calendar create`
    CalendarCreate {
        /// The user.
        user: String,
        /// The calendar's name.
        calendar: String,
        /// The name to show.
        display_name: Option<String>,
    },
    /// `calendar rename`
    CalendarRename {
        /// The user.
        user: String,
        /// The calendar's name.
        calendar: String,
        /// The new name.
        new_name: Option<String>,
        /// The new name to show.
        display_name: Option<String>,
    },
    /// `calendar remove`
    CalendarRemove {
        /// The user.
        user: String,
        /// The calendar's name.
        calendar: String,
    },
    /// `webhook`
    Webhook(super::webhooks::WebhookCommand),
    /// `provider ...`
    Provider(super::providers::ProviderCommand),
    /// `import`; the files follow.
    Import {
        /// The user.
        user: String,
        /// The calendar's name.
        calendar: String,
    },
    /// `export`
    Export {
        /// The user.
        user: String,
        /// The calendar's name; all of them without.
        calendar: Option<String>,
    },
    /// `ingest replay`; the files follow.
    IngestReplay(Replay),
    /// `ingest show`
    IngestShow {
        /// Whose meetings; all without.
        user: Option<String>,
        /// How to list.
        listing: Listing,
    },
    /// `explain`
    Explain {
        /// The meeting.
        event: String,
        /// Whose; whoever has it without.
        user: Option<String>,
        /// How to tell.
        listing: Listing,
    },
    /// `freebusy`
    FreeBusy {
        /// The users, each once.
        users: Vec<String>,
        /// Seconds since 1970: the start and the end of the window.
        window: (i64, i64),
        /// How long the meeting lasts, in seconds.
        duration: i64,
        /// Seconds from one start that is tried to the next.
        step: i64,
        /// Whether tentative time is free.
        tentative_is_free: bool,
        /// How to list.
        listing: Listing,
    },
    /// `verify`
    Verify {
        /// Whether to compute the index anew.
        rebuild: bool,
        /// How to list what was found.
        listing: Listing,
    },
    /// `bus status`
    BusStatus {
        /// How to list.
        listing: Listing,
    },
    /// `bus pause` and `bus resume`
    BusPause {
        /// The group.
        group: String,
        /// Whether it is given nothing from now on.
        paused: bool,
    },
    /// `bus dead`
    BusDead {
        /// How to list.
        listing: Listing,
    },
    /// Not a command: from here on the connection is a link (see `link`).
    Link {
        /// The version of its messages.
        version: u32,
    },
    /// `backup`; the file is written by the one who called.
    Backup,
    /// `compact`
    Compact,
    /// `migrate`
    Migrate {
        /// The engine's name.
        to: String,
    },
}

/// `ingest replay`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// The user, made if there is none.
    pub user: String,
    /// The user's calendar.
    pub calendar: String,
    /// The user's addresses.
    pub emails: Vec<String>,
    /// Secrets by provider.
    pub secrets: Vec<(String, String)>,
    /// The seed of another order.
    pub shuffle: Option<u64>,
    /// Whether every line is played twice.
    pub twice: bool,
}

impl Command {
    /// Whether files follow it.
    pub fn takes_files(&self) -> bool {
        matches!(self, Self::Import { .. } | Self::IngestReplay(_))
    }

    /// Whether it may begin a new data directory.
    pub fn begins(&self) -> bool {
        matches!(self, Self::UserAdd { .. } | Self::IngestReplay(_))
    }
}

/// How a listing looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Listing {
    /// Columns, for people.
    Text,
    /// JSON, for programs.
    Json,
}

impl Listing {
    /// By the flag `--json`.
    pub fn by_flag(json: bool) -> Self {
        if json { Self::Json } else { Self::Text }
    }
}

/// A file to import.
pub struct ImportFile {
    /// Its name, for messages.
    pub name: String,
    /// What is in it, or why it cannot be read.
    pub content: Result<Vec<u8>, String>,
}
