import { freeUdpBlock, freeUdpPort } from '../../support/ports.js';
import { type Scope, startProcess, type TestProcess } from '../../support/process.js';
import { holdfast } from '../../support/stack.js';
import type { Etcd } from './etcd.js';

const mediaPorts = 40;

/** An rtpengine with its relay node, as on the host of a relay. */
export interface RelayHost {
  readonly id: string;
  readonly rtpengine: TestProcess;
  readonly node: TestProcess;
}

export async function startRelayHost(
  scope: Scope,
  etcd: Etcd,
  id: string,
  rtpengineProgram: string,
): Promise<RelayHost> {
  const control = `127.0.0.1:${await freeUdpPort()}`;
  const portMin = await freeUdpBlock(mediaPorts);
  const rtpengine = await startProcess(scope, rtpengineProgram, [
    // The configuration file of the machine would add fixed TCP ports, which only one process can have.
    ...['--config-file=none', '--table=-1', '--foreground', '--log-stderr', '--log-level=5'],
    ...[`--listen-ng=${control}`, `--port-min=${portMin}`, `--port-max=${portMin + mediaPorts - 1}`],
    ...['--interface=127.0.0.1', '--num-threads=1'],
  ]);
  const node = await startProcess(scope, process.execPath, [holdfast, 'relay-node'], {
    env: {
      HOLDFAST_ETCD: etcd.endpoints,
      HOLDFAST_HTTP_LISTEN: '127.0.0.1:0',
      HOLDFAST_RELAY_ID: id,
      HOLDFAST_RELAY_KIND: 'rtpengine',
      HOLDFAST_RELAY_CONTROL: control,
      HOLDFAST_DRAIN_DEADLINE_SECONDS: '0',
    },
  });
  await node.waitForLine('registered');
  return { id, rtpengine, node };
}
