import type { Payload } from '@temporalio/common';
import {
  condition, continueAsNew, defaultPayloadConverter, defineSignal, defineUpdate, executeChild, proxySinks, setHandler, type Sinks,
} from '@temporalio/workflow';

import { act } from './proxies';

export const poke = defineSignal('poke');
export const nudge = defineUpdate<void>('nudge');

export interface Journal extends Sinks {
  journal: { note(text: string): void };
}

const { journal } = proxySinks<Journal>();
const heard: Record<string, string> = {};

/** Called by the interceptor: each workflow has its own copy of this module's state. */
export function remember(name: string, trace: Payload): void {
  heard[name] = defaultPayloadConverter.fromPayload(trace);
}

/** Goes through every kind of call a header travels with: itself again, a child, an activity. */
export async function travels(leg: 'first' | 'second' | 'child'): Promise<void> {
  if (leg === 'first') await continueAsNew<typeof travels>('second');
  if (leg === 'second') await executeChild(travels, { args: ['child'] });
  if (leg === 'child') await act.greet('traveller');
}

/** What came with its signal and its update. */
export async function listens(): Promise<Record<string, string>> {
  let calls = 0;
  setHandler(poke, () => void (calls += 1));
  setHandler(nudge, () => void (calls += 1));
  await condition(() => calls === 2);
  return heard;
}

export async function writes(): Promise<void> {
  journal.note('before');
  await act.greet('in between');
  journal.note('after');
}
