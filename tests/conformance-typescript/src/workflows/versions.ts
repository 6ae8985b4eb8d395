import { patched, sleep } from '@temporalio/workflow';

import { act } from './proxies';

/** Changed once: `workflows-later` has the next version of it. */
export async function promotion(): Promise<string> {
  if (patched('greet-first')) return act.greet('patch');
  await sleep(5);
  return 'unpatched';
}
