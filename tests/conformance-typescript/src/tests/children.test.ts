import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { CancelledFailure } from '@temporalio/client';

import { environment, eventNames, eventually, everyHistoryReplays, failureOf, hasEvent } from '../environment';
import * as w from '../workflows';

const env = environment(__filename);

describe('children', { concurrency: true }, () => {
  test('results come back', async () => {
    assert.deepEqual(await env.execute(w.family, [[1, 2, 3]]), [2, 4, 6]);
  });

  test('a failure comes back with its cause', async () => {
    assert.equal(await env.execute(w.grief, []), 'doubles: negative numbers are not doubled');
  });

  test('a child hears its parent and strangers alike', async () => {
    assert.deepEqual(await env.execute(w.talks, []), ['hello', 'bye']);
  });

  test('two children cannot have one id', async () => {
    const handle = await env.start(w.twins, []);
    assert.equal(await handle.result(), `${handle.workflowId}-twin`);
    assert(await hasEvent(handle, 'START_CHILD_WORKFLOW_EXECUTION_FAILED'));
  });

  for (const [policy, status] of [
    ['TERMINATE', 'TERMINATED'],
    ['REQUEST_CANCEL', 'CANCELLED'],
    ['ABANDON', 'RUNNING'],
  ] as const) {
    test(`a child with ${policy} whose parent closes`, async () => {
      const handle = await env.start(w.leaves, [policy]);
      await handle.signal(w.leave);
      const child = env.client.workflow.getHandle(await handle.result());
      if (status !== 'RUNNING') await eventually(async () => (await child.describe()).status.name !== 'RUNNING');
      const description = await child.describe();
      assert.equal(description.status.name, status);
      assert.equal(description.parentExecution?.workflowId, handle.workflowId);
      assert.equal(description.rootExecution?.workflowId, handle.workflowId);
      if (status === 'RUNNING') {
        await child.signal(w.tell, 'bye');
        assert.deepEqual(await child.result(), ['bye']);
      }
      env.started.add(child.workflowId);
    });
  }

  for (const [type, parentHas, childEnds] of [
    ['WAIT_CANCELLATION_COMPLETED', 'CHILD_WORKFLOW_EXECUTION_CANCELED', true],
    ['WAIT_CANCELLATION_REQUESTED', 'EXTERNAL_WORKFLOW_EXECUTION_CANCEL_REQUESTED', true],
    // The parent closes with the same task: whether the request still arrives is not promised.
    ['TRY_CANCEL', 'REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED', false],
    ['ABANDON', undefined, false],
  ] as const) {
    test(`a cancelled child with ${type}`, async () => {
      const handle = await env.start(w.cancelsItsChild, [type]);
      assert.equal(await handle.result(), 'cancelled');
      const child = env.client.workflow.getHandle(`${handle.workflowId}-child`);
      const events = await eventNames(handle);
      if (parentHas) assert(events.includes(parentHas), `${events}`);
      else assert(!events.some((name) => name.includes('CANCEL')), `${events}`);
      if (childEnds) assert((await failureOf(child)) instanceof CancelledFailure);
      else await child.terminate().catch(() => undefined);
    });
  }

  test('a workflow cancels another', async () => {
    const other = await env.start(w.stubborn, []);
    await eventually(() => hasEvent(other, 'TIMER_STARTED'));
    assert.equal(await env.execute(w.cancelsAnother, [other.workflowId]), 'asked');
    assert.equal(await other.result(), 'completed all the same in stubborn');
  });

  test('signals and cancels to nobody fail in the workflow', async () => {
    const ghost = env.id('ghost');
    const names = await Promise.all([env.execute(w.cancelsAnother, [ghost]), env.execute(w.signalsNobody, [ghost])]);
    assert.equal(names.filter((name) => name === 'asked' || name === 'heard').length, 0, `${names}`);
  });
});

everyHistoryReplays(env, 14);
