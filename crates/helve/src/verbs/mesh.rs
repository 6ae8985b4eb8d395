//! `helve mesh`: tickets, and the endpoints that joined with them.

use serde_json::{Value, json};

use super::managed::done;
use crate::app::App;
use crate::cli::MeshVerb;
use crate::errors::Result;
use crate::render::managed as render;
use crate::server;
use crate::terminal::{Style, eprint_line, print, print_json};

/// Letters of the id of a ticket.
const TICKET_ID: usize = 16;

pub(crate) async fn mesh(app: &App, verb: MeshVerb) -> Result<u8> {
    let client = server::needed(app, "`helve mesh`")?;
    match verb {
        MeshVerb::Ticket {
            name,
            role,
            namespaces,
            verticals,
            uses,
            expires_in,
            approve,
        } => {
            let some = |names: Vec<String>| (!names.is_empty()).then_some(names);
            let wanted = json!({
                "name": name,
                "role": role,
                "namespaces": some(namespaces),
                "verticals": some(verticals),
                "uses": uses,
                "needs_approval": approve,
                "lasts_seconds": expires_in.duration().as_secs(),
            });
            let made = client.make("mesh/tickets", &wanted).await?;
            if app.global.json {
                print_json(&made);
                return Ok(0);
            }
            print(&format!("{}\n", made["ticket"].as_str().unwrap_or_default()));
            let id = made["info"]["id"].as_str().unwrap_or_default();
            eprint_line("whoever has this ticket can join with it: `helve worker join TICKET`");
            eprint_line(&format!("take it back with: helve mesh revoke {id}"));
        }
        MeshVerb::List => {
            let (endpoints, tickets) = (
                client.one("mesh", "endpoints").await?,
                client.one("mesh", "tickets").await?,
            );
            match app.global.json {
                true => print_json(&json!({"endpoints": endpoints, "tickets": tickets})),
                false => {
                    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
                    print(&render::endpoints(&list(&endpoints), Style::stdout()));
                    print(&render::tickets(&list(&tickets), Style::stdout()));
                }
            }
        }
        MeshVerb::Approve { id } => {
            client.act("mesh/endpoints", &id, "approve").await?;
            done(app, "endpoint", &id, "approved");
        }
        MeshVerb::Revoke { id } => {
            let tickets = client.one("mesh", "tickets").await?;
            let is_ticket = id.len() == TICKET_ID
                && tickets
                    .as_array()
                    .is_some_and(|tickets| tickets.iter().any(|ticket| ticket["id"] == id.as_str()));
            match is_ticket {
                true => client.remove("mesh/tickets", &id).await?,
                false => client.act("mesh/endpoints", &id, "revoke").await?,
            }
            done(app, if is_ticket { "ticket" } else { "endpoint" }, &id, "revoked");
        }
    }
    Ok(0)
}
