//! What is known of task queues, and their limits.

use helve_history::check_priority;
use temporalio_protos::temporal::api::{
    common::v1::Priority,
    enums::v1::{DescribeTaskQueueMode, RateLimitSource, TaskQueueKind, TaskQueueType},
    taskqueue::v1::{
        PollerInfo, TaskQueue, TaskQueuePartitionMetadata, TaskQueueStats, TaskQueueStatus, TaskQueueTypeInfo,
        TaskQueueVersionInfo,
    },
    workflowservice::v1::{
        describe_task_queue_response::EffectiveRateLimit, update_task_queue_config_request::RateLimitUpdate, *,
    },
};
use tonic::{Request, Status};

use super::{Frontend, convert};
use crate::{
    matching::{Kind, QueueId, Seen, Stats, View},
    queue_config::{ConfigUpdate, MAX_WEIGHTS, RateUpdate},
};

/// What workers and clients understand as "no limit".
const UNLIMITED: f64 = 100_000.0;
/// Bytes of the reason for a limit.
const MAX_REASON: usize = 1000;

impl Frontend {
    #[expect(
        deprecated,
        reason = "two older ways to ask, which versions of the command line still use"
    )]
    pub(super) async fn describe_task_queue(
        &self,
        request: Request<DescribeTaskQueueRequest>,
    ) -> Result<DescribeTaskQueueResponse, Status> {
        let request = request.into_inner();
        let namespace = self.namespace(&request.namespace)?;
        let is_sticky = request
            .task_queue
            .as_ref()
            .is_some_and(|queue| queue.kind() == TaskQueueKind::Sticky);
        let kind = kind(request.task_queue_type())?;
        let id = self.queue(&namespace, request.task_queue.clone(), kind)?;
        if request.api_mode() == DescribeTaskQueueMode::Enhanced {
            if is_sticky {
                return Err(Status::invalid_argument(
                    "Enhanced DescribeTaskQueue is not supported for sticky queues.",
                ));
            }
            return self.describe_enhanced(&request, &id);
        }
        let view = self.described(&id);
        let config = self.shell.matching.config(&id);
        Ok(DescribeTaskQueueResponse {
            stats: request.report_stats.then(|| stats(total(&view), view.is_limited)),
            stats_by_priority_key: if request.report_stats {
                let levels = view.stats.iter();
                levels
                    .map(|(level, level_stats)| (i32::from(*level), stats(*level_stats, view.is_limited)))
                    .collect()
            } else {
                Default::default()
            },
            config: config.filter(|_| request.report_config).map(|config| (*config).clone()),
            effective_rate_limit: view.rate.map(|rate| EffectiveRateLimit {
                requests_per_second: rate as f32,
                rate_limit_source: if view.is_configured {
                    RateLimitSource::Api
                } else {
                    RateLimitSource::Worker
                } as i32,
            }),
            task_queue_status: request.include_task_queue_status.then(|| TaskQueueStatus {
                backlog_count_hint: count(total(&view).backlog),
                rate_per_second: view.rate.unwrap_or(UNLIMITED),
                ..Default::default()
            }),
            pollers: view.pollers.into_iter().map(poller).collect(),
            ..Default::default()
        })
    }

    /// A queue; or, when nobody polls one that is called so, the one that a worker calls so for its own runs: whoever asks for it
    /// by its name need not know whose runs they are.
    fn described(&self, id: &QueueId) -> View {
        let matching = &self.shell.matching;
        let view = matching.describe(id);
        if id.kind != Kind::Workflow || !view.pollers.is_empty() || total(&view).backlog > 0 {
            return view;
        }
        let sticky = matching.sticky_queues(&id.namespace, &id.name);
        let polled = sticky.iter().map(|id| matching.describe(id));
        polled.max_by_key(|view| view.pollers.len()).unwrap_or(view)
    }

    /// The answer by build ids, of which there is one here: none.
    #[expect(
        deprecated,
        reason = "the answer by build ids is told in fields that are deprecated with it"
    )]
    fn describe_enhanced(
        &self,
        request: &DescribeTaskQueueRequest,
        id: &QueueId,
    ) -> Result<DescribeTaskQueueResponse, Status> {
        if request.report_task_reachability {
            return Err(Status::unimplemented(
                "task reachability belongs to worker versioning, which this server does not support",
            ));
        }
        if request
            .versions
            .as_ref()
            .is_some_and(|versions| !versions.build_ids.iter().all(String::is_empty))
        {
            return Err(Status::unimplemented(
                "build ids belong to worker versioning, which this server does not support",
            ));
        }
        let both = [TaskQueueType::Workflow as i32, TaskQueueType::Activity as i32];
        let types = if request.task_queue_types.is_empty() {
            &both[..]
        } else {
            &request.task_queue_types
        };
        let mut types_info = std::collections::HashMap::new();
        for number in types {
            let kind = kind(TaskQueueType::try_from(*number).unwrap_or_default())?;
            let view = self.shell.matching.describe(&QueueId { kind, ..id.clone() });
            let info = TaskQueueTypeInfo {
                stats: request.report_stats.then(|| stats(total(&view), view.is_limited)),
                pollers: if request.report_pollers {
                    view.pollers.into_iter().map(poller).collect()
                } else {
                    Vec::new()
                },
            };
            types_info.insert(*number, info);
        }
        let unversioned = TaskQueueVersionInfo {
            types_info,
            ..Default::default()
        };
        Ok(DescribeTaskQueueResponse {
            versions_info: [(String::new(), unversioned)].into(),
            ..Default::default()
        })
    }

    pub(super) async fn update_task_queue_config(
        &self,
        request: Request<UpdateTaskQueueConfigRequest>,
    ) -> Result<UpdateTaskQueueConfigResponse, Status> {
        let request = request.into_inner();
        let namespace = self.namespace(&request.namespace)?;
        let queue = TaskQueue {
            name: request.task_queue,
            ..Default::default()
        };
        let kind = kind(TaskQueueType::try_from(request.task_queue_type).unwrap_or_default())?;
        let id = self.queue(&namespace, Some(queue), kind)?;
        self.check_length("Identity", &request.identity)?;
        let update = ConfigUpdate {
            queue_rate: rate_update(
                request.update_queue_rate_limit,
                kind,
                "rate limit",
                "UpdateQueueRateLimit",
            )?,
            key_rate: rate_update(
                request.update_fairness_key_rate_limit_default,
                kind,
                "fairness key rate limit",
                "UpdateFairnessKeyRateLimitDefault",
            )?,
            set_weights: request.set_fairness_weight_overrides.into_iter().collect(),
            unset_weights: request.unset_fairness_weight_overrides,
            identity: request.identity,
        };
        check_weights(&update)?;
        let config = self.shell.update_queue_config(&namespace, id, update).await?;
        Ok(UpdateTaskQueueConfigResponse {
            config: Some((*config).clone()),
        })
    }

    /// A queue is one piece here.
    pub(super) async fn list_task_queue_partitions(
        &self,
        request: Request<ListTaskQueuePartitionsRequest>,
    ) -> Result<ListTaskQueuePartitionsResponse, Status> {
        let request = request.into_inner();
        let namespace = self.namespace(&request.namespace)?;
        let id = self.queue(&namespace, request.task_queue, Kind::Workflow)?;
        let whole = TaskQueuePartitionMetadata {
            key: id.name.to_string(),
            owner_host_name: String::new(),
        };
        Ok(ListTaskQueuePartitionsResponse {
            activity_task_queue_partitions: vec![whole.clone()],
            workflow_task_queue_partitions: vec![whole],
        })
    }
}

/// Checks the change of a limit. A limit on workflow tasks would stop signals and timers: it is refused.
fn rate_update(
    update: Option<RateLimitUpdate>,
    kind: Kind,
    what: &str,
    field: &str,
) -> Result<Option<RateUpdate>, Status> {
    let Some(RateLimitUpdate { rate_limit, reason }) = update else {
        return Ok(None);
    };
    if let Some(limit) = &rate_limit {
        if kind == Kind::Workflow {
            return Err(Status::invalid_argument(format!(
                "Setting {what} on workflow task queues is not allowed."
            )));
        }
        if limit.requests_per_second < 0.0 || limit.requests_per_second.is_nan() {
            return Err(Status::invalid_argument(format!(
                "RequestsPerSecond for {field} rate limit must be non-negative."
            )));
        }
    }
    if reason.len() > MAX_REASON {
        return Err(Status::invalid_argument(format!(
            "{field}.Reason field too long (max {MAX_REASON} characters)."
        )));
    }
    Ok(Some(RateUpdate {
        limit: rate_limit,
        reason,
    }))
}

fn check_weights(update: &ConfigUpdate) -> Result<(), Status> {
    let total = update.set_weights.len() + update.unset_weights.len();
    if total > MAX_WEIGHTS {
        return Err(Status::invalid_argument(format!(
            "too many fairness weight overrides in request: got {total}, maximum {MAX_WEIGHTS}"
        )));
    }
    let set = update.set_weights.iter().map(|(key, weight)| (key, Some(*weight)));
    for (key, weight) in set.chain(update.unset_weights.iter().map(|key| (key, None))) {
        if key.is_empty() {
            return Err(Status::invalid_argument(
                "fairness weight override key must not be empty",
            ));
        }
        let asked = Priority {
            fairness_key: key.clone(),
            ..Default::default()
        };
        check_priority(Some(&asked)).map_err(Status::invalid_argument)?;
        if weight.is_some_and(|weight| weight <= 0.0 || weight.is_nan()) {
            return Err(Status::invalid_argument(format!(
                "invalid fairness weight for key {key:?}: must be greater than zero"
            )));
        }
        if weight.is_some() && update.unset_weights.contains(key) {
            return Err(Status::invalid_argument(format!(
                "fairness weight override key {key:?} present in both set and unset lists"
            )));
        }
    }
    Ok(())
}

/// Unspecified means workflow tasks.
fn kind(kind: TaskQueueType) -> Result<Kind, Status> {
    match kind {
        TaskQueueType::Unspecified | TaskQueueType::Workflow => Ok(Kind::Workflow),
        TaskQueueType::Activity => Ok(Kind::Activity),
        TaskQueueType::Nexus => Err(Status::unimplemented("this server does not support Nexus task queues")),
    }
}

fn total(view: &View) -> Stats {
    view.stats.values().copied().fold(Stats::default(), Stats::plus)
}

fn count(tasks: usize) -> i64 {
    i64::try_from(tasks).unwrap_or(i64::MAX)
}

fn stats(stats: Stats, rate_limiting_active: bool) -> TaskQueueStats {
    TaskQueueStats {
        approximate_backlog_count: count(stats.backlog),
        approximate_backlog_age: Some(convert::duration(stats.age)),
        tasks_add_rate: stats.add_rate,
        tasks_dispatch_rate: stats.dispatch_rate,
        rate_limiting_active,
    }
}

fn poller(seen: Seen) -> PollerInfo {
    PollerInfo {
        identity: seen.identity,
        last_access_time: Some(seen.at.into()),
        rate_per_second: seen.max_tasks_per_second.unwrap_or(UNLIMITED),
        ..Default::default()
    }
}
