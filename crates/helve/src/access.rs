//! Who may call the engine over gRPC: whoever presents a token of the ledger, as far as its role and scope go.

use std::net::IpAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use helve_engine::{Access, Caller, Denied, Done, Need, Wanted};
use helve_ledger::{Asked, Ledger, Names, Principal, Rates, Role, Strangers};
use helve_tls::ClientCertificate;
use helve_toolbox::run::{CONTROL_QUEUE_PREFIX, queue_vertical};
use serde_json::Value;
use temporalio_client::tonic::codegen::http::{Extensions, HeaderMap, header};

/// The ledger's answer to the engine's question.
pub(crate) struct LedgerAccess {
    pub(crate) ledger: Ledger,
    pub(crate) strangers: Arc<Strangers>,
    pub(crate) rates: Rates,
}

impl Access for LedgerAccess {
    fn identify(
        &self,
        headers: &HeaderMap,
        extensions: &Extensions,
        peer: Option<IpAddr>,
    ) -> Result<Arc<dyn Caller>, Denied> {
        let peer = peer.or_else(|| helve_tls::peer_of(extensions));
        // Who is known comes in, whatever others at the same address do: behind a proxy it is everybody's.
        let mut who = match self.principal(headers, extensions) {
            Ok(who) => who,
            Err(stranger) => return Err(self.turned_away(peer, stranger)),
        };
        let counted = self.rates.known(&who, Asked::Call);
        counted.map_err(|too_often| Denied::TooOften(too_often.to_string()))?;
        if let Some(peer) = peer {
            who.actor = who.actor.from_address(peer.to_string());
        }
        Ok(Arc::new(Known {
            who,
            ledger: self.ledger.clone(),
        }))
    }
}

/// Somebody whom nobody knows.
struct Stranger {
    why: String,
    /// They presented something that is wrong, and did not merely come with nothing that is good for anything.
    is_wrong: bool,
}

impl Stranger {
    fn new(why: impl Into<String>) -> Self {
        Stranger {
            why: why.into(),
            is_wrong: false,
        }
    }

    fn wrong(why: impl Into<String>) -> Self {
        Stranger {
            why: why.into(),
            is_wrong: true,
        }
    }
}

impl LedgerAccess {
    fn principal(&self, headers: &HeaderMap, extensions: &Extensions) -> Result<Principal, Stranger> {
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        let Some(value) = given.next() else {
            if let Some(helve_mesh::Peer(id)) = extensions.get() {
                let known = self.ledger.verify_peer(&id.to_string());
                return known.map_err(|refused| Stranger::new(refused.to_string()));
            }
            return match helve_tls::certificate_of(extensions) {
                Some(certificate) => self.holder_of(&certificate),
                None => Err(Stranger::new(
                    "this server wants a token in the metadata `authorization: Bearer TOKEN` (SDKs call it an API key, `helve` \
                     takes --token-file)",
                )),
            };
        };
        // A token says more than a certificate. Of two, what stands before this server may have looked at the other one.
        if given.next().is_some() {
            return Err(Stranger::wrong(
                "send one `authorization` in the metadata, and not several",
            ));
        }
        let token = value.to_str().ok().and_then(|text| {
            let (scheme, token) = text.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        let token = token.ok_or_else(|| Stranger::wrong("write the metadata as `authorization: Bearer TOKEN`"))?;
        let verified = self.ledger.verify_token(token);
        verified.map_err(|refused| Stranger::wrong(refused.to_string()))
    }

    fn holder_of(&self, certificate: &ClientCertificate) -> Result<Principal, Stranger> {
        let mut known = certificate.names().map(|name| self.ledger.verify_certificate(&name));
        known.find_map(Result::ok).ok_or_else(|| {
            Stranger::new(format!(
                "nobody gave this certificate a role: an administrator of all namespaces makes a token that is called `cert:{}`",
                certificate.names().next().unwrap_or_default()
            ))
        })
    }

    fn turned_away(&self, peer: Option<IpAddr>, Stranger { why, is_wrong }: Stranger) -> Denied {
        let Some(peer) = peer else {
            return Denied::Unknown(why);
        };
        if self.strangers.has_to_wait(peer) {
            let why = "this address has presented too many wrong tokens: try again in a minute";
            return Denied::TooOften(why.to_owned());
        }
        if is_wrong {
            self.strangers.strike(peer);
        }
        Denied::Unknown(why)
    }
}

/// Writes a row into the audit log of what somebody is about to change over gRPC.
async fn record(
    ledger: &Ledger,
    who: &Principal,
    rpc: &str,
    namespace: Option<&str>,
    what: &str,
) -> Result<(), String> {
    let action = format!("grpc.{rpc}");
    let written = ledger.record(&who.actor, &action, namespace, what, Value::Null).await;
    written.map_err(|error| error.to_string())
}

struct Known {
    who: Principal,
    /// For the audit log.
    ledger: Ledger,
}

impl Caller for Known {
    fn may(&self, wanted: Wanted<'_>) -> Result<(), Denied> {
        may(&self.who, wanted)
    }

    fn is_limited_to_queues(&self) -> bool {
        self.who.scope.queues != Names::All
    }

    fn record<'a>(&'a self, done: Done<'a>) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(record(&self.ledger, &self.who, done.rpc, done.namespace, done.what))
    }
}

/// What the role and the scope of somebody are good for.
fn may(who: &Principal, wanted: Wanted<'_>) -> Result<(), Denied> {
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
        Need::Work => return works(who, namespace.unwrap_or_default(), wanted.queue),
    };
    let answer = match namespace {
        Some(namespace) => who.require(role, namespace),
        None => who.require_everywhere(role),
    };
    answer.map_err(|denied| Denied::Forbidden(denied.to_string()))
}

fn works(who: &Principal, namespace: &str, queue: Option<&str>) -> Result<(), Denied> {
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

#[cfg(test)]
mod tests {
    use helve_ledger::{Actor, AuditFilter, NewToken, PageRequest, Scope};
    use helve_toolbox::run::{WORKFLOW_QUEUE, control_queue, vertical_queue};

    use super::*;

    fn known(role: Role, scope: Scope) -> Principal {
        Principal {
            role,
            scope,
            ..Principal::system("test")
        }
    }

    fn may(who: &Principal, need: Need, namespace: Option<&str>, queue: Option<&str>) -> bool {
        super::may(who, Wanted { need, namespace, queue }).is_ok()
    }

    /// Who asks for a token at the door of an empty ledger, and one token that is good.
    async fn door(rate_limit: u32) -> (tempfile::TempDir, LedgerAccess, String) {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&dir.path().join("ledger.db"), Default::default())
            .await
            .unwrap();
        let new = NewToken {
            name: "hands".to_owned(),
            role: Role::Worker,
            scope: Scope::all(),
            expires_at: None,
        };
        let made = ledger.create_token(&Principal::system("test"), new).await.unwrap();
        let access = LedgerAccess {
            ledger,
            strangers: Arc::default(),
            rates: Rates::new(rate_limit),
        };
        (dir, access, made.secret.reveal().to_owned())
    }

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn enter(access: &LedgerAccess, tokens: &[&str]) -> Result<(), Denied> {
        let mut headers = HeaderMap::new();
        for token in tokens {
            headers.append(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        }
        access.identify(&headers, &Extensions::new(), Some(HERE)).map(drop)
    }

    #[tokio::test]
    async fn a_good_token_comes_in_however_many_wrong_ones_its_address_presents() {
        let (_dir, access, good) = door(0).await;
        let told = (0..100).find(|_| matches!(enter(&access, &["hlv_wrong"]), Err(Denied::TooOften(_))));
        assert_eq!(told, Some(30));
        assert_eq!(enter(&access, &[&good]), Ok(()));
        assert!(matches!(enter(&access, &[]), Err(Denied::TooOften(_))));
    }

    #[tokio::test]
    async fn two_tokens_are_none() {
        let (_dir, access, good) = door(0).await;
        for both in [[&*good, "hlv_wrong"], ["hlv_wrong", &good], [&good, &good]] {
            let refused = enter(&access, &both);
            assert!(
                matches!(&refused, Err(Denied::Unknown(why)) if why.contains("not several")),
                "{refused:?}"
            );
        }
        assert_eq!(enter(&access, &[&good]), Ok(()));
    }

    #[tokio::test]
    async fn a_token_calls_fifty_times_as_often_as_it_asks_over_http_and_no_more() {
        let (_dir, access, good) = door(1).await;
        let refused = (0..10_000).find(|_| enter(&access, &[&good]).is_err()).unwrap();
        assert!(refused >= 500, "{refused}");
        assert!(matches!(enter(&access, &[&good]), Err(Denied::TooOften(_))));
        let (_dir, access, good) = door(0).await;
        assert!((0..10_000).all(|_| enter(&access, &[&good]).is_ok()));
    }

    #[tokio::test]
    async fn a_change_over_grpc_leaves_a_row_that_says_who_what_and_where() {
        let (_dir, access, _) = door(0).await;
        let who = Principal {
            actor: Actor::system("alice").from_address("192.0.2.7"),
            ..Principal::system("test")
        };
        let rpc = "TerminateWorkflowExecution";
        record(&access.ledger, &who, rpc, Some("team-a"), "scan-1")
            .await
            .unwrap();
        record(&access.ledger, &who, "DeleteNamespace", None, "team-b")
            .await
            .unwrap();
        let filter = AuditFilter {
            action: Some("grpc.".to_owned()),
            ..AuditFilter::default()
        };
        let rows = access.ledger.list_audit(filter, PageRequest::default()).await.unwrap();
        let rows: Vec<_> = rows.items.iter().rev().collect();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].actor, who.actor);
        assert_eq!(rows[0].action, "grpc.TerminateWorkflowExecution");
        assert_eq!(
            (rows[0].namespace.as_deref(), &*rows[0].subject),
            (Some("team-a"), "scan-1")
        );
        assert_eq!(rows[1].action, "grpc.DeleteNamespace");
        assert_eq!((rows[1].namespace.as_deref(), &*rows[1].subject), (None, "team-b"));
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

    #[test]
    fn one_worker_is_told_to_leave_by_operators_alone() {
        let queue = control_queue("helve 1@host");
        let tells = |role| {
            let who = known(role, Scope::all());
            may(&who, Need::Start, Some("default"), Some(&queue))
        };
        assert!(!tells(Role::Analyst) && tells(Role::Operator));
        let analyst = known(Role::Analyst, Scope::all());
        assert!(may(&analyst, Need::Start, Some("default"), Some(WORKFLOW_QUEUE)));
    }
}
