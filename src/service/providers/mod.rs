//! Provider accounts: who feeds meetings into whose calendar. They are added, listed, paused and removed here, with their
//! secrets (sealed, see [`Vault`]), the cursor of each of their calendars, their push channels, and how they fare.
//!
//! Everything here acts with the administrator's authority: the commands and the runner call it. Not here: what providers
//! say (`provider`), when they are asked (`job`), what becomes of their records (`service::ingest`).

mod account;
mod cursor;
mod dead;
mod error;
mod idempotency;
mod kept;
mod settings;
mod status;
mod vault;
mod waiting;

pub use crate::merge::Provider;
pub use account::{Account, AccountKey, AccountSecrets, AccountState, KeyError, provider_named};
pub use cursor::{Cursor, begin_pull, cursor, cursors, finish_pull, forget_cursor, forget_cursors};
pub use dead::{DeadLetter, bury, dead_letters, forget_dead_letters};
pub use error::ProviderError;
pub use idempotency::{Remembered, forget_old_answers, remember, remembered};
pub(in crate::service) use kept::note_names;
pub use kept::{
    Channel, Entry, account, accounts, add, break_account, change_channels, change_secrets, channels, pause, remove,
    resume, resync, secrets,
};
pub use settings::{ProviderSettings, Providers};
pub use status::{Counts, Status, flush_status, note, status};
pub use vault::{Vault, VaultError, new_key};
pub use waiting::{Waiting, Wanted};
