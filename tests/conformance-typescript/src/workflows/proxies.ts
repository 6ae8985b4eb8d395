// Activities as the workflows see them.
import { proxyActivities, proxyLocalActivities } from '@temporalio/workflow';

import type * as activities from '../activities';

/** Tried until it goes well, quickly. */
export const act = proxyActivities<typeof activities>({
  startToCloseTimeout: '20s',
  retry: { initialInterval: '10ms', backoffCoefficient: 1 },
});

export const actLocally = proxyLocalActivities<typeof activities>({
  startToCloseTimeout: '20s',
  retry: { initialInterval: '10ms', backoffCoefficient: 1, maximumAttempts: 5 },
});

export const once = { maximumAttempts: 1 };
