//! What the first start prints: the administrator's password, the address for clients, and three lines to try.

use std::net::SocketAddr;

use crate::base::{Secret, Utc};
use crate::model::UserName;
use crate::service::Context;
use crate::service::accounts::{self, AccountError, NewUser};

/// The user that the first start makes.
pub const ADMIN: &str = "admin";

/// Makes the user `admin` if there is no user at all; its password if so.
///
/// # Errors
/// The store's.
pub async fn make_admin(context: &Context) -> Result<Option<Secret<String>>, AccountError> {
    if !context.store.principals(None, 1).await?.rows.is_empty() {
        return Ok(None);
    }
    let password = accounts::random_password();
    let name = UserName::new(ADMIN).map_err(|_| AccountError::Label)?;
    let user = NewUser { name, display_name: None, emails: Vec::new(), password: Some(password.clone()), admin: true };
    accounts::create(context, user).await?;
    Ok(Some(password))
}

/// The URL at which the server can be reached from its own machine, if it listens at `address`.
pub fn local_url(address: SocketAddr, tls: bool) -> String {
    let scheme = if tls { "https" } else { "http" };
    let host = match address.ip() {
        ip if ip.is_unspecified() => "localhost".to_owned(),
        std::net::IpAddr::V6(v6) => format!("[{v6}]"),
        std::net::IpAddr::V4(v4) => v4.to_string(),
    };
    format!("{scheme}://{host}:{}", address.port())
}

/// The text. Each command stands on a line of its own and works as it is in any shell.
pub fn text(url: &str, password: &Secret<String>, now: Utc) -> String {
    let login = format!("{ADMIN}:{}", password.expose());
    let day = |days: i64, time: &str| now.plus(days * 86_400).naive().format(&format!("%Y%m%dT{time}Z")).to_string();
    let (stamp, start, end) = (now.to_string(), day(1, "100000"), day(1, "110000"));
    let (from, until) = (day(0, "000000"), day(8, "000000"));
    format!(
        "\
This is the first start: the user `{ADMIN}` was made. The password is shown this once:

    {password}

Paste this URL into a calendar client (user name {ADMIN}):

    {url}/dav/

Three lines to try: list the calendars, put an event (tomorrow, 10:00 UTC), ask for busy time.

curl -u {login} -X PROPFIND -H 'Depth: 1' -d '<propfind xmlns=\"DAV:\"><prop><displayname/><resourcetype/></prop></propfind>' {url}/dav/calendars/{ADMIN}/

printf 'BEGIN:VCALENDAR\\r\\nVERSION:2.0\\r\\nPRODID:-//curl//EN\\r\\nBEGIN:VEVENT\\r\\nUID:first@kalends\\r\\nDTSTAMP:{stamp}\\r\\nDTSTART:{start}\\r\\nDTEND:{end}\\r\\nSUMMARY:First event\\r\\nEND:VEVENT\\r\\nEND:VCALENDAR\\r\\n' | curl -u {login} -H 'Content-Type: text/calendar' -T - {url}/dav/calendars/{ADMIN}/default/first.ics

curl -u {login} -X REPORT -d '<free-busy-query xmlns=\"urn:ietf:params:xml:ns:caldav\"><time-range start=\"{from}\" end=\"{until}\"/></free-busy-query>' {url}/dav/calendars/{ADMIN}/default/

",
        password = password.expose(),
    )
}
