// The activities of all tests. `outside` and `seen` let a test look into its worker, which is in the same process.
import { activityInfo, ApplicationFailure, CompleteAsyncError, Context, heartbeat, sleep } from '@temporalio/activity';

/** Task tokens of activities that somebody else completes, by workflow id. */
export const tokens = new Map<string, Uint8Array>();
/** Headers that reached activities, by workflow id: see `tests/interceptors.test.ts`. */
export const headers = new Map<string, string>();

export async function greet(name: string): Promise<string> {
  return `hello ${name}`;
}

/** Fails so many times; returns the attempt that went well. */
export async function flaky(failures: number): Promise<number> {
  const { attempt } = activityInfo();
  if (attempt <= failures) throw new Error(`attempt ${attempt} fails`);
  return attempt;
}

export async function refuse(message: string): Promise<never> {
  throw ApplicationFailure.create({ message, type: 'Refused', nonRetryable: true, details: [{ code: 7 }, 'twice'] });
}

/** Says how far it came, fails, and goes on from there. */
export async function resume(): Promise<{ from: number; attempt: number }> {
  const { attempt, heartbeatDetails } = activityInfo();
  if (attempt > 1) return { from: heartbeatDetails.reached, attempt };
  heartbeat({ reached: 3 });
  throw new Error('stopped half-way');
}

/** Goes on until it is told to stop. */
export async function stall(): Promise<void> {
  for (;;) {
    heartbeat();
    await sleep(50);
  }
}

/** Never says a word until it is told to stop. */
export async function silent(): Promise<void> {
  await Context.current().cancelled;
}

export async function outside(): Promise<string> {
  const { workflowExecution, taskToken } = activityInfo();
  tokens.set(workflowExecution?.workflowId ?? '', taskToken);
  throw new CompleteAsyncError();
}

export async function about(): Promise<Record<string, unknown>> {
  const { attempt, priority, activityId, activityType, taskQueue } = activityInfo();
  return { attempt, priority, activityId, activityType, taskQueue };
}
