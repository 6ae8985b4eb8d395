import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { activityInfo } from '@temporalio/activity';
import type { WorkflowClientInterceptor } from '@temporalio/client';
import { defaultPayloadConverter } from '@temporalio/common';
import type { InjectedSinks } from '@temporalio/worker';

import { headers } from '../activities';
import { environment, everyHistoryReplays } from '../environment';
import * as w from '../workflows';
import type { Journal } from '../workflows/tracing-workflow';

const notes: string[] = [];
const sinks: InjectedSinks<Journal> = {
  journal: { note: { fn: (info, text) => void notes.push(`${info.workflowType} ${text}`) } },
};

const env = environment(__filename, {
  sinks,
  // Without a cache every task replays the workflow from its start: what is called during a replay would show twice.
  maxCachedWorkflows: 0,
  interceptors: {
    activity: [
      () => ({
        inbound: {
          async execute(input, next) {
            const { trace } = input.headers;
            const { workflowExecution, activityType } = activityInfo();
            if (trace) headers.set(`${workflowExecution?.workflowId} ${activityType}`, defaultPayloadConverter.fromPayload(trace));
            return next(input);
          },
        },
      }),
    ],
  },
});

/** A client that sends the header with everything. */
function tracing(text: string): WorkflowClientInterceptor {
  const add = <T extends { headers: object }>(input: T): T => ({
    ...input,
    headers: { ...input.headers, trace: defaultPayloadConverter.toPayload(text) },
  });
  return {
    start: (input, next) => next(add(input)),
    signal: (input, next) => next(add(input)),
    startUpdate: (input, next) => next(add(input)),
  };
}

describe('headers', { concurrency: true }, () => {
  test('travel through continue-as-new and a child to an activity', async () => {
    const workflowId = env.id('travels');
    env.started.add(workflowId);
    const client = env.newClient({ interceptors: { workflow: [tracing('passport')] } });
    await client.workflow.execute(w.travels, { workflowId, taskQueue: env.taskQueue, args: ['first'] });
    assert(headers.size >= 1 && [...headers.values()].every((value) => value === 'passport'), `${[...headers]}`);
  });

  test('come with signals and updates', async () => {
    const handle = await env.start(w.listens, []);
    const client = env.newClient({ interceptors: { workflow: [tracing('letter')] } });
    const traced = client.workflow.getHandle<typeof w.listens>(handle.workflowId);
    await traced.signal(w.poke);
    await traced.executeUpdate(w.nudge);
    assert.deepEqual(await handle.result(), { poke: 'letter', nudge: 'letter' });
  });
});

test('a sink is called once for each line of the workflow, not for each replay', async () => {
  await env.execute(w.writes, []);
  assert.deepEqual(notes, ['writes before', 'writes after']);
});

everyHistoryReplays(env, 3);
