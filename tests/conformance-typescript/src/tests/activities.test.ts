import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { ActivityNotFoundError } from '@temporalio/client';

import { tokens } from '../activities';
import { environment, eventNames, eventually, everyHistoryReplays, hasEvent } from '../environment';
import * as w from '../workflows';

const env = environment(__filename);

describe('activities', { concurrency: true }, () => {
  test('a result comes back to the workflow', async () => {
    assert.equal(await env.execute(w.greeting, ['you']), 'hello you');
  });

  test('many run at the same time', async () => {
    const greeted = await env.execute(w.fanOut, [20]);
    assert.deepEqual(greeted, Array.from({ length: 20 }, (_, n) => `hello ${n}`));
  });

  test('a failing activity is tried again until it goes well', async () => {
    assert.equal(await env.execute(w.retried, [2, 5]), 3);
  });

  test('attempts end where the policy says', async () => {
    assert.equal(await env.execute(w.retried, [9, 2]), 'MAXIMUM_ATTEMPTS_REACHED: attempt 2 fails');
  });

  test('a failure that is not retryable arrives at once, with its details', async () => {
    assert.deepEqual(await env.execute(w.refused, []), {
      message: 'not today',
      type: 'Refused',
      nonRetryable: true,
      details: [{ code: 7 }, 'twice'],
      state: 'NON_RETRYABLE_FAILURE',
    });
  });

  test('the next attempt knows the last heartbeat', async () => {
    assert.deepEqual(await env.execute(w.resumed, []), { from: 3, attempt: 2 });
  });

  for (const [which, type] of [
    ['start-to-close', 'START_TO_CLOSE'],
    ['heartbeat', 'HEARTBEAT'],
    ['schedule-to-start', 'SCHEDULE_TO_START'],
  ] as const) {
    test(`the ${which} timeout ends an activity and says so`, async () => {
      assert.equal(await env.execute(w.timedOut, [which]), type);
    });
  }

  for (const [type, activityEnds] of [
    ['WAIT_CANCELLATION_COMPLETED', true],
    ['TRY_CANCEL', false],
    ['ABANDON', false],
  ] as const) {
    test(`a cancelled activity with ${type}`, async () => {
      const handle = await env.start(w.stopped, [type]);
      await eventually(async () => {
        const { pendingActivities } = (await handle.describe()).raw;
        return pendingActivities?.[0]?.lastStartedTime;
      });
      await handle.signal(w.stop);
      assert.equal(await handle.result(), 'cancelled');
      const events = await eventNames(handle);
      assert.equal(events.includes('ACTIVITY_TASK_CANCEL_REQUESTED'), type !== 'ABANDON');
      assert.equal(events.includes('ACTIVITY_TASK_CANCELED'), activityEnds);
    });
  }

  test('somebody else completes an activity by its token', async () => {
    const handle = await env.start(w.fromOutside, []);
    const token = await eventually(async () => tokens.get(handle.workflowId));
    await env.client.activity.heartbeat(token, 'still there');
    await env.client.activity.complete(token, 'from far away');
    assert.equal(await handle.result(), 'from far away');
    await assert.rejects(env.client.activity.complete(token, 'twice'), ActivityNotFoundError);
  });

  test('somebody else completes an activity by its id', async () => {
    const handle = await env.start(w.fromOutside, []);
    await eventually(async () => tokens.get(handle.workflowId));
    await env.client.activity.complete({ workflowId: handle.workflowId, activityId: 'the-one' }, 'by id');
    assert.equal(await handle.result(), 'by id');
  });

  test('somebody else fails an activity', async () => {
    const handle = await env.start(w.fromOutside, []);
    const token = await eventually(async () => tokens.get(handle.workflowId));
    await env.client.activity.fail(token, new Error('lost on the way'));
    await assert.rejects(handle.result());
    assert(await hasEvent(handle, 'ACTIVITY_TASK_FAILED'));
  });

  test('a local activity is tried again and leaves a marker only', async () => {
    const handle = await env.start(w.locally, [2]);
    assert.equal(await handle.result(), 3);
    const events = await eventNames(handle);
    assert(events.includes('MARKER_RECORDED') && !events.includes('ACTIVITY_TASK_SCHEDULED'), `${events}`);
  });

  test('local activities run beside each other', async () => {
    assert.equal(await env.execute(w.locallyForLonger, []), 2);
  });

  test('an activity has the priority it was given', async () => {
    const about = (await env.execute(w.prioritised, [])) as { priority: object };
    assert.deepEqual({ ...about.priority }, { priorityKey: 2, fairnessKey: 'tenant', fairnessWeight: 1.5 });
  });

  test('the summary of an activity is kept with its event', async () => {
    const handle = await env.start(w.described, []);
    assert.equal(await handle.result(), 'hello you');
    const { events } = await handle.fetchHistory();
    const scheduled = events?.find((event) => event.activityTaskScheduledEventAttributes);
    const summary = Buffer.from(scheduled?.userMetadata?.summary?.data ?? []).toString();
    assert.equal(summary, '"greets somebody"');
  });
});

everyHistoryReplays(env, 15);
