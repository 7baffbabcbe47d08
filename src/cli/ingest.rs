//! `ingest replay`, `ingest show` and `explain`: what providers said, once more, and what has become of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::command::{ImportFile, Listing, Replay};
use super::output::{Exit, Output};
use super::run::{Failure, date, print_table};
use crate::base::{FixedClock, Secret, Utc};
use crate::merge::Provider;
use crate::model::UserName;
use crate::provider::replay::{self, Line, Played, Setup};
use crate::service::ingest::{self, ChangeKind, Explained, Found, Outcome};
use crate::service::providers::{self, ProviderError, ProviderSettings, Providers, Vault};
use crate::service::{Context, Error};

/// How often a line is played that others came in between of.
const TRIES: usize = 20;

/// What proves recorded deliveries where nothing else is said: the secrets of the samples.
const SECRETS: [(Provider, &str); 4] = [
    (Provider::Zoom, "kalends-test-zoom-secret-token"),
    (Provider::Slack, "kalends-test-slack-signing-secret"),
    (Provider::Microsoft, "kalends-client-state-1"),
    (Provider::Google, "acct={account}"),
];

/// Plays recorded files.
pub(super) async fn replay(
    context: &Context,
    replay: Replay,
    mut files: mpsc::Receiver<ImportFile>,
    output: &Output,
) -> Result<Exit, Failure> {
    let (mut lines, mut bad) = (Vec::new(), 0_usize);
    while let Some(ImportFile { name, content }) = files.recv().await {
        let content = content.map_err(|why| Failure(Exit::Failed, format!("{name}: {why}")))?;
        for line in parse(&name, &content)? {
            match line {
                Ok(line) => lines.push(line),
                Err(why) => {
                    bad += 1;
                    output.note(why).await;
                }
            }
        }
    }
    if replay.twice {
        lines = lines.into_iter().flat_map(|line| [line.clone(), line]).collect();
    }
    if let Some(seed) = replay.shuffle {
        replay::shuffle(&mut lines, seed);
    }
    let clock = Arc::new(FixedClock::new(lines.first().map_or(Utc(0), |line| line.at)));
    let own = beside(context, Arc::clone(&clock))?;
    replay::prepare(&own, &setup(&replay)?, &lines).await?;
    replay::guard(&own, &mut lines).await?;
    let mut total = Outcome::default();
    for line in &lines {
        clock.set(line.at);
        let played = match play(&own, line).await {
            Ok(played) => played,
            Err(Failure(_, why)) => {
                bad += 1;
                output.note(format!("the line with n={}: {why}", line.number)).await;
                continue;
            }
        };
        output.data(format!("{}\n", told(&played))).await;
        total.add(played.outcome);
    }
    providers::flush_status(&own).await?;
    let Outcome { applied, stale, duplicate, parked, tombstoned, noise, refused, changes } = total;
    let changes = changes.len();
    let text = format!(
        "{} lines: {applied} applied, {stale} stale, {duplicate} duplicate, {parked} parked, {tombstoned} tombstoned, {refused} \
         refused; {noise} changed nothing visible, {changes} visible changes",
        lines.len()
    );
    output.note(text).await;
    if bad > 0 {
        output.note(format!("{bad} lines could not be played; the others were")).await;
    }
    Ok(if bad == 0 { Exit::Done } else { Exit::Partial })
}

/// The lines of a file, each read or with what is wrong with it: one that cannot be read does not keep the others back.
fn parse(name: &str, content: &[u8]) -> Result<Vec<Result<Line, String>>, Failure> {
    let text = std::str::from_utf8(content).map_err(|_| Failure(Exit::Failed, format!("{name} is no UTF-8")))?;
    let numbered = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let read = |(at, line): (usize, &str)| Line::parse(line).map_err(|why| format!("{name}, line {}: {why}", at + 1));
    Ok(numbered.map(read).collect())
}

async fn play(context: &Context, line: &Line) -> Result<Played, Failure> {
    for _ in 0..TRIES {
        match replay::play(context, line).await {
            Err(ProviderError::Changed) => {}
            other => return Ok(other?),
        }
    }
    Err(Failure(Exit::Conflict, "others change the same meetings all the time; try again".to_owned()))
}

/// A context over the same data with a clock of its own. Accounts that a replay makes have secrets that everybody knows;
/// where no key is configured they are sealed with one that everybody knows as well.
fn beside(context: &Context, clock: Arc<FixedClock>) -> Result<Context, Failure> {
    let mut settings: ProviderSettings = context.providers.settings.clone();
    if settings.vault.is_none() {
        let known = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(b"kalends ingest replay"));
        let vault = Vault::new(&Secret::new(known)).map_err(|error| Failure(Exit::Failed, error.to_string()))?;
        settings.vault = Some(vault);
    }
    let mut own = Context::new(context.store.clone(), context.limits.clone());
    (own.clock, own.providers) = (clock, Providers::new(settings));
    Ok(own)
}

fn setup(replay: &Replay) -> Result<Setup, Failure> {
    let mut secrets: BTreeMap<Provider, String> =
        SECRETS.into_iter().map(|(provider, secret)| (provider, secret.to_owned())).collect();
    for (provider, secret) in &replay.secrets {
        let provider = providers::provider_named(provider).map_err(|error| Failure(Exit::Usage, error.to_string()))?;
        secrets.insert(provider, secret.clone());
    }
    let (user, calendar) = (UserName::new(&replay.user)?, replay.calendar.clone());
    Ok(Setup { user, calendar, emails: replay.emails.clone(), secrets })
}

fn told(played: &Played) -> Value {
    let Outcome { applied, stale, duplicate, parked, tombstoned, noise, refused, changes } = &played.outcome;
    let changes: Vec<Value> = changes
        .iter()
        .map(|change| {
            let kind = match change.kind {
                ChangeKind::Created => "created",
                ChangeKind::Updated => "updated",
                ChangeKind::Deleted => "deleted",
            };
            json!({ "meeting": change.meeting, "kind": kind })
        })
        .collect();
    json!({
        "n": played.number, "status": played.status, "class": played.class, "applied": applied, "stale": stale,
        "duplicate": duplicate, "parked": parked, "tombstoned": tombstoned, "noise": noise, "refused": refused,
        "changes": changes,
    })
}

fn user(name: Option<&str>) -> Result<Option<UserName>, Failure> {
    Ok(name.map(UserName::new).transpose()?)
}

/// Shows the meetings.
pub(super) async fn show(
    context: &Context,
    name: Option<&str>,
    listing: Listing,
    output: &Output,
) -> Result<(), Failure> {
    let meetings = ingest::show(context, user(name)?.as_ref()).await?;
    match listing {
        Listing::Json => {
            let meetings: Vec<Value> = meetings.iter().map(ingest::MeetingView::json).collect();
            output.data(format!("{:#}\n", json!({ "meetings": meetings }))).await;
        }
        Listing::Text => {
            let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
            let row = |view: &ingest::MeetingView| {
                let summary = &view.summary;
                let sources = summary["sources"].as_array().map_or(0, Vec::len);
                vec![
                    view.user.to_string(),
                    text(&summary["start_local"]),
                    text(&summary["tz"]),
                    format!("{} sources", sources),
                    text(&summary["title"]),
                ]
            };
            print_table(&meetings.iter().map(row).collect::<Vec<_>>(), output).await;
        }
    }
    Ok(())
}

/// Explains a meeting.
pub(super) async fn explain(
    context: &Context,
    event: &str,
    name: Option<&str>,
    listing: Listing,
    output: &Output,
) -> Result<(), Failure> {
    let explained = ingest::explain(context, event, user(name)?.as_ref()).await.map_err(|error| match error {
        Error::NotFound => Failure(
            Exit::NotFound,
            format!(
                "no meeting `{event}` is known; name it by USER/CALENDAR/NAME, by its UID, or by PROVIDER:ID of a source"
            ),
        ),
        error => error.into(),
    })?;
    match listing {
        Listing::Json => output.data(format!("{:#}\n", explained.json())).await,
        Listing::Text => output.data(text(&explained)).await,
    }
    Ok(())
}

fn text(explained: &Explained) -> String {
    let mut out = String::new();
    let title = explained.summary.as_ref().and_then(|summary| summary["title"].as_str()).unwrap_or("(no meeting)");
    let place = explained.path.as_ref().map_or("not shown in any calendar".to_owned(), crate::model::Path::href);
    // Writing into a string cannot fail.
    let _ =
        writeln!(out, "{title}\n  user      {}\n  known as  {}\n  shown at  {place}", explained.user, explained.key);
    if let Some(gone) = &explained.explanation.gone {
        let _ = writeln!(out, "  gone      {gone}");
    }
    let _ = writeln!(out, "\nRecords");
    for found in &explained.records {
        record(&mut out, found, explained);
    }
    let _ = writeln!(out, "\nWhat decided");
    for decided in &explained.explanation.decided {
        let field = match decided.instance {
            Some(instance) => format!("{} of {}", decided.field.name(), date(instance)),
            None => decided.field.name().to_owned(),
        };
        let _ = writeln!(out, "  {field:<14}  {}: {}", decided.source, decided.rule);
    }
    out
}

fn record(out: &mut String, found: &Found, explained: &Explained) {
    let record = &found.record;
    let version = record.version();
    let why = explained.explanation.joined.iter().find(|one| one.source == record.source);
    let _ = writeln!(out, "  {} (account {})", record.source, record.source.account);
    let _ = writeln!(
        out,
        "    version   generation {}, stamp {}, rank {}; changed {}",
        version.generation.0,
        version.stamp,
        version.rank,
        date(found.changed)
    );
    if let Some(why) = why {
        let _ = writeln!(out, "    joined    {}", why.why);
    }
    for left_out in explained.explanation.left_out.iter().filter(|one| one.source == record.source) {
        let _ = writeln!(out, "    left out  {}", json!(left_out.why).as_str().unwrap_or_default());
    }
    if let Some(since) = found.parked {
        let _ = writeln!(out, "    waits     since {}", date(since));
    }
    if let Some(since) = found.gone {
        let _ = writeln!(out, "    gone      since {}", date(since));
    }
    if found.stale > 0 {
        let _ = writeln!(out, "    stale     {} dropped", found.stale);
    }
    for dropped in &found.dropped {
        let version = dropped.version;
        let _ =
            writeln!(out, "      {}  generation {}, stamp {}", date(dropped.at), version.generation.0, version.stamp);
    }
}
