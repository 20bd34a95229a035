import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { pino } from 'pino';
import { Engine } from '../../../../relay-node/engine/engine.js';
import { executableProblem } from '../../../../relay-node/engine/executable.js';
import { type Clock, systemClock } from '../../../../services/runtime/clock.js';
import { ManualClock } from '../../../support/clock.js';
import { hasEnded } from '../../../support/process.js';
import { eventually } from '../../../support/registry.js';

interface Line {
  readonly engine: string;
  readonly msg: string;
}

/** An engine that a shell plays, and what it has logged. */
function played(t: ExecutionContext, script: string, clock: Clock, environment: NodeJS.ProcessEnv = {}) {
  const lines: Line[] = [];
  const log = pino({}, { write: (text) => lines.push(JSON.parse(text) as Line) });
  const engine = new Engine({ command: ['/bin/sh', '-c', script], environment, clock, log });
  const said = () => lines.map(({ msg }) => msg);
  t.teardown(() => engine.stop());
  return { engine, lines, said };
}

/** Waits for nothing, and tells for how long it was asked to. */
function hurried() {
  const waits: number[] = [];
  const after = (delayMs: number, task: () => void) => {
    waits.push(delayMs);
    const timer = setImmediate(task);
    return () => clearImmediate(timer);
  };
  return { waits, clock: { ...systemClock, after } };
}

test('an engine that ends is started again, after pauses that grow up to half a minute', async (t) => {
  const { clock, waits } = hurried();
  const { engine, said } = played(t, 'exit 3', clock);
  const exits: string[] = [];
  engine.onExit((exit) => exits.push(exit));
  await engine.start();
  await eventually(() => waits.length >= 10, 'pauses');
  t.is(exits[0], 'code 3');
  t.true(engine.starts >= 9);
  for (const [at, pauseMs] of waits.slice(0, 10).entries()) {
    const meanMs = Math.min(30_000, 250 * 2 ** at);
    t.true(pauseMs >= 0.5 * meanMs && pauseMs <= Math.min(30_000, 1.5 * meanMs), `${at}: ${pauseMs}`);
  }
  t.true(said().includes('the engine has ended'));
});

test('its output is logged line by line, and it gets no setting of ours', async (t) => {
  const script = 'echo "$A-$HOLDFAST_ETCD_PASSWORD"; echo warning >&2; printf %3000d 1; exec sleep 1000';
  const { engine, lines, said } = played(t, script, systemClock, {
    PATH: process.env['PATH'],
    A: 'a',
    HOLDFAST_ETCD_PASSWORD: 'secret',
  });
  await engine.start();
  await eventually(() => said().includes('a-') && said().includes('warning'), 'output');
  t.deepEqual([...new Set(lines.map((line) => line.engine))], ['sh']);
  await engine.stop();
  await eventually(() => said().some((line) => line.length === 2000), 'a line without an end, cut');
});

test('what goes to the background is no engine, and the log says so', async (t) => {
  const { clock } = hurried();
  const { engine, said } = played(t, 'exit 0', clock);
  await engine.start();
  const advice = 'an engine that goes to the background is out of reach: tell it to stay in the foreground';
  await eventually(() => said().includes(advice), 'advice');
  t.is(said().indexOf(advice), said().indexOf('the engine has ended') + 1);
});

test('an engine is told to end, and killed with all that it has started if it does not', async (t) => {
  const clock = new ManualClock();
  const { engine, said } = played(t, 'trap \'\' TERM; sleep 1000 & echo "$$ $!"; wait', clock, {
    PATH: process.env['PATH'],
  });
  await engine.start();
  const pids = () =>
    said()
      .find((line) => /^\d+ \d+$/.test(line))
      ?.split(' ')
      .map(Number) ?? [];
  await eventually(() => pids().length === 2, 'both processes');
  const stopped = engine.stop();
  clock.advance(4900);
  t.false(pids().some(hasEnded));
  clock.advance(200);
  await stopped;
  await eventually(() => pids().every(hasEnded), 'end of both');
  t.throws(() => engine.run, { message: 'the engine does not run: SIGKILL' });
  t.is(engine.starts, 1, 'what was stopped is not started again');
});

test('what cannot be run is said before it is tried', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-engine-'));
  t.teardown(() => rm(directory, { recursive: true }));
  const file = join(directory, 'engine');
  t.is(executableProblem(file), `no program ${file} is found`);
  await writeFile(file, '#!/bin/sh\n', { mode: 0o644 });
  t.is(executableProblem(file), `${file} is not executable`);
  t.is(executableProblem('engine', `/nowhere:${directory}`), `${file} is not executable`);
  t.is(executableProblem(directory), `no program ${directory} is found`);
  await chmod(file, 0o755);
  t.is(executableProblem('engine', `/nowhere:${directory}`), undefined);
});
