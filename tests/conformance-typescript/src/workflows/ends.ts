import {
  ApplicationFailure, condition, continueAsNew, defineSignal, defineUpdate, makeContinueAsNewFunc, setHandler, sleep, workflowInfo,
} from '@temporalio/workflow';

import { act } from './proxies';

export const goOn = defineSignal('goOn');
export const count = defineUpdate<number>('count');

export async function countsDown(from: number): Promise<string> {
  if (from > 0) await continueAsNew<typeof countsDown>(from - 1);
  return workflowInfo().continuedFromExecutionRunId ? 'landed' : 'never flew';
}

export async function changesType(): Promise<string> {
  const { memo } = workflowInfo();
  const next = makeContinueAsNewFunc<typeof lands>({ workflowType: 'lands', memo: { ...memo, leg: 2 } });
  return next('abroad');
}

export async function lands(where: string): Promise<string> {
  return `${where}, leg ${workflowInfo().memo?.leg}`;
}

export async function fails(message: string): Promise<never> {
  throw ApplicationFailure.create({ message, type: 'Planned', details: ['in detail'] });
}

/** Fails in its first run, so that its retry policy starts another. */
export async function secondTimeLucky(): Promise<number> {
  const { attempt } = workflowInfo();
  if (attempt === 1) throw ApplicationFailure.retryable('the first attempt fails');
  return attempt;
}

export async function outlastsItsTime(): Promise<void> {
  await sleep('1 day');
}

/** Has two steps, signals and updates: something to go back to. */
export async function steps(): Promise<string[]> {
  const log: string[] = [];
  let signals = 0;
  setHandler(goOn, () => void (signals += 1));
  setHandler(count, () => (signals += 1));
  log.push(await act.greet('one'));
  await condition(() => signals >= 1);
  log.push(await act.greet('two'));
  await condition(() => signals >= 2);
  log.push(`${signals} signals`);
  return log;
}

/** One number more than the run before. */
export async function ticks(): Promise<number> {
  return ((workflowInfo().lastResult as number | undefined) ?? 0) + 1;
}
