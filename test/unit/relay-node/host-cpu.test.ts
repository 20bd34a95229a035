import test from 'ava';
import { HostCpu } from '../../../relay-node/host-cpu.js';

const processor = (busyMs: number, idleMs: number) => ({
  times: { user: busyMs / 2, nice: 0, sys: busyMs / 4, irq: busyMs / 4, idle: idleMs },
});

test('the share of busy time since the last look, over all processors', (t) => {
  const looks = [
    [processor(1000, 9000), processor(0, 10_000)],
    [processor(1100, 9000), processor(0, 10_100)],
    [processor(1200, 9000), processor(100, 10_100)],
    [processor(1200, 9100), processor(100, 10_200)],
  ];
  const cpu = new HostCpu(() => looks.shift() ?? []);
  t.deepEqual([cpu.use(), cpu.use(), cpu.use(), cpu.use()], [0, 0.5, 1, 0]);
});

test('two looks within a tick, or a processor that was switched off, change nothing', (t) => {
  const looks = [
    [processor(0, 0), processor(0, 0)],
    [processor(50, 50), processor(50, 50)],
    [processor(50, 50), processor(50, 50)],
    [processor(60, 60)],
    [processor(70, 60)],
  ];
  const cpu = new HostCpu(() => looks.shift() ?? []);
  t.deepEqual([cpu.use(), cpu.use(), cpu.use(), cpu.use(), cpu.use()], [0, 0.5, 0.5, 0.5, 1]);
});

test('on this host it is between 0 and 1', (t) => {
  const cpu = new HostCpu();
  cpu.use();
  for (let n = 0; n < 5; n++) {
    const use = cpu.use();
    t.true(use >= 0 && use <= 1, `${use}`);
  }
});
