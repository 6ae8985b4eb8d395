import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { ScheduleAlreadyRunning, type ScheduleHandle, ScheduleNotFoundError, type ScheduleOptions } from '@temporalio/client';

import { environment, eventually } from '../environment';
import * as w from '../workflows';

const env = environment(__filename);

function create(name: string, options: Partial<ScheduleOptions> = {}): Promise<ScheduleHandle> {
  return env.client.schedule.create({
    scheduleId: env.id(name),
    spec: { intervals: [{ every: '30 days' }] },
    action: {
      type: 'startWorkflow', workflowType: w.lands, args: ['by schedule'], taskQueue: env.taskQueue, workflowId: env.id(`${name}-run`),
    },
    ...options,
  });
}

/** The workflow ids of the actions taken, once there are as many. */
async function taken(handle: ScheduleHandle, count: number): Promise<string[]> {
  return eventually(async () => {
    const { info } = await handle.describe();
    return info.numActionsTaken >= count ? info.recentActions.map(({ action }) => action.workflow.workflowId) : undefined;
  });
}

describe('schedules', { concurrency: true }, () => {
  test('an interval starts workflows', async () => {
    const handle = await create('interval', { spec: { intervals: [{ every: '1s' }] } });
    const ids = await taken(handle, 2);
    assert.equal(new Set(ids).size, ids.length, 'each with an id of its own');
    assert(ids[0].startsWith(env.id('interval-run')), ids[0]);
    assert.equal(await env.client.workflow.getHandle(ids[0]).result(), 'by schedule, leg undefined');
    await handle.delete();
  });

  test('a trigger starts one at once', async () => {
    const handle = await create('trigger');
    await handle.trigger();
    const [id] = await taken(handle, 1);
    assert.equal(await env.client.workflow.getHandle(id).result(), 'by schedule, leg undefined');
    await handle.delete();
  });

  test('a paused schedule says so, with its note, and goes on later', async () => {
    const handle = await create('pause', { state: { paused: true, note: 'not yet' } });
    let { state } = await handle.describe();
    assert.deepEqual([state.paused, state.note], [true, 'not yet']);
    await handle.unpause('now');
    ({ state } = await handle.describe());
    assert.deepEqual([state.paused, state.note], [false, 'now']);
    await handle.pause('later');
    ({ state } = await handle.describe());
    assert.deepEqual([state.paused, state.note], [true, 'later']);
    await handle.delete();
  });

  test('a backfill makes up for the past', async () => {
    const handle = await create('backfill', { spec: { intervals: [{ every: '1h' }] }, state: { paused: true } });
    const start = new Date('2024-01-01T00:30:00Z');
    const end = new Date('2024-01-01T03:30:00Z');
    await handle.backfill({ start, end, overlap: 'ALLOW_ALL' });
    assert.equal((await taken(handle, 3)).length, 3);
    await handle.delete();
  });

  test('calendars and cron strings say when', async () => {
    const handle = await create('calendar', {
      spec: {
        calendars: [{ comment: 'tea', dayOfWeek: 'FRIDAY', hour: 16, minute: [0, { start: 30, end: 31 }] }],
        cronExpressions: ['0 12 1 */3 *'],
        timezone: 'Europe/Paris',
      },
      state: { paused: true },
    });
    const { spec, info } = await handle.describe();
    assert.equal(spec.calendars?.length, 2);
    const tea = spec.calendars?.find(({ comment }) => comment === 'tea');
    assert.deepEqual(tea?.hour, [{ start: 16, end: 16, step: 1 }]);
    assert.deepEqual(tea?.dayOfWeek, [{ start: 'FRIDAY', end: 'FRIDAY', step: 1 }]);
    const times = info.nextActionTimes.map((time) =>
      time.toLocaleTimeString('en-GB', { timeZone: 'Europe/Paris', weekday: 'short' }),
    );
    assert.equal(times.length, 10);
    for (const time of times) assert.match(time, /^(Fri,? 16:(00|30|31):00|\w+,? 12:00:00)$/);
    await handle.delete();
  });

  test('a schedule is updated', async () => {
    const handle = await create('update', { state: { paused: true }, memo: { kept: true } });
    await handle.update((previous) => ({
      ...previous,
      spec: { intervals: [{ every: '2h', offset: '5m' }] },
      policies: { ...previous.policies, overlap: 'BUFFER_ONE', catchupWindow: '1h', pauseOnFailure: true },
    }));
    const { spec, policies, memo, action } = await handle.describe();
    assert.deepEqual(spec.intervals, [{ every: 7_200_000, offset: 300_000 }]);
    assert.deepEqual(policies, { overlap: 'BUFFER_ONE', catchupWindow: 3_600_000, pauseOnFailure: true });
    assert.deepEqual(memo, { kept: true });
    assert.deepEqual([action.workflowType, action.args], ['lands', ['by schedule']]);
    await handle.delete();
  });

  test('limited actions run out', async () => {
    const handle = await create('limited', { spec: { intervals: [{ every: '1s' }] }, state: { remainingActions: 1 } });
    await taken(handle, 1);
    const { state, info } = await eventually(async () => {
      const description = await handle.describe();
      return description.state.remainingActions === 0 ? description : undefined;
    });
    assert.equal(state.remainingActions, 0);
    assert.equal(info.numActionsTaken, 1);
    await handle.delete();
  });

  test('an overlapping action is skipped', async () => {
    const handle = await create('skip', {
      spec: { intervals: [{ every: '1s' }] },
      action: { type: 'startWorkflow', workflowType: w.outlastsItsTime, taskQueue: env.taskQueue, workflowId: env.id('skip-run') },
      policies: { overlap: 'SKIP' },
    });
    const { info } = await eventually(async () => {
      const description = await handle.describe();
      return description.info.numActionsSkippedOverlap ? description : undefined;
    });
    assert.equal(info.numActionsTaken, 1);
    assert.equal(info.runningActions.length, 1);
    await handle.delete();
    await env.client.workflow.getHandle(info.runningActions[0].workflow.workflowId).terminate();
  });

  test('schedules are listed', async () => {
    const handle = await create('listed', { memo: { note: 'find me' }, state: { paused: true, note: 'resting' } });
    const summary = await eventually(async () => {
      for await (const listed of env.client.schedule.list()) if (listed.scheduleId === handle.scheduleId) return listed;
      return undefined;
    });
    assert.deepEqual(summary.memo, { note: 'find me' });
    assert.deepEqual(summary.state, { paused: true, note: 'resting' });
    assert.equal(summary.action?.workflowType, 'lands');
    await handle.delete();
  });

  test('an id is used once, and a deleted schedule is gone', async () => {
    const handle = await create('once');
    await assert.rejects(create('once'), ScheduleAlreadyRunning);
    await handle.delete();
    await assert.rejects(handle.describe(), ScheduleNotFoundError);
  });
});
