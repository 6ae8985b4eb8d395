// Reports one line per test: file::name, a tab, what became of it.
import { basename } from 'node:path';
import type { TestEvent } from 'node:test/reporters';

export default async function* lines(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const event of events) {
    if (event.type !== 'test:pass' && event.type !== 'test:fail') continue;
    const { name, file, skip, details } = event.data;
    if (details?.type === 'suite') continue;
    const outcome = event.type === 'test:fail' ? 'failed' : skip !== undefined ? 'skipped' : 'passed';
    yield `${basename(file ?? 'unknown', '.test.js')}::${name.replaceAll(/\s+/g, ' ')}\t${outcome}\n`;
  }
}
