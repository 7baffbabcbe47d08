//! `import`, `export`, `verify` and `compact`.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::{mpsc, watch};

use super::calendars;
use super::command::{ImportFile, Listing};
use super::output::{Exit, Output};
use super::run::{Failure, print_json};
use crate::access::Actor;
use crate::model::{Path, UserName};
use crate::service::Context;
use crate::service::transfer::{self, Imported};
use crate::service::verify::{self, Repair};
use crate::store::{Engine, Rewritten};

/// How far work is: the end that reports, and the end that is shown.
type Progress = (watch::Sender<(u64, u64)>, watch::Receiver<(u64, u64)>);

/// Completes with `work` and shows meanwhile what it reports.
async fn showing<T>(output: &Output, mut reports: watch::Receiver<(u64, u64)>, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    loop {
        tokio::select! {
            result = &mut work => return result,
            Ok(()) = reports.changed() => {
                let (done, total) = *reports.borrow_and_update();
                output.progress(done, total).await;
            }
        }
    }
}

pub(super) async fn import(
    context: &Arc<Context>,
    user: &str,
    calendar: &str,
    mut files: mpsc::Receiver<ImportFile>,
    output: &Output,
) -> Result<Exit, Failure> {
    let user = UserName::new(user)?;
    calendars::find(context, &user, calendar).await?;
    let path = Path::Calendar(user, calendar.to_owned());
    let mut all = Imported::default();
    while let Some(ImportFile { name, content }) = files.recv().await {
        let bytes = match content {
            Ok(bytes) => bytes,
            Err(why) => {
                output.note(format!("{name}: cannot be read: {why}")).await;
                all.failures.push(transfer::ImportFailure { line: 0, uid: None, reason: why });
                continue;
            }
        };
        let (sender, receiver): Progress = watch::channel((0, 0));
        let report = move |done, total| {
            let _ = sender.send((done, total));
        };
        let work = transfer::import(context, Actor::System, &path, &bytes, report);
        let imported = showing(output, receiver, work).await?;
        for failure in &imported.failures {
            let line = if failure.line > 0 { format!(" line {}", failure.line) } else { String::new() };
            let uid = failure.uid.as_ref().map(|uid| format!(" UID {uid}:")).unwrap_or_default();
            output.note(format!("{name}{line}:{uid} {}", failure.reason)).await;
        }
        all.created += imported.created;
        all.updated += imported.updated;
        all.unchanged += imported.unchanged;
        all.failures.extend(imported.failures);
    }
    let Imported { created, updated, unchanged, failures } = all;
    let failed = failures.len();
    output.note(format!("{created} created, {updated} updated, {unchanged} unchanged, {failed} failed")).await;
    Ok(if failed > 0 { Exit::Partial } else { Exit::Done })
}

pub(super) async fn export(
    context: &Context,
    user: &str,
    calendar: Option<&str>,
    output: &Output,
) -> Result<Exit, Failure> {
    let user = UserName::new(user)?;
    let calendars = match calendar {
        Some(name) => vec![calendars::find(context, &user, name).await?],
        None => calendars::of(context, &user).await?,
    };
    let mut exit = Exit::Done;
    let total = calendars.len() as u64;
    for (done, calendar) in calendars.iter().enumerate() {
        output.progress(done as u64, total).await;
        let exported = transfer::export(context, calendar).await?;
        for name in &exported.left_out {
            output.note(format!("{}/{name}: left out, because it is no iCalendar", calendar.name)).await;
            exit = Exit::Partial;
        }
        output.calendar(&calendar.name, exported.text).await;
    }
    output.progress(total, total).await;
    Ok(exit)
}

pub(super) async fn verify(
    context: &Context,
    rebuild: bool,
    listing: Listing,
    output: &Output,
) -> Result<Exit, Failure> {
    let repair = if rebuild { Repair::Index } else { Repair::Nothing };
    let (sender, receiver): Progress = watch::channel((0, 0));
    let work = verify::verify(context, repair, move |done, total| {
        let _ = sender.send((done, total));
    });
    let report = showing(output, receiver, work).await?;
    match listing {
        Listing::Json => {
            let row = |problem: &verify::Problem| json!({ "path": problem.path, "kind": problem.kind.name(), "reason": problem.reason });
            print_json(report.problems.iter().map(row).collect(), output).await;
        }
        Listing::Text => {
            for problem in &report.problems {
                output.data(format!("{}: {}: {}\n", problem.path, problem.kind.name(), problem.reason)).await;
            }
        }
    }
    let (objects, rebuilt, problems) = (report.objects, report.rebuilt, report.problems.len());
    output.note(format!("{objects} objects, {rebuilt} index rows written, {problems} problems")).await;
    Ok(if problems > 0 { Exit::Partial } else { Exit::Done })
}

pub(super) async fn compact(context: &Context, output: &Output) -> Result<(), Failure> {
    let done = context.store.compact().await?;
    output.note(format!("{} bytes before, {} bytes now", done.bytes_before, done.bytes_after)).await;
    Ok(())
}

pub(super) async fn migrate(context: &Context, to: &str, output: &Output) -> Result<(), Failure> {
    let engine = Engine::named(to).ok_or_else(|| Failure(Exit::Usage, format!("`{to}` is no engine")))?;
    let done = context.store.migrate(engine).await?;
    let Rewritten { rows, bytes_before, bytes_after } = done;
    output.note(format!("{rows} rows moved, {bytes_before} bytes before, {bytes_after} bytes now")).await;
    output.note(format!("set [store] engine = \"{to}\" (or KALENDS_STORE_ENGINE={to}) for the next start")).await;
    Ok(())
}
