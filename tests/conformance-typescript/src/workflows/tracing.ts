// An interceptor that carries the header `trace` along: from whoever started the workflow to what it calls.
import type { Payload } from '@temporalio/common';
import type { WorkflowInterceptors } from '@temporalio/workflow';

import { remember } from './tracing-workflow';

export function interceptors(): WorkflowInterceptors {
  let trace: Payload | undefined;
  const carried = (headers: Record<string, Payload>) => (trace ? { ...headers, trace } : headers);
  return {
    inbound: [
      {
        execute(input, next) {
          trace = input.headers.trace;
          return next(input);
        },
        handleSignal(input, next) {
          if (input.headers.trace) remember(input.signalName, input.headers.trace);
          return next(input);
        },
        handleUpdate(input, next) {
          if (input.headers.trace) remember(input.name, input.headers.trace);
          return next(input);
        },
      },
    ],
    outbound: [
      {
        scheduleActivity: (input, next) => next({ ...input, headers: carried(input.headers) }),
        startChildWorkflowExecution: (input, next) => next({ ...input, headers: carried(input.headers) }),
        continueAsNew: (input, next) => next({ ...input, headers: carried(input.headers) }),
      },
    ],
  };
}
