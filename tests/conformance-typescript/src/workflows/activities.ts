import {
  ActivityCancellationType, ActivityFailure, ApplicationFailure, CancellationScope, condition, defineSignal, isCancellation,
  proxyActivities, scheduleActivity, setHandler, TimeoutFailure,
} from '@temporalio/workflow';

import type * as activities from '../activities';
import { act, actLocally, once } from './proxies';

export const stop = defineSignal('stop');

export async function greeting(name: string): Promise<string> {
  return act.greet(name);
}

export async function fanOut(count: number): Promise<string[]> {
  return Promise.all(Array.from({ length: count }, (_, n) => act.greet(`${n}`)));
}

export async function retried(failures: number, maximumAttempts: number): Promise<number | string> {
  const { flaky } = proxyActivities<typeof activities>({
    startToCloseTimeout: '20s',
    retry: { initialInterval: '10ms', maximumAttempts },
  });
  try {
    return await flaky(failures);
  } catch (error) {
    if (error instanceof ActivityFailure) return `${error.retryState}: ${error.cause?.message}`;
    throw error;
  }
}

export async function refused(): Promise<unknown> {
  try {
    return await act.refuse('not today');
  } catch (error) {
    if (error instanceof ActivityFailure && error.cause instanceof ApplicationFailure) {
      const { message, type, nonRetryable, details } = error.cause;
      return { message, type, nonRetryable, details, state: error.retryState };
    }
    throw error;
  }
}

export async function resumed(): Promise<{ from: number; attempt: number }> {
  const { resume } = proxyActivities<typeof activities>({
    startToCloseTimeout: '20s',
    heartbeatTimeout: '10s',
    retry: { initialInterval: '10ms' },
  });
  return resume();
}

/** Says which timeout ended the activity. */
export async function timedOut(which: 'start-to-close' | 'heartbeat' | 'schedule-to-start'): Promise<string> {
  const options = {
    'start-to-close': { startToCloseTimeout: '200ms' },
    heartbeat: { startToCloseTimeout: '60s', heartbeatTimeout: '200ms' },
    'schedule-to-start': { startToCloseTimeout: '60s', scheduleToStartTimeout: '100ms', taskQueue: 'nobody-polls-here' },
  } as const;
  const { silent } = proxyActivities<typeof activities>({ ...options[which], retry: once });
  try {
    await silent();
    return 'completed';
  } catch (error) {
    if (error instanceof ActivityFailure && error.cause instanceof TimeoutFailure) return `${error.cause.timeoutType}`;
    throw error;
  }
}

/** Cancels its activity when it is told to, and says what came of it. */
export async function stopped(cancellationType: ActivityCancellationType): Promise<string> {
  const { stall } = proxyActivities<typeof activities>({
    startToCloseTimeout: '60s',
    heartbeatTimeout: '5s',
    retry: once,
    cancellationType,
  });
  const scope = new CancellationScope();
  setHandler(stop, () => scope.cancel());
  try {
    await scope.run(() => stall());
    return 'completed';
  } catch (error) {
    return isCancellation(error) ? 'cancelled' : `${error}`;
  }
}

export async function fromOutside(): Promise<string> {
  const { outside } = proxyActivities<typeof activities>({ activityId: 'the-one', startToCloseTimeout: '60s', retry: once });
  return outside();
}

export async function locally(failures: number): Promise<number> {
  return actLocally.flaky(failures);
}

/** Local retries that take longer than a workflow task may. */
export async function locallyForLonger(): Promise<number> {
  let done = 0;
  await Promise.all([
    actLocally.flaky(2).then(() => done++),
    actLocally.greet('local').then(() => done++),
  ]);
  await condition(() => done === 2);
  return done;
}

export async function prioritised(): Promise<unknown> {
  const { about } = proxyActivities<typeof activities>({
    startToCloseTimeout: '20s',
    priority: { priorityKey: 2, fairnessKey: 'tenant', fairnessWeight: 1.5 },
  });
  return about();
}

export async function described(): Promise<string> {
  return scheduleActivity<string>('greet', ['you'], { startToCloseTimeout: '20s', summary: 'greets somebody' });
}
