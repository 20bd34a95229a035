import test, { type ExecutionContext } from 'ava';
import type { MediaInterface } from '../../../relay-node/media/interfaces.js';
import { interfacesAt } from '../../support/media-interface.js';
import { ProxyClient } from '../../support/ng.js';
import { freeUdpBlock, freeUdpPort } from '../../support/ports.js';
import { startProcess } from '../../support/process.js';
import { findProgram } from '../../support/program.js';
import { testWith } from '../../support/requirement.js';
import { scene } from './builtin-scene.js';

const ports = 60;

/** A real rtpengine with these interfaces. */
async function rtpengine(t: ExecutionContext, interfaces: readonly MediaInterface[]): Promise<ProxyClient> {
  const [port, portMin] = [await freeUdpPort(), await freeUdpBlock(ports)];
  const args = [
    ...['--table=-1', `--listen-ng=127.0.0.1:${port}`, '--delete-delay=0'],
    ...interfaces.map(({ name, address, advertised }) => `--interface=${name}/${address}!${advertised}`),
    // The machine's own configuration file would add fixed TCP ports, which only one process can have.
    '--config-file=none',
    ...[`--port-min=${portMin}`, `--port-max=${portMin + ports - 1}`],
    ...['--foreground', '--log-stderr', '--log-level=3'],
  ];
  const daemon = await startProcess(t, findProgram('rtpengine') ?? 'rtpengine', args);
  const proxy = new ProxyClient('127.0.0.1', port);
  await proxy.start();
  t.teardown(() => proxy.stop());
  const ping = () => proxy.request({ command: 'ping' }, { timeoutMs: 500 });
  await daemon.waitUntil(async () => (await ping())['result'] === 'pong', 'a pong');
  return proxy;
}

export type Kind = 'built-in' | 'rtpengine';
type Body = (t: ExecutionContext, proxy: ProxyClient, kind: Kind) => Promise<void>;

/** The built-in relay and the real rtpengine are asked the same: a SIP proxy must not notice which one it has. */
export function suite(title: string, body: Body, interfaces = interfacesAt()): void {
  test(`built-in: ${title}`, async (t) => {
    const { proxy } = await scene(t, { interfaces, pairs: ports / 2 });
    await body(t, proxy, 'built-in');
  });
  testWith(['rtpengine'], `rtpengine: ${title}`, async (t) =>
    body(t, await rtpengine(t, interfaces), 'rtpengine'),
  );
}
