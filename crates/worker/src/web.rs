//! The activities that send the HTTP requests of workflows.

use std::sync::atomic::{AtomicBool, Ordering};

use helve_runtime::http::HttpCall;
use helve_toolbox::run::{SECRET_ACTIVITY, SecretInput};
use temporalio_protos::coresdk::ActivityHeartbeat;
use temporalio_protos::coresdk::activity_task::Start;
use temporalio_protos::temporal::api::common::v1::Payload;
use tokio::time::interval;

use crate::activities::Activities;
use crate::{StepError, payload};

impl Activities {
    pub(crate) async fn web(&self, token: &[u8], start: &Start, cancelled: &AtomicBool) -> Result<Payload, StepError> {
        let http = &self.shared.http;
        if start.activity_type == SECRET_ACTIVITY {
            let input: SecretInput = payload::decode(&start.activity_type, &start.input)?;
            return payload::encode(&http.has_secret(&input.name)?);
        }
        let call: HttpCall = payload::decode(&start.activity_type, &start.input)?;
        let mut beat = interval(self.shared.runner.limits.heartbeat_interval);
        let request = http.call(&call);
        tokio::pin!(request);
        loop {
            tokio::select! {
                end = &mut request => return payload::encode(&end?),
                // It says that the process lives, and brings cancellation back. To give up closes the connection.
                _ = beat.tick() => {
                    if cancelled.load(Ordering::Relaxed) {
                        return Err(StepError::Cancelled);
                    }
                    self.core.record_activity_heartbeat(ActivityHeartbeat {
                        task_token: token.to_vec(),
                        details: Vec::new(),
                    });
                }
            }
        }
    }
}
