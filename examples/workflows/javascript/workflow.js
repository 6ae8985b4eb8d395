// Two modules at a time, a second look at what they found, and a person who has the last word.
// `helve workflows build` makes workflow.wasm of it.

import { emit, nextSignal, setProgress, setStatus, startModule, startTimer, waitAny } from 'helve:workflow/durable@0.1.0';

// Whole numbers of 64 bits are BigInt.
const HOUR = 3_600_000n;

export function run(input) {
  const { review_hours: reviewHours = 0 } = JSON.parse(input.parameters);
  setStatus('looks for secrets and weaknesses');
  const retry = { maxAttempts: 3, initialIntervalMs: 1_000n, backoff: 2, maxIntervalMs: 60_000n };
  const steps = [startModule('secrets', 'secrets', '{}', {}), startModule('sast', 'sast', '{}', { retry })];
  let found = 0;
  for (const [done, step] of steps.entries()) {
    // What did not end well is thrown, and ends the run if nobody catches it.
    const { findings, status } = JSON.parse(step.wait());
    found += findings;
    setProgress(BigInt(done + 1), BigInt(steps.length));
    if (status.state !== 'completed') {
      const message = `A part of the target was not looked at: ${status.reason}`;
      emit({ rule: 'not-looked-at', severity: 'note', message, path: '.' });
    }
  }
  let reviewer = null;
  if (found > 0 && reviewHours > 0) {
    setStatus('waits for somebody to look');
    const reviewed = nextSignal('reviewed');
    const patience = startTimer(BigInt(reviewHours) * HOUR);
    if (waitAny([reviewed, patience]) === 0) {
      reviewer = JSON.parse(reviewed.wait());
    }
  }
  return JSON.stringify({ found, reviewer });
}
