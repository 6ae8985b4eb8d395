import {
  condition, defineSignal, setCurrentDetails, setHandler, sleep, upsertMemo, upsertSearchAttributes, workflowInfo,
} from '@temporalio/workflow';
import { defineSearchAttributeKey, type SearchAttributeType } from '@temporalio/common';

export const finish = defineSignal('finish');

const key = <T extends SearchAttributeType>(name: string, type: T) => defineSearchAttributeKey(name, type);
/** Attributes that the tests register first. */
export const attributes = {
  tenant: key('TsTenant', 'KEYWORD'),
  size: key('TsSize', 'INT'),
  ratio: key('TsRatio', 'DOUBLE'),
  urgent: key('TsUrgent', 'BOOL'),
  due: key('TsDue', 'DATETIME'),
  tags: key('TsTags', 'KEYWORD_LIST'),
  notes: key('TsNotes', 'TEXT'),
};

/** Shows what it was started with until it is told to finish. */
export async function shows(): Promise<unknown> {
  let finished = false;
  setHandler(finish, () => void (finished = true));
  setCurrentDetails('**waiting** to be told');
  await condition(() => finished);
  const { memo, typedSearchAttributes } = workflowInfo();
  return { memo, attributes: typedSearchAttributes.getAll().map(({ key: { name }, value }) => [name, value]) };
}

/** Changes its own record. */
export async function changes(): Promise<unknown> {
  upsertSearchAttributes([
    { key: attributes.tenant, value: 'another' },
    { key: attributes.size, value: null },
    { key: attributes.tags, value: ['red', 'green'] },
  ]);
  upsertMemo({ kept: undefined, added: 'later' });
  await sleep(5);
  const { memo, typedSearchAttributes } = workflowInfo();
  return { memo, tenant: typedSearchAttributes.get(attributes.tenant), size: typedSearchAttributes.get(attributes.size) ?? null };
}
