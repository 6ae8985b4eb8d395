//! Who may call the engine over gRPC: whoever presents a token of the ledger, as far as its role and scope go.

use std::net::IpAddr;
use std::sync::Arc;

use helve_engine::{Access, Caller, Denied, Need, Wanted};
use helve_ledger::{Ledger, Names, Principal, Role, Strangers};
use helve_toolbox::run::{CONTROL_QUEUE_PREFIX, queue_vertical};
use temporalio_client::tonic::codegen::http::{Extensions, HeaderMap, header};

/// The ledger's answer to the engine's question.
pub(crate) struct LedgerAccess {
    pub(crate) ledger: Ledger,
    pub(crate) strangers: Arc<Strangers>,
}

impl Access for LedgerAccess {
    fn identify(
        &self,
        headers: &HeaderMap,
        extensions: &Extensions,
        peer: Option<IpAddr>,
    ) -> Result<Arc<dyn Caller>, Denied> {
        let peer = peer.or_else(|| helve_tls::peer_of(extensions));
        if peer.is_some_and(|peer| self.strangers.has_to_wait(peer)) {
            let why = "this address has presented too many wrong tokens: try again in a minute";
            return Err(Denied::TooOften(why.to_owned()));
        }
        // A token says more than a certificate.
        let given = headers.get(header::AUTHORIZATION);
        if let (None, Some(certificate)) = (given, helve_tls::certificate_of(extensions)) {
            let mut known = certificate.names().map(|name| self.ledger.verify_certificate(&name));
            return match known.find_map(Result::ok) {
                Some(principal) => Ok(Arc::new(Known(principal))),
                None => Err(Denied::Unknown(format!(
                    "nobody gave this certificate a role: an administrator makes a token that is called `cert:{}`",
                    certificate.names().next().unwrap_or_default()
                ))),
            };
        }
        let given = given.ok_or_else(|| {
            Denied::Unknown(
                "this server wants a token in the metadata `authorization: Bearer TOKEN` (SDKs call it an API key, `helve` \
                 takes --token-file)"
                    .to_owned(),
            )
        })?;
        let token = given.to_str().ok().and_then(|text| {
            let (scheme, token) = text.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        let refused = |why: String| {
            if let Some(peer) = peer {
                self.strangers.strike(peer);
            }
            Denied::Unknown(why)
        };
        let token = token.ok_or_else(|| refused("write the metadata as `authorization: Bearer TOKEN`".to_owned()))?;
        match self.ledger.verify_token(token) {
            Ok(principal) => Ok(Arc::new(Known(principal))),
            Err(error) => Err(refused(error.to_string())),
        }
    }
}

struct Known(Principal);

impl Caller for Known {
    fn may(&self, wanted: Wanted<'_>) -> Result<(), Denied> {
        let Self(who) = self;
        if wanted.namespace == Some("") && who.scope.namespaces != Names::All {
            return Err(Denied::Forbidden(
                "the request names no namespace, and this token is good for some of them only".to_owned(),
            ));
        }
        let namespace = wanted.namespace;
        let role = match wanted.need {
            Need::Known => return Ok(()),
            Need::Look if who.role == Role::Worker => Role::Worker,
            Need::Look | Need::Read => Role::Viewer,
            // What goes to one worker alone tells it to leave.
            Need::Start
                if wanted
                    .queue
                    .is_some_and(|queue| queue.starts_with(CONTROL_QUEUE_PREFIX)) =>
            {
                Role::Operator
            }
            Need::Start => Role::Analyst,
            Need::Operate => Role::Operator,
            Need::Administer => Role::Admin,
            // Whoever administers the server may lend a hand.
            Need::Work if who.role == Role::Admin => Role::Admin,
            Need::Work => return self.works(namespace.unwrap_or_default(), wanted.queue),
        };
        let answer = match namespace {
            Some(namespace) => who.require(role, namespace),
            None => who.require_everywhere(role),
        };
        answer.map_err(|denied| Denied::Forbidden(denied.to_string()))
    }
}

impl Known {
    fn works(&self, namespace: &str, queue: Option<&str>) -> Result<(), Denied> {
        let Self(who) = self;
        let answer = match queue {
            // A scope names queues, or the verticals that they are of. What is asked of one worker alone goes to all.
            Some(queue)
                if !queue.starts_with(CONTROL_QUEUE_PREFIX) && !who.scope.queues.contains(queue_vertical(queue)) =>
            {
                who.require_queue(namespace, queue)
            }
            _ => who.require(Role::Worker, namespace),
        };
        answer.map_err(|denied| Denied::Forbidden(denied.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use helve_ledger::{Actor, Scope};
    use helve_toolbox::run::{WORKFLOW_QUEUE, control_queue, vertical_queue};

    use super::*;

    fn known(role: Role, scope: Scope) -> Known {
        Known(Principal {
            actor: Actor::system("test"),
            role,
            scope,
            expires_at: None,
        })
    }

    fn may(who: &Known, need: Need, namespace: Option<&str>, queue: Option<&str>) -> bool {
        who.may(Wanted { need, namespace, queue }).is_ok()
    }

    #[test]
    fn each_role_may_what_it_is_for() {
        use Need::{Administer, Known as Anybody, Look, Operate, Read, Start, Work};
        let needs = [Anybody, Look, Read, Start, Operate, Administer, Work];
        for (role, allowed) in [
            (Role::Viewer, &[Anybody, Look, Read][..]),
            (Role::Analyst, &[Anybody, Look, Read, Start]),
            (Role::Operator, &[Anybody, Look, Read, Start, Operate]),
            (Role::Admin, &[Anybody, Look, Read, Start, Operate, Administer, Work]),
            (Role::Worker, &[Anybody, Look, Work]),
        ] {
            let who = known(role, Scope::all());
            for need in needs {
                let queue = (need == Work).then_some("any");
                assert_eq!(
                    may(&who, need, Some("default"), queue),
                    allowed.contains(&need),
                    "{role} {need:?}"
                );
            }
        }
    }

    #[test]
    fn a_namespace_ends_what_a_token_is_good_for_and_so_does_leaving_it_out() {
        for role in [Role::Viewer, Role::Operator, Role::Admin, Role::Worker] {
            let who = known(role, Scope::namespaces(["team-a"]));
            assert!(may(&who, Need::Look, Some("team-a"), None), "{role}");
            for namespace in [Some("team-b"), Some(""), None] {
                for need in [
                    Need::Look,
                    Need::Read,
                    Need::Start,
                    Need::Operate,
                    Need::Administer,
                    Need::Work,
                ] {
                    assert!(!may(&who, need, namespace, None), "{role} {need:?} in {namespace:?}");
                }
            }
        }
    }

    #[test]
    fn a_worker_of_some_queues_polls_these_and_its_own() {
        let scope = Scope {
            namespaces: Names::All,
            queues: Names::only(["python", WORKFLOW_QUEUE]),
        };
        let who = known(Role::Worker, scope);
        for (queue, allowed) in [
            (vertical_queue("python"), true),
            (WORKFLOW_QUEUE.to_owned(), true),
            (control_queue("helve 1@host"), true),
            (vertical_queue("web"), false),
            ("somebody-else-s".to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(may(&who, Need::Work, Some("default"), Some(&queue)), allowed, "{queue}");
        }
        assert!(
            may(&who, Need::Work, Some("default"), None),
            "what is about a task says no queue"
        );
    }
}
