import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';

import type { ActivityOptions } from '@temporalio/client';

import { environment, eventually } from '../environment';

const env = environment(__filename);

function options(more: Partial<ActivityOptions> = {}): ActivityOptions {
  return { id: env.id(randomUUID()), taskQueue: env.taskQueue, startToCloseTimeout: '20s', ...more };
}

describe('activities without a workflow', { concurrency: true }, () => {
  test('a result comes back', async () => {
    assert.equal(await env.client.activity.execute('greet', options({ args: ['you'] })), 'hello you');
  });

  test('a failing one is tried again', async () => {
    const retry = { initialInterval: '10ms' } as const;
    assert.equal(await env.client.activity.execute('flaky', options({ args: [2], retry })), 3);
  });

  test('a failure comes back with its cause', async () => {
    const handle = await env.client.activity.start('refuse', options({ args: ['not today'] }));
    await assert.rejects(handle.result(), (error: Error) => {
      assert.match(`${error.message} ${error.cause}`, /not today/);
      return true;
    });
    assert.equal((await handle.describe()).status, 'FAILED');
  });

  test('a cancelled one stops at its next heartbeat', async () => {
    const handle = await env.client.activity.start('stall', options({ startToCloseTimeout: '60s', heartbeatTimeout: '5s' }));
    await eventually(async () => (await handle.describe()).lastStartedTime);
    await handle.cancel('enough');
    await assert.rejects(handle.result());
    assert.equal((await handle.describe()).status, 'CANCELED');
  });

  test('a terminated one is over at once', async () => {
    const handle = await env.client.activity.start('greet', options({ args: ['nobody'], taskQueue: 'nobody-polls-here' }));
    assert.equal((await handle.describe()).status, 'RUNNING');
    await handle.terminate('enough');
    await assert.rejects(handle.result());
    assert.equal((await handle.describe()).status, 'TERMINATED');
  });

  test('its description says what it is', async () => {
    const handle = await env.client.activity.start('greet', options({ args: ['you'], priority: { priorityKey: 2 } }));
    await handle.result();
    const description = await handle.describe();
    assert.deepEqual(
      [description.activityType, description.status, description.taskQueue, description.attempt, description.priority.priorityKey],
      ['greet', 'COMPLETED', env.taskQueue, 1, 2],
    );
  });

  test('an id is taken while the activity runs', async () => {
    const same = options({ args: ['nobody'], taskQueue: 'nobody-polls-here' });
    const handle = await env.client.activity.start('greet', same);
    await assert.rejects(env.client.activity.start('greet', same));
    const other = await env.client.activity.start('greet', { ...same, idConflictPolicy: 'USE_EXISTING' });
    assert.equal(other.runId, handle.runId);
    await handle.terminate('enough');
  });

  test('they are listed and counted', async () => {
    const taskQueue = `${env.taskQueue}-listed`;
    const handles = await Promise.all(
      [1, 2, 3].map(() => env.client.activity.start('greet', options({ args: ['nobody'], taskQueue }))),
    );
    const query = `TaskQueue = '${taskQueue}' AND ExecutionStatus = 'Running'`;
    await eventually(async () => (await env.client.activity.count(query)).count === 3);
    const ids = [];
    for await (const info of env.client.activity.list(query)) ids.push(info.activityId);
    assert.deepEqual(ids.sort(), handles.map((handle) => handle.activityId).sort());
    await Promise.all(handles.map((handle) => handle.terminate('enough')));
  });
});
