import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';

import {
  ApplicationFailure, TerminatedFailure, TimeoutFailure, WorkflowContinuedAsNewError, WorkflowExecutionAlreadyStartedError,
  type WorkflowHandle, WorkflowNotFoundError,
} from '@temporalio/client';
import { temporal } from '@temporalio/proto';

import { environment, type Environment, eventNames, eventually, everyHistoryReplays, failureOf, hasEvent } from '../environment';
import * as w from '../workflows';

const env = environment(__filename);
/** The real server deletes half a minute after the execution closed. */
const DELETION_LIMIT_MS = 70_000;
const { ResetReapplyExcludeType } = temporal.api.enums.v1;

/** Back to the n-th completed workflow task. */
async function reset(handle: WorkflowHandle, task: number, options: object = {}): Promise<WorkflowHandle> {
  const { events } = await handle.fetchHistory();
  const done = (events ?? []).filter((event) => event.workflowTaskCompletedEventAttributes);
  const { runId } = await env.service.resetWorkflowExecution({
    namespace: env.namespace,
    workflowExecution: { workflowId: handle.workflowId },
    reason: 'back to the start',
    requestId: randomUUID(),
    workflowTaskFinishEventId: done[task - 1].eventId,
    ...options,
  });
  return env.client.workflow.getHandle(handle.workflowId, runId);
}

describe('ends', { concurrency: true }, () => {
  test('a failed workflow says why', async () => {
    const error = await failureOf(await env.start(w.fails, ['as planned']));
    assert(error instanceof ApplicationFailure);
    assert.deepEqual([error.message, error.type, error.details], ['as planned', 'Planned', ['in detail']]);
  });

  test('a workflow continues as new until it lands', async () => {
    const handle = await env.start(w.countsDown, [2]);
    assert.equal(await handle.result(), 'landed');
  });

  test('the result of one run of a chain says that it went on', async () => {
    const handle = await env.start(w.countsDown, [1]);
    const first = (await handle.describe()).runId;
    await handle.result();
    const only = env.client.workflow.getHandle(handle.workflowId, first, { followRuns: false });
    await assert.rejects(only.result(), WorkflowContinuedAsNewError);
  });

  test('the next run may be of another type, with another memo', async () => {
    const handle = await env.start(w.changesType, [], { memo: { from: 'home' } });
    assert.equal(await handle.result(), 'abroad, leg 2');
    const description = await env.client.workflow.getHandle(handle.workflowId).describe();
    assert.equal(description.type, 'lands');
    assert.deepEqual(description.memo, { from: 'home', leg: 2 });
  });

  test('a workflow with a retry policy is tried again', async () => {
    const retry = { initialInterval: '10ms', maximumAttempts: 3 } as const;
    assert.equal(await env.execute(w.secondTimeLucky, [], { retry }), 2);
  });

  test('the run timeout ends a workflow', async () => {
    const error = await failureOf(await env.start(w.outlastsItsTime, [], { workflowRunTimeout: '1s' }));
    assert(error instanceof TimeoutFailure, `${error}`);
  });

  test('a terminated workflow says why', async () => {
    const handle = await env.start(w.outlastsItsTime, []);
    await handle.terminate('enough');
    const error = await failureOf(handle);
    assert(error instanceof TerminatedFailure);
    assert.equal(error.message, 'enough');
    await assert.rejects(handle.terminate(), WorkflowNotFoundError);
  });

  test('a deleted workflow is not found', async () => {
    const handle = await env.start(w.lands, ['here']);
    await handle.result();
    await env.service.deleteWorkflowExecution({ namespace: env.namespace, workflowExecution: { workflowId: handle.workflowId } });
    const isGone = () => handle.describe().then(() => false, (error) => error instanceof WorkflowNotFoundError);
    await eventually(isGone, DELETION_LIMIT_MS);
    env.started.delete(handle.workflowId);
  });

  test('a delayed workflow starts later', async () => {
    const handle = await env.start(w.lands, ['late'], { startDelay: '300ms' });
    const { startTime, executionTime } = await handle.describe();
    assert.equal(executionTime!.getTime() - startTime.getTime(), 300);
    assert.equal(await handle.result(), 'late, leg undefined');
  });

  test('a cron workflow goes on with what it returned', async () => {
    const handle = await env.start(w.ticks, [], { cronSchedule: '@every 1s' });
    await eventually(async () => {
      const history = await env.client.workflow.getHandle(handle.workflowId).fetchHistory();
      const started = history.events?.[0].workflowExecutionStartedEventAttributes;
      return Buffer.from(started?.lastCompletionResult?.payloads?.[0].data ?? []).toString() >= '2';
    });
    await env.client.workflow.getHandle(handle.workflowId).terminate();
  });
});

describe('ids', { concurrency: true }, () => {
  const starter = (env: Environment) => {
    const workflowId = env.id(randomUUID());
    return (options: object) => env.start(w.ledger, [0], { workflowId, ...options });
  };

  test('a running workflow keeps its id', async () => {
    const start = starter(env);
    const handle = await start({});
    await assert.rejects(start({}), WorkflowExecutionAlreadyStartedError);
    await handle.signal(w.close);
    await handle.result();
  });

  test('a start may use the one that runs, or end it', async () => {
    const start = starter(env);
    const first = await start({});
    const { runId } = await first.describe();
    const same = await start({ workflowIdConflictPolicy: 'USE_EXISTING' });
    assert.equal((await same.describe()).runId, runId);
    const other = await start({ workflowIdConflictPolicy: 'TERMINATE_EXISTING' });
    assert.notEqual((await other.describe()).runId, runId);
    const old = await env.client.workflow.getHandle(first.workflowId, runId).describe();
    assert.equal(old.status.name, 'TERMINATED');
    await other.signal(w.close);
    await other.result();
  });

  test('an id may be used again, or only after failures, or never', async () => {
    const start = starter(env);
    const first = await start({});
    await first.signal(w.close);
    await first.result();
    await assert.rejects(start({ workflowIdReusePolicy: 'REJECT_DUPLICATE' }), WorkflowExecutionAlreadyStartedError);
    await assert.rejects(start({ workflowIdReusePolicy: 'ALLOW_DUPLICATE_FAILED_ONLY' }), WorkflowExecutionAlreadyStartedError);
    const second = await start({ workflowIdReusePolicy: 'ALLOW_DUPLICATE' });
    await second.terminate();
    const third = await start({ workflowIdReusePolicy: 'ALLOW_DUPLICATE_FAILED_ONLY' });
    await third.signal(w.close);
    await third.result();
  });
});

describe('reset', { concurrency: true }, () => {
  const finished = async () => {
    const handle = await env.start(w.steps, []);
    await eventually(() => hasEvent(handle, 'ACTIVITY_TASK_COMPLETED'));
    await handle.signal(w.goOn);
    await handle.executeUpdate(w.count);
    assert.deepEqual(await handle.result(), ['hello one', 'hello two', '2 signals']);
    return handle;
  };

  test('a reset run gets the signals and updates that came later', async () => {
    const handle = await finished();
    const again = await reset(handle, 1);
    assert.deepEqual(await again.result(), ['hello one', 'hello two', '2 signals']);
    const events = await eventNames(again);
    assert.equal(events.filter((name) => name === 'WORKFLOW_EXECUTION_SIGNALED').length, 1);
    assert(events.includes('WORKFLOW_TASK_FAILED'), 'the task it went back to');
    assert(events.includes('WORKFLOW_EXECUTION_UPDATE_COMPLETED'), `${events}`);
  });

  test('a reset run does not get what was excluded', async () => {
    const handle = await finished();
    const again = await reset(handle, 1, {
      resetReapplyExcludeTypes: [
        ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL, ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_UPDATE,
      ],
    });
    await again.signal(w.goOn);
    await again.signal(w.goOn);
    assert.equal((await again.result()).at(-1), '2 signals');
    assert(!(await eventNames(again)).includes('WORKFLOW_EXECUTION_UPDATE_COMPLETED'));
  });

  test('a running workflow that is reset is terminated', async () => {
    const handle = await env.start(w.steps, []);
    await eventually(() => hasEvent(handle, 'ACTIVITY_TASK_COMPLETED'));
    const { runId } = await handle.describe();
    const again = await reset(handle, 1);
    assert.equal((await env.client.workflow.getHandle(handle.workflowId, runId).describe()).status.name, 'TERMINATED');
    await again.signal(w.goOn);
    await again.signal(w.goOn);
    await again.result();
  });
});

everyHistoryReplays(env, 15);
