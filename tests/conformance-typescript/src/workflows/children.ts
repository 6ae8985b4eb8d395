import {
  ApplicationFailure, CancellationScope, ChildWorkflowCancellationType, ChildWorkflowFailure, condition, defineSignal, executeChild,
  getExternalWorkflowHandle, isCancellation, ParentClosePolicy, rootCause, setHandler, sleep, startChild, workflowInfo,
} from '@temporalio/workflow';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';

export const tell = defineSignal<[string]>('tell');
export const leave = defineSignal('leave');

export async function doubles(number: number): Promise<number> {
  await sleep(5);
  if (number < 0) throw ApplicationFailure.nonRetryable('negative numbers are not doubled');
  return number * 2;
}

/** Collects words until it hears `bye`. */
export async function listener(): Promise<string[]> {
  const words: string[] = [];
  setHandler(tell, (word) => void words.push(word));
  await condition(() => words.includes('bye'));
  return words;
}

export async function family(numbers: number[]): Promise<number[]> {
  return Promise.all(numbers.map((number) => executeChild(doubles, { args: [number] })));
}

export async function grief(): Promise<string> {
  try {
    await executeChild(doubles, { args: [-1] });
    return 'no failure';
  } catch (error) {
    return error instanceof ChildWorkflowFailure ? `${error.workflowType}: ${rootCause(error)}` : `${error}`;
  }
}

export async function talks(): Promise<string[]> {
  const child = await startChild(listener, {});
  await child.signal(tell, 'hello');
  await getExternalWorkflowHandle(child.workflowId).signal(tell, 'bye');
  return child.result();
}

/** Starts a child and leaves it to its fate when told. */
export async function leaves(parentClosePolicy: ParentClosePolicy): Promise<string> {
  let told = false;
  setHandler(leave, () => void (told = true));
  const child = await startChild(listener, { parentClosePolicy, workflowId: `${workflowInfo().workflowId}-child` });
  await condition(() => told);
  return child.workflowId;
}

export async function cancelsItsChild(cancellationType: ChildWorkflowCancellationType): Promise<string> {
  const scope = new CancellationScope();
  try {
    await scope.run(async () => {
      const child = await startChild(stays, {
        cancellationType,
        parentClosePolicy: 'ABANDON',
        workflowId: `${workflowInfo().workflowId}-child`,
      });
      scope.cancel();
      await child.result();
    });
    return 'completed';
  } catch (error) {
    return isCancellation(error) ? 'cancelled' : `${error}`;
  }
}

/** Takes a moment to leave when it is cancelled. */
export async function stays(): Promise<void> {
  try {
    await sleep('1 day');
  } catch (error) {
    await CancellationScope.nonCancellable(() => sleep(20));
    throw error;
  }
}

/** Cancels another workflow, or says that there is none. */
export async function cancelsAnother(workflowId: string): Promise<string> {
  try {
    await getExternalWorkflowHandle(workflowId).cancel();
    return 'asked';
  } catch (error) {
    return (error as Error).name;
  }
}

export async function signalsNobody(workflowId: string): Promise<string> {
  try {
    await getExternalWorkflowHandle(workflowId).signal(tell, 'anyone there?');
    return 'heard';
  } catch (error) {
    return (error as Error).name;
  }
}

export async function twins(): Promise<string> {
  const workflowId = `${workflowInfo().workflowId}-twin`;
  const first = await startChild(listener, { workflowId });
  try {
    await startChild(listener, { workflowId });
    return 'two of one id';
  } catch (error) {
    await first.signal(tell, 'bye');
    await first.result();
    return error instanceof WorkflowExecutionAlreadyStartedError ? error.workflowId : `${error}`;
  }
}
