import assert from 'node:assert/strict';
import { test } from 'node:test';

import { DeterminismViolationError } from '@temporalio/workflow';
import { bundleWorkflowCode, DefaultLogger, Worker } from '@temporalio/worker';

import { environment, everyHistoryReplays, hasEvent } from '../environment';
import * as w from '../workflows';

const env = environment(__filename);

test('histories of patched code replay in code that only knows the patch, and not in other code', async () => {
  const patched = await env.start(w.promotion, []);
  assert.equal(await patched.result(), 'hello patch');
  assert(await hasEvent(patched, 'MARKER_RECORDED'));
  const plain = await env.start(w.greeting, ['you']);
  await plain.result();

  const workflowsPath = require.resolve('../workflows-later');
  const workflowBundle = await bundleWorkflowCode({ workflowsPath, logger: new DefaultLogger('ERROR') });
  await Worker.runReplayHistory({ workflowBundle }, await patched.fetchHistory(), patched.workflowId);
  await assert.rejects(
    Worker.runReplayHistory({ workflowBundle }, await plain.fetchHistory(), plain.workflowId),
    DeterminismViolationError,
  );
});

everyHistoryReplays(env, 2);
