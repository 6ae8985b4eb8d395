import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { type SearchAttributePair, TypedSearchAttributes } from '@temporalio/common';
import { temporal } from '@temporalio/proto';

import { type Environment, environment, eventually, everyHistoryReplays } from '../environment';
import * as w from '../workflows';
import { attributes } from '../workflows/records';

const due = new Date('2030-01-02T03:04:05.678Z');
const all: SearchAttributePair[] = [
  { key: attributes.tenant, value: "o'hara" },
  { key: attributes.size, value: 42 },
  { key: attributes.ratio, value: 0.5 },
  { key: attributes.urgent, value: true },
  { key: attributes.due, value: due },
  { key: attributes.tags, value: ['blue', 'green'] },
  { key: attributes.notes, value: 'the quick brown fox' },
];

const types = {
  KEYWORD: 'INDEXED_VALUE_TYPE_KEYWORD',
  INT: 'INDEXED_VALUE_TYPE_INT',
  DOUBLE: 'INDEXED_VALUE_TYPE_DOUBLE',
  BOOL: 'INDEXED_VALUE_TYPE_BOOL',
  DATETIME: 'INDEXED_VALUE_TYPE_DATETIME',
  KEYWORD_LIST: 'INDEXED_VALUE_TYPE_KEYWORD_LIST',
  TEXT: 'INDEXED_VALUE_TYPE_TEXT',
} as const;

/** The attributes' types have to be known before a workflow may have them. */
async function registerAttributes(env: Environment): Promise<void> {
  const { IndexedValueType } = temporal.api.enums.v1;
  const wanted = Object.values(attributes).map(({ name, type }) => [name, IndexedValueType[types[type]]] as const);
  const { namespace } = env;
  const known = await env.connection.operatorService.listSearchAttributes({ namespace });
  const searchAttributes = Object.fromEntries(wanted.filter(([name]) => !(name in (known.customAttributes ?? {}))));
  await env.connection.operatorService.addSearchAttributes({ namespace, searchAttributes });
  await eventually(async () => {
    const now = await env.connection.operatorService.listSearchAttributes({ namespace });
    return wanted.every(([name, type]) => now.customAttributes?.[name] === type);
  });
}

const env = environment(__filename, {}, registerAttributes);

/** Ids of what the query finds, once there are as many as expected. */
async function found(query: string, expected: number): Promise<string[]> {
  return eventually(async () => {
    const ids: string[] = [];
    for await (const info of env.client.workflow.list({ query, pageSize: 2 })) ids.push(info.workflowId);
    return ids.length === expected ? ids : undefined;
  });
}

describe('memo and search attributes', { concurrency: true }, () => {
  test('both come back as they were given', async () => {
    const handle = await env.start(w.shows, [], { memo: { room: 101 }, typedSearchAttributes: new TypedSearchAttributes(all) });
    const description = await handle.describe();
    assert.deepEqual(description.memo, { room: 101 });
    for (const { key, value } of all) {
      assert.deepEqual(description.typedSearchAttributes.get(key as (typeof attributes)['tenant']), value, key.name);
    }
    await handle.signal(w.finish);
    const shown = (await handle.result()) as { memo: object; attributes: unknown[][] };
    assert.deepEqual(shown.memo, { room: 101 });
    assert.equal(shown.attributes.length, all.length);
  });

  test('a workflow changes its own', async () => {
    const handle = await env.start(w.changes, [], { memo: { kept: 1 }, typedSearchAttributes: new TypedSearchAttributes(all) });
    const result = (await handle.result()) as Record<string, unknown>;
    assert.deepEqual([result.tenant, result.size], ['another', null]);
    const description = await handle.describe();
    assert.equal(description.memo?.added, 'later');
    assert.equal(description.typedSearchAttributes.get(attributes.tenant), 'another');
    assert.equal(description.typedSearchAttributes.get(attributes.size), undefined);
    assert.deepEqual(description.typedSearchAttributes.get(attributes.tags), ['red', 'green']);
    assert.equal(description.typedSearchAttributes.get(attributes.ratio), 0.5);
  });

  test('an attribute nobody registered is refused', async () => {
    const start = env.start(w.shows, [], { searchAttributes: { NobodyKnowsMe: ['x'] } });
    await assert.rejects(start, ({ cause }: { cause: Error }) => /NobodyKnowsMe/.test(cause.message));
  });

  test('each type of attribute is searched by value', async () => {
    const handle = await env.start(w.shows, [], { typedSearchAttributes: new TypedSearchAttributes(all) });
    const mine = `WorkflowId = '${handle.workflowId}'`;
    for (const condition of [
      "TsTenant = 'o''hara'", "TsTenant STARTS_WITH 'o'", "TsTenant IN ('a', 'o''hara')", 'TsSize > 41 AND TsSize <= 42',
      'TsSize BETWEEN 1 AND 50', 'TsRatio < 0.75', 'TsUrgent = true', "TsDue > '2030-01-01T00:00:00Z'", "TsTags = 'green'",
      "TsTags IN ('red', 'blue')", "TsNotes = 'brown'", 'TsNotes IS NOT NULL', "(TsSize = 1 OR TsSize = 42) AND TsTenant != 'x'",
    ]) {
      assert.deepEqual(await found(`${mine} AND ${condition}`, 1), [handle.workflowId], condition);
    }
    for (const condition of ["TsTenant = 'x'", 'TsSize > 42', 'TsUrgent = false', "TsTags = 'red'", 'TsSize IS NULL']) {
      assert.equal(await env.client.workflow.count(`${mine} AND ${condition}`).then(({ count }) => count), 0, condition);
    }
    await handle.terminate();
  });

  test('a filter that is wrong is the fault of its caller', async () => {
    for (const query of ['TsSize ><', 'Nonsense = 1', "TsSize = 'many'", "x'; DROP TABLE runs; --"]) {
      await assert.rejects(env.client.workflow.count(query), ({ cause }: { cause: { code: number } }) => cause.code === 3, query);
    }
  });
});

describe('lists', { concurrency: true }, () => {
  test('every page of a list comes, newest first', async () => {
    const tenant = env.id('pages');
    const typedSearchAttributes = new TypedSearchAttributes([{ key: attributes.tenant, value: tenant }]);
    const handles = [];
    for (let n = 0; n < 5; n++) handles.push(await env.start(w.shows, [], { typedSearchAttributes }));
    const ids = await found(`TsTenant = '${tenant}'`, 5);
    assert.deepEqual([...ids].reverse(), handles.map((handle) => handle.workflowId));
    await Promise.all(handles.map((handle) => handle.terminate()));
  });

  test('a count is grouped by status', async () => {
    const tenant = env.id('groups');
    const typedSearchAttributes = new TypedSearchAttributes([{ key: attributes.tenant, value: tenant }]);
    const [open, ended] = await Promise.all([1, 2].map(() => env.start(w.shows, [], { typedSearchAttributes })));
    await ended.signal(w.finish);
    await ended.result();
    const groups = await eventually(async () => {
      const { count, groups } = await env.client.workflow.count(`TsTenant = '${tenant}' GROUP BY ExecutionStatus`);
      return count === 2 && groups.length === 2 ? groups : undefined;
    });
    assert.deepEqual(groups.map(({ count, groupValues }) => `${groupValues[0]} ${count}`).sort(), ['Completed 1', 'Running 1']);
    await open.terminate();
  });

  test('a list turns into histories', async () => {
    const handle = await env.start(w.changes, []);
    await handle.result();
    const query = `WorkflowId = '${handle.workflowId}' AND ExecutionStatus = 'Completed'`;
    await found(query, 1);
    const histories = [];
    for await (const { workflowId, history } of env.client.workflow.list({ query }).intoHistories()) {
      histories.push([workflowId, (history as { events: unknown[] }).events.length]);
    }
    const { events } = await handle.fetchHistory();
    assert.deepEqual(histories, [[handle.workflowId, events?.length]]);
  });
});

describe('descriptions', { concurrency: true }, () => {
  test('summary and details are those of the start', async () => {
    const handle = await env.start(w.shows, [], { staticSummary: 'a summary', staticDetails: '# details' });
    const description = await handle.describe();
    assert.deepEqual([await description.staticSummary(), await description.staticDetails()], ['a summary', '# details']);
    const metadata = await handle.query<{ currentDetails: string }>('__temporal_workflow_metadata');
    assert.equal(metadata.currentDetails, '**waiting** to be told');
    await handle.terminate();
  });

  test('the priority of a workflow is shown', async () => {
    const handle = await env.start(w.shows, [], { priority: { priorityKey: 2, fairnessKey: 'tenant', fairnessWeight: 2 } });
    const { priority } = await handle.describe();
    assert.deepEqual({ ...priority }, { priorityKey: 2, fairnessKey: 'tenant', fairnessWeight: 2 });
    await handle.terminate();
  });

  test('a task queue shows who polls it', async () => {
    const taskQueue = { name: env.taskQueue };
    await eventually(async () => {
      const { pollers } = await env.service.describeTaskQueue({ namespace: env.namespace, taskQueue, taskQueueType: 1 });
      return pollers?.length;
    });
  });
});

everyHistoryReplays(env, 8);
