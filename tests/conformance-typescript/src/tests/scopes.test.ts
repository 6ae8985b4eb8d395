import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { CancelledFailure } from '@temporalio/client';

import { environment, eventNames, eventually, everyHistoryReplays, failureOf, hasEvent } from '../environment';
import * as w from '../workflows';

const env = environment(__filename);

describe('timers and cancellation scopes', { concurrency: true }, () => {
  test('a timer takes its time', async () => {
    assert((await env.execute(w.naps, [100])) >= 100);
  });

  test('a condition is met before its limit', async () => {
    const handle = await env.start(w.waits, [60_000]);
    await handle.signal(w.wake);
    assert.equal(await handle.result(), true);
  });

  test('a condition reaches its limit', async () => {
    assert.equal(await env.execute(w.waits, [30]), false);
  });

  test('a time limit cancels what is in its scope', async () => {
    const handle = await env.start(w.timeLimit, []);
    assert.equal(await handle.result(), 'the limit ended it');
    const events = await eventNames(handle);
    assert(events.includes('TIMER_FIRED') && events.includes('TIMER_CANCELED'), `${events}`);
  });

  test('cancelling one scope leaves the other alone', async () => {
    assert.equal(await env.execute(w.race, []), 'fast, the other cancelled');
  });

  test('a cancelled workflow cleans up in a scope that is not cancelled', async () => {
    const handle = await env.start(w.cleansUp, []);
    await eventually(() => hasEvent(handle, 'TIMER_STARTED'));
    await handle.cancel();
    assert((await failureOf(handle)) instanceof CancelledFailure);
    const events = await eventNames(handle);
    assert(events.includes('ACTIVITY_TASK_COMPLETED'), `${events}`);
    assert.equal(events.at(-1), 'WORKFLOW_EXECUTION_CANCELED');
  });

  test('a workflow may complete although it was cancelled', async () => {
    const handle = await env.start(w.stubborn, []);
    await eventually(() => hasEvent(handle, 'TIMER_STARTED'));
    await handle.cancel();
    assert.equal(await handle.result(), 'completed all the same in stubborn');
  });

  test('a workflow that is cancelled before its first task never waits', async () => {
    const handle = await env.start(w.stubborn, [], { startDelay: '300ms' });
    await handle.cancel();
    assert.equal(await handle.result(), 'completed all the same in stubborn');
  });
});

everyHistoryReplays(env, 8);
