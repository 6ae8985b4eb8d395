// What the tests of one file share: a client, a worker with all workflows and activities, ids, and waiting.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { basename } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import {
  Client, Connection, type Workflow, WorkflowFailedError, type WorkflowHandle, type WorkflowStartOptions,
} from '@temporalio/client';
import { temporal } from '@temporalio/proto';
import { DefaultLogger, NativeConnection, Runtime, Worker, type WorkerOptions } from '@temporalio/worker';

import * as activities from './activities';

// Nothing listens for signals here: a test file that hangs can be stopped.
Runtime.install({ shutdownSignals: [], logger: new DefaultLogger('ERROR'), telemetryOptions: { logging: { filter: 'OFF', forward: {} } } });

export const ENGINE = process.env.CONFORMANCE_ENGINE ?? 'helve';
export const BUNDLE = { codePath: process.env.CONFORMANCE_BUNDLE ?? '' };
const NAMESPACE = 'default';

export type Options<T extends Workflow> = Partial<WorkflowStartOptions<T>>;

export class Environment {
  readonly taskQueue: string;
  readonly namespace = NAMESPACE;
  connection!: Connection;
  native!: NativeConnection;
  client!: Client;
  /** Ids of the workflows that the tests of this file started. */
  readonly started = new Set<string>();

  constructor(readonly name: string) {
    this.taskQueue = `${name}-${randomUUID().slice(0, 8)}`;
  }

  async open(): Promise<void> {
    const address = process.env.CONFORMANCE_ADDRESS;
    assert(address, 'CONFORMANCE_ADDRESS is not set: start the tests with `node build/run.js`');
    this.connection = await Connection.connect({ address });
    this.native = await NativeConnection.connect({ address });
    this.client = this.newClient();
  }

  async close(): Promise<void> {
    await this.native.close();
    await this.connection.close();
  }

  newClient(interceptors: ConstructorParameters<typeof Client>[0] = {}): Client {
    return new Client({ connection: this.connection, namespace: NAMESPACE, ...interceptors });
  }

  id(suffix: string): string {
    return `${this.taskQueue}-${suffix}`;
  }

  worker(options: Partial<WorkerOptions> = {}): Promise<Worker> {
    return Worker.create({
      connection: this.native,
      namespace: NAMESPACE,
      taskQueue: this.taskQueue,
      workflowBundle: BUNDLE,
      activities,
      shutdownForceTime: '10s',
      ...options,
    });
  }

  /** Starts a workflow on the file's worker, with an id of its own unless one is given. */
  async start<T extends Workflow>(workflow: T, args: Parameters<T>, options: Options<T> = {}): Promise<WorkflowHandle<T>> {
    const all = {
      taskQueue: this.taskQueue,
      workflowId: this.id(`${workflow.name}-${randomUUID().slice(0, 8)}`),
      workflowExecutionTimeout: '90s',
      args,
      ...options,
    };
    const handle = await this.client.workflow.start(workflow, all as unknown as WorkflowStartOptions<T>);
    this.started.add(all.workflowId);
    return handle;
  }

  async execute<T extends Workflow>(workflow: T, args: Parameters<T>, options: Options<T> = {}): Promise<Awaited<ReturnType<T>>> {
    return (await (await this.start(workflow, args, options)).result()) as Awaited<ReturnType<T>>;
  }

  /** The service itself, for what the client has no method for. */
  get service() {
    return this.connection.workflowService;
  }
}

/** Opens the environment of a test file, with a worker that runs as long as its tests do. `prepare` comes before them. */
export function environment(
  file: string,
  options: Partial<WorkerOptions> = {},
  prepare: (env: Environment) => Promise<void> = async () => {},
): Environment {
  const env = new Environment(basename(file, '.test.js'));
  let worker: Worker | undefined;
  let running: Promise<void> | undefined;
  before(async () => {
    await env.open();
    await prepare(env);
    worker = await env.worker(options);
    running = worker.run();
  });
  after(async () => {
    if (worker?.getState() === 'RUNNING') worker.shutdown();
    await running;
    await env.close();
  });
  return env;
}

/** A last test for a file: each history its tests left replays in the SDK. */
export function everyHistoryReplays(env: Environment, atLeast: number): void {
  test('every history these tests left replays', async () => {
    const histories = await Promise.all(
      [...env.started].map(async (workflowId) => ({
        workflowId,
        history: await env.client.workflow.getHandle(workflowId).fetchHistory(),
      })),
    );
    let count = 0;
    for await (const result of Worker.runReplayHistories({ workflowBundle: BUNDLE }, histories)) {
      assert.equal(result.error, undefined, result.workflowId);
      count += 1;
    }
    assert(count >= atLeast, `only ${count} histories`);
  });
}

/** Waits until the condition gives something true, and returns it. */
export async function eventually<T>(condition: () => Promise<T>, limitMs = 20_000): Promise<NonNullable<T>> {
  const deadline = Date.now() + limitMs;
  for (;;) {
    const last = await condition();
    if (last) return last;
    if (Date.now() > deadline) throw new Error(`did not happen within ${limitMs} ms; last seen: ${String(last)}`);
    await pause(30);
  }
}

/** The history's events by name, such as `TIMER_FIRED`. */
export async function eventNames(handle: WorkflowHandle): Promise<string[]> {
  const { events } = await handle.fetchHistory();
  return (events ?? []).map((event) => temporal.api.enums.v1.EventType[event.eventType!].replace('EVENT_TYPE_', ''));
}

export async function hasEvent(handle: WorkflowHandle, name: string): Promise<boolean> {
  return (await eventNames(handle)).includes(name);
}

/** What the client sees as the cause when the workflow did not complete. */
export async function failureOf(handle: WorkflowHandle): Promise<Error> {
  try {
    assert.fail(`the workflow completed with ${JSON.stringify(await handle.result())}`);
  } catch (error) {
    if (error instanceof WorkflowFailedError && error.cause) return error.cause;
    throw error;
  }
}
