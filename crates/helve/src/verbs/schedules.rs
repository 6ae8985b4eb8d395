//! `helve schedules`.

use serde_json::{Value, json};

use super::managed::done;
use super::parameters;
use crate::app::App;
use crate::cli::{ScheduleArgs, SchedulesVerb};
use crate::errors::Result;
use crate::render::managed as render;
use crate::server;
use crate::terminal::{Style, print, print_json};

const WHAT: &str = "schedules";

pub(crate) async fn schedules(app: &App, verb: SchedulesVerb) -> Result<u8> {
    let client = server::needed(app, "`helve schedules`")?;
    match verb {
        SchedulesVerb::List => {
            let all = client.list(WHAT).await?;
            match app.global.json {
                true => print_json(&Value::Array(all)),
                false if all.is_empty() => print("no schedules; `helve schedules make` makes one\n"),
                false => print(&render::schedules(&all, Style::stdout())),
            }
        }
        SchedulesVerb::Show { id } => shown(app, client.one(WHAT, &id).await?),
        SchedulesVerb::Make(args) => {
            let ScheduleArgs {
                id,
                workflow,
                target,
                params,
                cron,
                every,
                time_zone,
                paused,
            } = *args;
            let parameters = parameters::there(&client, &workflow, None, &params).await?;
            let wanted = json!({
                "id": id,
                "workflow": workflow,
                "target": target,
                "parameters": parameters,
                "cron": cron,
                "every": every,
                "time_zone": time_zone,
                "paused": paused,
            });
            shown(app, client.make(WHAT, &wanted).await?);
        }
        SchedulesVerb::Pause { id } => {
            client.act(WHAT, &id, "pause").await?;
            done(app, "schedule", &id, "paused");
        }
        SchedulesVerb::Resume { id } => {
            client.act(WHAT, &id, "resume").await?;
            done(app, "schedule", &id, "active");
        }
        SchedulesVerb::Trigger { id } => {
            client.act(WHAT, &id, "trigger").await?;
            done(app, "schedule", &id, "triggered");
        }
        SchedulesVerb::Remove { id } => {
            client.remove(WHAT, &id).await?;
            done(app, "schedule", &id, "removed");
        }
    }
    Ok(0)
}

fn shown(app: &App, schedule: Value) {
    match app.global.json {
        true => print_json(&schedule),
        false => print(&render::schedules(&[schedule], Style::stdout())),
    }
}
