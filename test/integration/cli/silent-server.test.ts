import { setTimeout as delay } from 'node:timers/promises';
import { startProcess } from '../../support/process.js';
import { testWith } from '../../support/requirement.js';
import { holdfast } from '../../support/stack.js';

const programs = ['network namespaces', 'unshare', 'bash', 'ip'] as const;

/** A network where 192.0.2.2 takes every packet and answers none: a machine that has just been turned off. */
const network = `set -e
ip link set lo up
ip link add near type veth peer name far
ip address add 192.0.2.1/24 dev near
ip link set near up
ip link set far up
ip neighbor add 192.0.2.2 lladdr 02:00:00:00:00:01 dev near
exec "$@"`;

testWith(programs, 'a command ends with its message, whatever connection is still being made', async (t) => {
  const command = [process.execPath, holdfast, 'lookup', 'call', '--server', '192.0.2.2:7400'];
  const child = await startProcess(t, 'unshare', ['--net', 'bash', '-c', network, 'bash', ...command]);
  // TCP tries for 127 s.
  const ended = await Promise.race([child.exited, delay(90_000, undefined, { ref: false })]);
  t.deepEqual(ended, { code: 4, signal: null }, child.output);
  t.regex(child.output, /192\.0\.2\.2:7400 did not answer/);
});
