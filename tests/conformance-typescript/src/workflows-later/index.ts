// Later versions of `workflows/versions.ts`: one that is compatible with the histories of the first, and one that is not.
import { deprecatePatch, sleep } from '@temporalio/workflow';

import { act } from '../workflows/proxies';

export async function promotion(): Promise<string> {
  deprecatePatch('greet-first');
  return act.greet('patch');
}

export async function greeting(): Promise<string> {
  await sleep(5);
  return 'a timer where an activity was';
}
