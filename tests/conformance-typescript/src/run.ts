// Starts one engine, bundles the workflows once, and runs every test file against it.
//
//   node build/run.js [--engine helve|temporal] [--address HOST:PORT] [--results FILE] [TEST...]
//
// `--results` writes one line per test: its name, a tab, `passed`, `failed` or `skipped`. TEST is a part of a file's name.
import { spawn } from 'node:child_process';
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { Connection } from '@temporalio/client';
import { bundleWorkflowCode } from '@temporalio/worker';

import { Engine, type EngineKind } from './engine';

/** Test files at the same time: they mostly wait, so more than the two cores of a small machine. */
const FILES_AT_ONCE = 4;
const QUIET = { trace() {}, debug() {}, info() {}, warn() {}, error: console.error, log() {} };

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      engine: { type: 'string', default: 'helve' },
      address: { type: 'string' },
      results: { type: 'string' },
    },
  });
  if (values.results) rmSync(values.results, { force: true });
  const kind = values.engine as EngineKind;
  const bundle = join(__dirname, 'workflow-bundle.js');
  const { code } = await bundleWorkflowCode({
    workflowsPath: require.resolve('./workflows'),
    workflowInterceptorModules: [require.resolve('./workflows/tracing')],
    logger: QUIET,
  });
  writeFileSync(bundle, code);

  const engine = values.address ? undefined : await Engine.start(kind);
  const address = values.address ?? engine?.address;
  try {
    await answers(address!);
    const files = readdirSync(join(__dirname, 'tests'))
      .filter((name) => name.endsWith('.test.js') && (!positionals.length || positionals.some((part) => name.includes(part))))
      .map((name) => join(__dirname, 'tests', name));
    if (!files.length) throw new Error(`no test file is called like ${positionals.join(', ')}`);
    const environment = { CONFORMANCE_ADDRESS: address, CONFORMANCE_ENGINE: kind, CONFORMANCE_BUNDLE: bundle };
    const left = await run(files, environment, values.results);
    if (left && engine) console.log(`\nthe engine's last words:\n${engine.lastWords()}`);
    return left;
  } finally {
    await engine?.stop();
  }
}

/** Waits until the server knows its namespace: a listening port may come earlier. */
async function answers(address: string): Promise<void> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    try {
      const connection = await Connection.connect({ address });
      await connection.workflowService.describeNamespace({ namespace: 'default' });
      return await connection.close();
    } catch (error) {
      if (Date.now() > deadline) throw new Error(`no answer from ${address}: ${error}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

function run(files: string[], environment: Record<string, string | undefined>, results?: string): Promise<number> {
  const reporters = ['--test-reporter=spec', '--test-reporter-destination=stdout'];
  if (results) reporters.push(`--test-reporter=${join(__dirname, 'reporter.mjs')}`, `--test-reporter-destination=${results}`);
  const words = ['--enable-source-maps', '--test', `--test-concurrency=${FILES_AT_ONCE}`, '--test-timeout=90000', ...reporters, ...files];
  const child = spawn(process.execPath, words, { stdio: 'inherit', env: { ...process.env, ...environment } });
  return new Promise((resolve) => child.once('exit', (code) => resolve(code ?? 1)));
}

main().then(
  (code) => process.exit(code),
  (error) => {
    console.error(`error: ${error instanceof Error ? error.message : error}`);
    process.exit(3);
  },
);
