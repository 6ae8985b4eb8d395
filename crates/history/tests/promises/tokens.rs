//! Task tokens: proof of one attempt, and of nothing else. [trap 9]

use helve_history::{ActivityRef, ActivityToken, Input, Rejection, WorkflowTaskCompletion, WorkflowTaskToken};
use proptest::prelude::*;
use prost::Message;

use crate::scenario::*;

fn number() -> impl Strategy<Value = i64> {
    prop_oneof![Just(i64::MIN), Just(i64::MAX), Just(0), -3..30_i64, any::<i64>()]
}

/// Whether an input is refused, and leaves the run as it was.
fn is_refused(s: &mut Scenario, input: Input) -> bool {
    let before = s.state.clone();
    let refused = matches!(
        s.send(input),
        Err(Rejection::NotFound(_) | Rejection::InvalidArgument(_))
    );
    refused && s.state == before
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// [trap 9]
    #[test]
    fn a_forged_workflow_task_token_fits_nothing(field in 0..4, value in number(), attempt in any::<u32>()) {
        let mut s = Scenario::start();
        s.run(vec![timer("t", 5)]);
        s.signal("again");
        let task = s.poll();
        let mut token = task.token.clone();
        match field {
            0 => token.scheduled_event_id = value,
            1 => token.started_event_id = value,
            2 => token.started_time_nanos = value,
            _ => token.attempt = attempt,
        }
        prop_assume!(token != task.token);
        let completion = WorkflowTaskCompletion { token, commands: vec![complete_workflow()], ..Default::default() };
        prop_assert!(is_refused(&mut s, Input::CompleteWorkflowTask(Box::new(completion))));
        s.complete(&task, vec![complete_workflow()]);
    }

    /// [trap 9]
    #[test]
    fn a_forged_activity_token_fits_nothing(field in 0..3, value in number(), attempt in any::<u32>(), what in 0..4) {
        let mut s = Scenario::start();
        s.run(vec![activity("a"), activity("b")]);
        let activity = s.poll_activity();
        let mut token = activity.token.clone();
        match field {
            0 => token.scheduled_event_id = value,
            1 => token.started_time_nanos = value,
            _ => token.attempt = attempt,
        }
        prop_assume!(token != activity.token);
        let named = ActivityRef::Token(token);
        let identity = String::new();
        let input = match what {
            0 => Input::CompleteActivity { activity: named, result: None, identity },
            1 => Input::CancelActivity { activity: named, details: None, identity },
            2 => Input::Heartbeat { activity: named, details: Some(payloads("forged")), identity },
            _ => Input::FailActivity { activity: named, failure: None, last_heartbeat_details: None, identity },
        };
        prop_assert!(is_refused(&mut s, input));
        s.ok(complete_activity(&activity));
    }

    #[test]
    fn bytes_are_read_as_a_token_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60), cut in 0..200_usize, flip in 0..1600_usize) {
        let _ = (WorkflowTaskToken::parse(&bytes), ActivityToken::parse(&bytes));
        let mut s = Scenario::start();
        let mut token = s.poll().token.encode_to_vec();
        token.truncate(cut);
        if let Some(byte) = token.get_mut(flip / 8) {
            *byte ^= 1 << (flip % 8);
        }
        let _ = (WorkflowTaskToken::parse(&token), ActivityToken::parse(&token));
    }
}
