import {
  CancellationScope, CancelledFailure, condition, defineSignal, isCancellation, setHandler, sleep, workflowInfo,
} from '@temporalio/workflow';

import { act } from './proxies';

export const wake = defineSignal('wake');

export async function naps(milliseconds: number): Promise<number> {
  const began = Date.now();
  await sleep(milliseconds);
  return Date.now() - began;
}

export async function waits(limitMs: number): Promise<boolean> {
  let woken = false;
  setHandler(wake, () => void (woken = true));
  return condition(() => woken, limitMs);
}

export async function timeLimit(): Promise<string> {
  try {
    await CancellationScope.withTimeout(30, () => sleep('1 day'));
    return 'slept for a day';
  } catch (error) {
    return error instanceof CancelledFailure ? 'the limit ended it' : `${error}`;
  }
}

/** The loser of a race is cancelled, the winner is not. */
export async function race(): Promise<string> {
  const loser = new CancellationScope();
  const slow = loser.run(() => sleep('1 day')).then(() => 'slow', () => 'cancelled');
  const fast = sleep(10).then(() => 'fast');
  const winner = await Promise.race([slow, fast]);
  loser.cancel();
  return `${winner}, the other ${await slow}`;
}

export async function cleansUp(): Promise<void> {
  try {
    await sleep('1 day');
  } catch (error) {
    if (isCancellation(error)) await CancellationScope.nonCancellable(() => act.greet('the cleaner'));
    throw error;
  }
}

export async function stubborn(): Promise<string> {
  try {
    await sleep('1 day');
    return 'slept for a day';
  } catch {
    return `completed all the same in ${workflowInfo().workflowType}`;
  }
}
