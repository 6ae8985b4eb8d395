import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';

import {
  ApplicationFailure, QueryNotRegisteredError, WithStartWorkflowOperation, WorkflowExecutionAlreadyStartedError,
  WorkflowNotFoundError, WorkflowUpdateFailedError, WorkflowUpdateStage,
} from '@temporalio/client';

import { environment, eventNames, everyHistoryReplays, hasEvent } from '../environment';
import * as w from '../workflows';

const env = environment(__filename);

describe('signals and queries', { concurrency: true }, () => {
  test('signals arrive in the order they were sent', async () => {
    const handle = await env.start(w.ledger, [1]);
    for (const amount of [2, 3, 4]) await handle.signal(w.put, amount);
    await handle.signal(w.close);
    assert.equal(await handle.result(), 10);
  });

  test('a query sees every signal before it and takes arguments', async () => {
    const handle = await env.start(w.ledger, [5]);
    await handle.signal(w.put, 6);
    assert.equal(await handle.query(w.total, 100), 111);
    await handle.signal(w.close);
    assert.equal(await handle.result(), 11);
    assert.equal(await handle.query(w.total, 0), 11, 'a closed workflow answers too');
  });

  test('a query that fails or does not exist is an error of its caller only', async () => {
    const handle = await env.start(w.ledger, [0]);
    await assert.rejects(handle.query(w.broken), /this query fails/);
    await assert.rejects(handle.query('unheard-of'), QueryNotRegisteredError);
    await handle.signal(w.close);
    assert.equal(await handle.result(), 0);
  });

  test('a signal nobody expected reaches the default handler', async () => {
    const handle = await env.start(w.ledger, [0]);
    await handle.signal('surprise');
    assert.deepEqual(await handle.query(w.strays), ['surprise']);
    await handle.signal(w.close);
    await handle.result();
  });

  test('signal-with-start starts once and signals each time', async () => {
    const workflowId = env.id('signal-with-start');
    env.started.add(workflowId);
    const options = { workflowId, taskQueue: env.taskQueue, args: [10] as [number], signal: w.put, signalArgs: [1] as [number] };
    const first = await env.client.workflow.signalWithStart(w.ledger, options);
    const second = await env.client.workflow.signalWithStart(w.ledger, options);
    assert.equal(first.signaledRunId, second.signaledRunId);
    await second.signal(w.close);
    assert.equal(await second.result(), 12);
  });

  test('a signal to nobody is not found', async () => {
    const ghost = env.client.workflow.getHandle(env.id('ghost'));
    await assert.rejects(ghost.signal(w.put, 1), WorkflowNotFoundError);
  });
});

describe('updates', { concurrency: true }, () => {
  test('an update returns what its handler returns', async () => {
    const handle = await env.start(w.ledger, [1]);
    assert.equal(await handle.executeUpdate(w.add, { args: [2] }), 3);
    await handle.signal(w.close);
    assert.equal(await handle.result(), 3);
    const events = await eventNames(handle);
    assert(events.includes('WORKFLOW_EXECUTION_UPDATE_ACCEPTED') && events.includes('WORKFLOW_EXECUTION_UPDATE_COMPLETED'));
  });

  test('a rejected update leaves nothing in the history', async () => {
    const handle = await env.start(w.ledger, [1]);
    await handle.query(w.total, 0);
    const before = await eventNames(handle);
    await assert.rejects(handle.executeUpdate(w.add, { args: [-1] }), (error) => {
      assert(error instanceof WorkflowUpdateFailedError);
      assert(error.cause instanceof ApplicationFailure);
      assert.equal(error.cause.message, 'nothing to add');
      return true;
    });
    assert.deepEqual(await eventNames(handle), before);
    await handle.signal(w.close);
    await handle.result();
  });

  test('an update whose handler fails says why', async () => {
    const handle = await env.start(w.ledger, [0]);
    await assert.rejects(handle.executeUpdate(w.spoil), (error) => {
      assert(error instanceof WorkflowUpdateFailedError);
      assert.equal((error.cause as ApplicationFailure).type, 'Spoilt');
      return true;
    });
    await handle.signal(w.close);
    await handle.result();
  });

  test('an update is accepted first and its outcome is polled for', async () => {
    const handle = await env.start(w.ledger, [1]);
    const update = await handle.startUpdate(w.addLater, { args: [4], waitForStage: WorkflowUpdateStage.ACCEPTED });
    assert(await hasEvent(handle, 'WORKFLOW_EXECUTION_UPDATE_ACCEPTED'));
    const result = update.result();
    await handle.signal(w.release);
    assert.equal(await result, 5);
    assert.equal(await handle.getUpdateHandle<number>(update.updateId).result(), 5, 'and again by its id');
    await handle.signal(w.close);
    await handle.result();
  });

  test('an update of one id is carried out once', async () => {
    const handle = await env.start(w.ledger, [1]);
    const again = () => handle.executeUpdate(w.add, { args: [2], updateId: 'only-once' });
    assert.deepEqual(await Promise.all([again(), again()]), [3, 3]);
    assert.equal(await again(), 3);
    await handle.signal(w.close);
    assert.equal(await handle.result(), 3);
  });

  test('an update knows its id', async () => {
    const handle = await env.start(w.ledger, [0]);
    assert.equal(await handle.executeUpdate(w.whoAmI, { updateId: 'number-six' }), 'number-six');
    await handle.signal(w.close);
    await handle.result();
  });

  test('a handler uses timers and activities, and the workflow waits for it', async () => {
    const handle = await env.start(w.ledger, [0]);
    const greeted = handle.executeUpdate(w.greetThrough, { args: ['update'] });
    await handle.signal(w.close);
    assert.equal(await greeted, 'hello update');
    await handle.result();
  });

  test('many updates at the same time are each answered', async () => {
    const handle = await env.start(w.ledger, [0]);
    const sums = await Promise.all([1, 2, 3, 4, 5].map((amount) => handle.executeUpdate(w.add, { args: [amount] })));
    assert.equal(Math.max(...sums), 15);
    assert.equal(new Set(sums).size, 5);
    await handle.signal(w.close);
    assert.equal(await handle.result(), 15);
  });

  test('an update that ends its workflow is answered', async () => {
    const handle = await env.start(w.oneAmount, []);
    assert.equal(await handle.executeUpdate(w.add, { args: [7] }), 7);
    assert.equal(await handle.result(), 7);
  });

  test('an update of a closed workflow is not found', async () => {
    const handle = await env.start(w.oneAmount, []);
    await handle.executeUpdate(w.add, { args: [1] });
    await handle.result();
    await assert.rejects(handle.executeUpdate(w.add, { args: [1] }), WorkflowNotFoundError);
  });
});

describe('update with start', { concurrency: true }, () => {
  const starting = (workflowId: string, workflowIdConflictPolicy: 'USE_EXISTING' | 'FAIL') => {
    env.started.add(workflowId);
    const options = { workflowId, taskQueue: env.taskQueue, args: [10] as [number], workflowIdConflictPolicy };
    return new WithStartWorkflowOperation(w.ledger, options);
  };

  test('starts what does not run and updates it', async () => {
    const startWorkflowOperation = starting(env.id(randomUUID()), 'FAIL');
    const sum = await env.client.workflow.executeUpdateWithStart(w.add, { args: [1], startWorkflowOperation });
    assert.equal(sum, 11);
    const handle = await startWorkflowOperation.workflowHandle();
    await handle.signal(w.close);
    assert.equal(await handle.result(), 11);
  });

  test('updates what runs already', async () => {
    const id = env.id(randomUUID());
    const update = (args: [number]) =>
      env.client.workflow.executeUpdateWithStart(w.add, { args, startWorkflowOperation: starting(id, 'USE_EXISTING') });
    assert.deepEqual([await update([1]), await update([2])], [11, 13]);
    await env.client.workflow.getHandle(id).signal(w.close);
  });

  test('starts nothing twice when that is a conflict', async () => {
    const id = env.id(randomUUID());
    const update = () =>
      env.client.workflow.executeUpdateWithStart(w.add, { args: [1], startWorkflowOperation: starting(id, 'FAIL') });
    assert.equal(await update(), 11);
    await assert.rejects(update(), WorkflowExecutionAlreadyStartedError);
    await env.client.workflow.getHandle(id).signal(w.close);
  });

  test('is accepted first, if that is asked for', async () => {
    const startWorkflowOperation = starting(env.id(randomUUID()), 'FAIL');
    const update = await env.client.workflow.startUpdateWithStart(w.addLater, {
      args: [5],
      waitForStage: WorkflowUpdateStage.ACCEPTED,
      startWorkflowOperation,
    });
    const handle = await startWorkflowOperation.workflowHandle();
    await handle.signal(w.release);
    assert.equal(await update.result(), 15);
    await handle.signal(w.close);
    await handle.result();
  });
});

everyHistoryReplays(env, 18);
