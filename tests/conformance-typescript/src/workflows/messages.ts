import {
  allHandlersFinished, ApplicationFailure, condition, currentUpdateInfo, defineQuery, defineSignal, defineUpdate,
  setDefaultSignalHandler, setHandler, sleep,
} from '@temporalio/workflow';

import { act } from './proxies';

export const put = defineSignal<[number]>('put');
export const close = defineSignal('close');
export const release = defineSignal('release');
export const total = defineQuery<number, [number]>('total');
export const broken = defineQuery<never>('broken');
export const strays = defineQuery<string[]>('strays');
export const add = defineUpdate<number, [number]>('add');
export const addLater = defineUpdate<number, [number]>('addLater');
export const greetThrough = defineUpdate<string, [string]>('greetThrough');
export const spoil = defineUpdate<never>('spoil');
export const whoAmI = defineUpdate<string>('whoAmI');

/** Adds up what it is told until it is closed. */
export async function ledger(opening = 0): Promise<number> {
  let sum = opening;
  let closed = false;
  let released = false;
  const unknown: string[] = [];
  setHandler(put, (amount) => void (sum += amount));
  setHandler(close, () => void (closed = true));
  setHandler(release, () => void (released = true));
  setDefaultSignalHandler((name) => void unknown.push(name));
  setHandler(total, (plus) => sum + plus);
  setHandler(strays, () => unknown);
  setHandler(broken, () => {
    throw new Error('this query fails');
  });
  setHandler(add, (amount) => (sum += amount), {
    validator: (amount) => {
      if (amount <= 0) throw ApplicationFailure.create({ message: 'nothing to add', type: 'TooSmall' });
    },
  });
  setHandler(addLater, async (amount) => {
    await condition(() => released);
    return (sum += amount);
  });
  setHandler(greetThrough, async (name) => {
    await sleep(5);
    return act.greet(name);
  });
  setHandler(spoil, () => {
    throw ApplicationFailure.create({ message: 'spoilt', type: 'Spoilt', nonRetryable: true });
  });
  setHandler(whoAmI, () => currentUpdateInfo()?.id ?? 'nobody');
  await condition(() => closed && allHandlersFinished());
  return sum;
}

/** Is over as soon as the first amount is added. */
export async function oneAmount(): Promise<number> {
  let sum = 0;
  setHandler(add, (amount) => (sum += amount));
  await condition(() => sum > 0);
  return sum;
}
