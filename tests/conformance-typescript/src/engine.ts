// The two servers the promises are checked on, as ordinary processes on a free loopback port.
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

export type EngineKind = 'helve' | 'temporal';

const START_LIMIT_MS = 60_000;
const STOP_LIMIT_MS = 20_000;

/** A port nobody listens on at this moment. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer().once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const answer = (yes: boolean) => () => {
      socket.destroy();
      resolve(yes);
    };
    socket.once('connect', answer(true)).once('error', answer(false));
  });
}

function required(variable: string, what: string): string {
  const value = process.env[variable];
  if (!value) throw new Error(`${variable} is not set: it names ${what} (\`cargo xtask test\` sets it)`);
  return value;
}

function command(kind: EngineKind, folder: string, port: number): [string, string[]] {
  const address = `127.0.0.1:${port}`;
  if (kind === 'helve') {
    return [required('HELVE_BIN', 'the helve program under test'), ['--data-dir', join(folder, 'data'), 'up', '--grpc', address, '--grpc-open', '--no-http']];
  }
  const settings = [
    // Fewer partitions to look through for a task, and no pause of a second between runs with one id.
    'matching.numTaskqueueReadPartitions=1',
    'matching.numTaskqueueWritePartitions=1',
    'history.workflowIdReuseMinimalInterval="0s"',
    'activity.enableStandalone=true',
  ];
  return [
    required('HELVE_TEMPORAL_BIN', 'the `temporal` program'),
    ['server', 'start-dev', '--headless', '--log-level', 'error', '--ip', '127.0.0.1', '--port', `${port}`]
      .concat(settings.flatMap((setting) => ['--dynamic-config-value', setting])),
  ];
}

/** A running server with a folder of its own. */
export class Engine {
  private constructor(
    readonly address: string,
    private readonly process: ChildProcess,
    private readonly folder: string,
  ) {}

  static async start(kind: EngineKind): Promise<Engine> {
    const port = await freePort();
    const folder = mkdtempSync(join(tmpdir(), 'conformance-'));
    const log = openSync(join(folder, 'engine.log'), 'a');
    const [program, words] = command(kind, folder, port);
    const child = spawn(program, words, { stdio: ['ignore', log, log] });
    closeSync(log);
    let failure: string | undefined;
    child.once('error', (error) => (failure = error.message));
    child.once('exit', (code) => (failure ??= `it left with ${code}`));
    const engine = new Engine(`127.0.0.1:${port}`, child, folder);
    const deadline = Date.now() + START_LIMIT_MS;
    while (!(await listens(port))) {
      if (failure || Date.now() > deadline) {
        throw new Error(`the ${kind} engine does not listen: ${failure ?? 'it takes too long'}\n${engine.lastWords()}`);
      }
      await pause(20);
    }
    return engine;
  }

  lastWords(lines = 40): string {
    return readFileSync(join(this.folder, 'engine.log'), 'utf8').split('\n').slice(-lines).join('\n');
  }

  async stop(): Promise<void> {
    if (this.process.exitCode === null) {
      const gone = new Promise<void>((resolve) => this.process.once('exit', () => resolve()));
      this.process.kill('SIGINT');
      await Promise.race([gone, pause(STOP_LIMIT_MS, undefined, { ref: false })]);
      if (this.process.exitCode === null) this.process.kill('SIGKILL');
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}
