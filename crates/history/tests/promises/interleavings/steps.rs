//! What can happen, and how likely it is.

use proptest::prelude::*;

/// One thing that happens. Numbers pick among what there is, so that most steps mean something.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Signal {
        request_id: u8,
    },
    RequestCancel,
    Terminate,
    Update {
        id: u8,
    },
    /// The process ends and the run is loaded again.
    Crash,
    Pass {
        millis: u32,
    },
    Tick,
    Poll {
        repeat: bool,
        wrong_queue: bool,
    },
    Complete {
        pick: u8,
        commands: Vec<Order>,
        answers: Vec<Answer>,
        sticky: bool,
        force: bool,
        inline: bool,
        eager: bool,
    },
    FailTask {
        pick: u8,
    },
    ResetSticky,
    PollActivity {
        pick: u8,
        repeat: bool,
    },
    CompleteActivity {
        pick: u8,
        by_id: bool,
    },
    FailActivity {
        pick: u8,
        by_id: bool,
    },
    CancelActivity {
        pick: u8,
    },
    Heartbeat {
        pick: u8,
    },
    /// What an operator does to an activity, or to all of them.
    Operate {
        id: u8,
        operation: Operation,
    },
    Deliver {
        pick: u8,
        fail: bool,
    },
    ChildClosed {
        pick: u8,
        how: u8,
    },
    Follow,
    Reset {
        pick: u8,
    },
}

/// One command, in short.
#[derive(Clone, Debug)]
pub(super) enum Order {
    Activity(u8),
    CancelActivity(u8),
    Timer(u8, u8),
    CancelTimer(u8),
    Marker,
    Child(u8),
    SignalExternal,
    CancelExternal,
    Complete,
    Fail,
    Cancel,
    ContinueAsNew,
}

/// What an operator does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operation {
    Pause,
    Unpause,
    Reset,
    Options,
}

pub(super) fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        3 => Just(Operation::Pause),
        4 => Just(Operation::Unpause),
        2 => Just(Operation::Reset),
        1 => Just(Operation::Options),
    ]
}

/// What a worker says of one update that it was given, or accepted before.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    Accept,
    AcceptAndComplete,
    Reject,
    Ignore,
}

pub(super) fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        3 => Just(Answer::Accept),
        2 => Just(Answer::AcceptAndComplete),
        4 => Just(Answer::Reject),
        1 => Just(Answer::Ignore),
    ]
}

pub(super) fn order() -> impl Strategy<Value = Order> {
    prop_oneof![
        6 => (0..4u8).prop_map(Order::Activity),
        3 => (0..8u8).prop_map(Order::CancelActivity),
        4 => (0..3u8, 0..20u8).prop_map(|(id, after)| Order::Timer(id, after)),
        3 => (0..3u8).prop_map(Order::CancelTimer),
        1 => Just(Order::Marker),
        3 => (0..3u8).prop_map(Order::Child),
        1 => Just(Order::SignalExternal),
        1 => Just(Order::CancelExternal),
        1 => Just(Order::Complete),
        1 => Just(Order::Fail),
        1 => Just(Order::Cancel),
        1 => Just(Order::ContinueAsNew),
    ]
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let orders = prop::collection::vec(order(), 0..4);
    let answers = prop::collection::vec(answer(), 0..4);
    let complete = (any::<u8>(), orders, answers, any::<[bool; 4]>()).prop_map(
        |(pick, commands, answers, [sticky, force, inline, eager])| Step::Complete {
            pick,
            commands,
            answers,
            sticky,
            force: force && inline,
            inline,
            eager,
        },
    );
    prop_oneof![
        6 => (0..12u8).prop_map(|request_id| Step::Signal { request_id }),
        1 => Just(Step::RequestCancel),
        5 => (0..12u8).prop_map(|id| Step::Update { id }),
        1 => Just(Step::Crash),
        8 => (0..20_000u32).prop_map(|millis| Step::Pass { millis }),
        1 => Just(Step::Tick),
        12 => any::<[bool; 4]>().prop_map(|[a, b, c, d]| Step::Poll { repeat: a && b, wrong_queue: c && d }),
        14 => complete,
        3 => (0..2u8).prop_map(|pick| Step::FailTask { pick }),
        1 => Just(Step::ResetSticky),
        7 => (any::<u8>(), any::<bool>()).prop_map(|(pick, repeat)| Step::PollActivity { pick, repeat }),
        4 => (any::<u8>(), any::<[bool; 2]>()).prop_map(|(pick, [a, b])| Step::CompleteActivity { pick, by_id: a && b }),
        5 => (any::<u8>(), any::<[bool; 2]>()).prop_map(|(pick, [a, b])| Step::FailActivity { pick, by_id: a && b }),
        2 => any::<u8>().prop_map(|pick| Step::CancelActivity { pick }),
        3 => any::<u8>().prop_map(|pick| Step::Heartbeat { pick }),
        4 => (0..6u8, operation()).prop_map(|(id, operation)| Step::Operate { id, operation }),
        6 => (any::<u8>(), any::<[bool; 2]>()).prop_map(|(pick, [a, b])| Step::Deliver { pick, fail: a && b }),
        3 => (any::<u8>(), 0..5u8).prop_map(|(pick, how)| Step::ChildClosed { pick, how }),
        2 => Just(Step::Follow),
        2 => any::<u8>().prop_map(|pick| Step::Reset { pick }),
        1 => (0..20u8).prop_map(|n| if n == 0 { Step::Terminate } else { Step::Tick }),
    ]
}
