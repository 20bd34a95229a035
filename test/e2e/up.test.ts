import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { startRealEtcd } from '../support/etcd.js';
import { freeTcpPort } from '../support/ports.js';
import type { TestProcess } from '../support/process.js';
import { eventually } from '../support/registry.js';
import { testWith } from '../support/requirement.js';
import { runHoldfast, startHoldfast } from '../support/stack.js';

const proofTimeoutMs = 90_000;
const freePorts = ['--port', '0', '--etcd-port', '0'];

/** The processes that `up` has started, from its output. */
function pidsOf(up: TestProcess): number[] {
  return [...up.output.matchAll(/pid (\d+)/g)].map(([, pid]) => Number(pid));
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function nothingIsLeft(t: ExecutionContext, up: TestProcess, atLeast: number): Promise<void> {
  const pids = pidsOf(up);
  t.true(pids.length >= atLeast, up.output);
  await eventually(() => !pids.some(isAlive), `end of all of ${pids}`, 20_000);
}

/** Starts `up`. Its children are ended even if the test fails. */
async function startUp(t: ExecutionContext, ...args: string[]): Promise<TestProcess> {
  // A killed `up` leaves its logs behind.
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-up-'));
  t.teardown(() => rm(directory, { recursive: true, force: true, maxRetries: 5 }));
  const up = await startHoldfast(t, ['up', ...args], { TMPDIR: directory });
  t.teardown(() => {
    for (const pid of pidsOf(up).filter(isAlive)) {
      process.kill(pid, 'SIGKILL');
    }
  });
  return up;
}

function lines(up: TestProcess, verdict: 'ok' | 'FAIL'): string[] {
  return up.output.split('\n').filter((line) => line.trimStart().startsWith(`${verdict}  `));
}

async function provesItself(t: ExecutionContext, ...args: string[]): Promise<TestProcess> {
  const up = await startUp(t, '--once', ...args);
  await up.success(proofTimeoutMs);
  t.deepEqual(lines(up, 'FAIL'), []);
  t.is(lines(up, 'ok').length, 11);
  t.regex(up.output, /kept 1000, moved 0/);
  t.regex(up.output, /Proved: 11 of 11 lines held\./);
  // Two replicas, three relays, and the fourth that joins.
  await nothingIsLeft(t, up, 6);
  return up;
}

// In parallel with the next test: they share no port, file or key.
test.serial('up --once on the embedded etcd proves every claim, and leaves nothing behind', async (t) => {
  await provesItself(t, ...freePorts);
});

testWith.serial(['etcd'], 'up --once on a real etcd proves the same', async (t) => {
  const { endpoint } = await startRealEtcd(t);
  const up = await provesItself(t, '--port', '0', '--etcd', endpoint);
  t.true(up.output.includes(`etcd       ${endpoint}\n`), 'and does not call it embedded');
});

test.serial('up continues after the proof until Ctrl-C, then stops everything', async (t) => {
  const [port, etcdPort] = [await freeTcpPort(), await freeTcpPort()];
  const up = await startUp(t, '--port', `${port}`, '--etcd-port', `${etcdPort}`);
  await up.waitForLine('Everything runs until Ctrl-C', proofTimeoutMs);
  t.true(up.output.includes(`npx holdfast select my-call@example.org --server 127.0.0.1:${port}`), up.output);
  const [, page = ''] = /In a browser: (http:\S+)/.exec(up.output) ?? [];
  t.regex(await (await fetch(page)).text(), /<title>.*Holdfast/);
  const relays = await runHoldfast(t, ['relays', '--server', `127.0.0.1:${port}`]);
  t.is(relays.code, 0);
  t.regex(relays.stdout, /relay-4/);
  const [, hinted = ''] = /npx holdfast drain (\S+) --wait/.exec(up.output) ?? [];
  t.regex(relays.stdout, new RegExp(` ${hinted} `), 'what it tells to drain is registered');

  up.signal('SIGINT');
  t.deepEqual(await up.exited, { code: 0, signal: null });
  t.regex(up.output, /SIGINT: stopping everything/);
  await nothingIsLeft(t, up, 6);
});

test.serial(
  'up that is interrupted during its proof stops everything, and --once reports that nothing was proved',
  async (t) => {
    const up = await startUp(t, '--once', ...freePorts);
    await up.waitForLine('1000 calls, selected through replica A', proofTimeoutMs);
    up.signal('SIGINT');
    t.deepEqual(await up.exited, { code: 1, signal: null });
    t.deepEqual(lines(up, 'FAIL'), ['  FAIL  interrupted']);
    await nothingIsLeft(t, up, 5);
  },
);

test.serial('up that is interrupted during its start leaves nothing behind', async (t) => {
  const up = await startUp(t, ...freePorts);
  await up.waitForLine(/etcd {7}127/);
  up.signal('SIGTERM');
  t.deepEqual(await up.exited, { code: 0, signal: null });
  await nothingIsLeft(t, up, 0);
});

test.serial('up that is killed leaves nothing behind', async (t) => {
  const up = await startUp(t, ...freePorts);
  await up.waitForLine('1000 calls, selected through replica A', proofTimeoutMs);
  t.is(pidsOf(up).length, 5);
  await up.kill();
  await nothingIsLeft(t, up, 5);
});

test.serial('up names the port that is in use, and how to choose another', async (t) => {
  const port = await freeTcpPort();
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(port, '127.0.0.1', resolve));
  t.teardown(() => void taken.close());
  for (const [args, problem] of [
    [['--port', `${port}`], `cannot listen on 127.0.0.1:${port} for a replica: another process has it`],
    [['--port', `${port - 1}`], `cannot listen on 127.0.0.1:${port} for a replica: another process has it`],
    [['--etcd-port', `${port}`], `127.0.0.1:${port}`],
  ] as const) {
    const up = await startUp(t, '--once', ...freePorts, ...args);
    t.is((await up.exited).code, 1);
    t.true(up.output.includes(problem), up.output);
    t.true(up.output.includes(`(${args[0]}; 0 takes `), up.output);
    await nothingIsLeft(t, up, 0);
  }
});
