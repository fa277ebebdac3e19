//! `--dry-run`: what rows would become, and which would be refused. Nothing is sent.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use anyhow::Context as _;
use floe_api::EventLine;
use floe_api::errors::{ErrorItem, LocPart};
use floe_store::embedded::system_time;
use serde::Serialize;
use serde_json::value::RawValue;

use super::Plan;
use super::ids::Ids;
use super::report::{RefusedRow, raw, thousands};
use super::rows::{Outcome, Refused};
use crate::output::{print, print_json, visible};

/// Events that are shown of each input.
const SHOWN_MAX: usize = 5;
/// Refused rows that are printed as JSON; text has them all.
const REFUSED_MAX: usize = 1000;

/// What was found, for programs.
#[derive(Debug, Default, Serialize)]
struct Found {
    /// Rows that are events.
    events: u64,
    /// The first of them.
    first: Vec<Box<RawValue>>,
    refused_total: u64,
    /// The first 1,000 of them.
    refused: Vec<FoundRefused>,
}

#[derive(Debug, Serialize)]
struct FoundRefused {
    file: String,
    line: u64,
    reason: String,
}

/// Checks all rows as the server would, but for what only it knows: customers, and events that are
/// there. How many are refused.
pub(super) fn run(plan: &Plan, json: bool) -> anyhow::Result<u64> {
    let mut found = Found::default();
    for (input, file) in plan.inputs.iter().zip(plan.refused_files()) {
        // Only if it was asked for.
        let file = plan.refused.as_ref().map(|_| file);
        let mut rows = plan.rows(input, b"", &Arc::new(AtomicU64::new(0)))?;
        let mut ids = Ids::new(input.clone(), plan.batch.clone());
        let mut event = Vec::new();
        let mut shown = 0;
        if !json {
            print(&format!("{}: the first rows would become", visible(&input.name())))?;
        }
        loop {
            event.clear();
            let next = rows.next(&mut ids, &mut event).with_context(|| input.name())?;
            let Some((line, outcome)) = next else { break };
            let text = String::from_utf8_lossy(&event);
            let refused = match outcome {
                Outcome::Refused(Refused { reason, row }) => Some((reason, Some(raw(&row)), None)),
                Outcome::Event => match EventLine::parse(&event, system_time()) {
                    Ok(_) => None,
                    Err(items) => Some((reason(&items), None, Some(raw(&text)))),
                },
            };
            let Some((reason, row, event)) = refused else {
                found.events += 1;
                if shown < SHOWN_MAX {
                    shown += 1;
                    if json {
                        found.first.push(raw(&text));
                    } else {
                        print(&format!("  {}", visible(&text)))?;
                    }
                }
                continue;
            };
            found.refused_total += 1;
            if let Some(file) = &file {
                let (row, event) = (row.as_deref(), event.as_deref());
                file.add(&RefusedRow { line, reason: &reason, row, event })?;
            }
            if !json {
                print(&format!("line {line} would be refused: {}", visible(&reason)))?;
            } else if found.refused.len() < REFUSED_MAX {
                found.refused.push(FoundRefused { file: input.name(), line, reason });
            }
        }
        if let Some(file) = file {
            file.finish()?;
        }
    }
    if json {
        print_json(&found)?;
    } else {
        let (events, refused) = (thousands(found.events), thousands(found.refused_total));
        print(&format!("{events} events, {refused} rows refused. Nothing was sent."))?;
    }
    Ok(found.refused_total)
}

/// All that is wrong, for people.
fn reason(items: &[ErrorItem]) -> String {
    let item = |item: &ErrorItem| {
        let loc = item.loc().iter().map(|part| match part {
            LocPart::Key(key) => key.to_string(),
            LocPart::Index(index) => index.to_string(),
        });
        super::sending::violation(loc, item.violation().msg())
    };
    items.iter().map(item).collect::<Vec<_>>().join("; ")
}
