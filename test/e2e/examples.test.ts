import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { HoldfastClient } from '../../services/client/index.js';
import { scratchDirectory } from '../package/scratch.js';
import { startEmbeddedEtcd } from '../support/etcd.js';
import { exampleFiles } from '../support/kamailio.js';
import { audioSdp, newCall, ProxyClient } from '../support/ng.js';
import { freeTcpPorts, freeUdpBlock, freeUdpPort } from '../support/ports.js';
import { startProcess } from '../support/process.js';
import { eventually } from '../support/registry.js';
import { testWith } from '../support/requirement.js';
import { logged, startHoldfast, startReplica } from '../support/stack.js';

/** The examples that no other test runs: kamailio.cfg is that of the calls over SIP, and kemi that of kemi.test.ts. */

testWith(
  ['rtpengine'],
  'rtpengine.conf: a relay that carries calls and whose log has no line for a ping',
  async (t) => {
    const directory = await scratchDirectory(t);
    const [port, media] = [await freeUdpPort(), await freeUdpBlock(60)];
    const example = await readFile(join(exampleFiles, 'rtpengine.conf'), 'utf8');
    const file = join(directory, 'rtpengine.conf');
    await writeFile(
      file,
      example
        .replaceAll('192.0.2.11', '127.0.0.1')
        .replace('127.0.0.1:2223\n', `127.0.0.1:${port}\n`)
        .replace('port-min = 30000', `port-min = ${media}`)
        .replace('port-max = 39999', `port-max = ${media + 59}`),
    );
    const rtpengine = await startProcess(t, 'rtpengine', [
      ...['--config-file', file, '--foreground', '--log-stderr', `--pidfile=${join(directory, 'pid')}`],
    ]);
    const { endpoint } = await startEmbeddedEtcd(t);
    const { client } = await startReplica(t, endpoint);
    const node = await startHoldfast(t, ['relay-node'], {
      HOLDFAST_ETCD: endpoint,
      HOLDFAST_RELAY_ID: 'media-1',
      HOLDFAST_RELAY_KIND: 'rtpengine',
      HOLDFAST_RELAY_CONTROL: `127.0.0.1:${port}`,
    });
    await logged(node, 'registered');
    const proxy = new ProxyClient('127.0.0.1', port);
    await proxy.start();
    t.teardown(() => proxy.stop());
    const call = newCall();
    t.is((await proxy.offer(call, audioSdp({ address: '127.0.0.1', port: 20_000 })))['result'], 'ok');
    await eventually(
      async () => (await client.listRelays()).relays[0]?.load?.calls === 1,
      'the call in a report',
    );
    // Eight pings and two statistics, at the least: time is what this is about.
    await delay(2000);
    t.deepEqual(
      rtpengine.output.split('\n').filter((line) => /\b(ping|statistics|list)\b/.test(line)),
      [],
    );
  },
);

/** The commands of compose.yaml by service, as the containers run them. */
async function composed(): Promise<Record<string, string[]>> {
  const text = await readFile(join(exampleFiles, 'compose.yaml'), 'utf8');
  const found = text.matchAll(/^ {2}([\w-]+):\n(?: {4}.*\n)*? {4}command: (\[.*\])$/gm);
  return Object.fromEntries(
    [...found].map(([, name = '', command = '']) => [name, JSON.parse(command) as string[]]),
  );
}

testWith(
  ['etcd'],
  'compose.yaml: its commands, on other ports, serve a call from one gateway to the other',
  async (t) => {
    const commands = await composed();
    t.deepEqual(Object.keys(commands), ['etcd', 'selection-1', 'selection-2', 'relay-1']);
    const [etcd, peers, grpc1, grpc2, http1, http2, http3] = await freeTcpPorts(7);
    const [ng1, ng2, relay] = [await freeUdpPort(), await freeUdpPort(), await freeUdpPort()];
    const media = await freeUdpBlock(40);
    const ports: Record<string, string | number | undefined> = {
      '127.0.0.1:2379': `127.0.0.1:${etcd}`,
      '/etcd-data': await scratchDirectory(t),
      '127.0.0.1:2380': `127.0.0.1:${peers}`,
      '127.0.0.1:7400': `127.0.0.1:${grpc1}`,
      '127.0.0.1:7401': `127.0.0.1:${grpc2}`,
      '127.0.0.1:7480': `127.0.0.1:${http1}`,
      '127.0.0.1:7481': `127.0.0.1:${http2}`,
      '127.0.0.1:7482': `127.0.0.1:${http3}`,
      '127.0.0.1:2223': `127.0.0.1:${ng1}`,
      '127.0.0.1:2224': `127.0.0.1:${ng2}`,
      '127.0.0.1:2225': `127.0.0.1:${relay}`,
      '30000': media,
      '30999': media + 39,
    };
    const argumentsOf = (service: string) =>
      (commands[service] ?? []).map((word) =>
        Object.entries(ports).reduce((text, [from, to]) => text.replace(from, `${to}`), word),
      );
    const [program = '', ...args] = argumentsOf('etcd');
    await startProcess(t, program, args);
    for (const service of ['selection-1', 'selection-2', 'relay-1']) {
      const child = await startHoldfast(t, argumentsOf(service));
      await logged(child, service === 'relay-1' ? 'registered' : 'ready');
    }
    const client = new HoldfastClient([`127.0.0.1:${grpc1}`, `127.0.0.1:${grpc2}`]);
    t.teardown(() => client.close());
    await eventually(async () => (await client.listRelays()).relays.length === 1, 'the relay');
    const gateways = [new ProxyClient('127.0.0.1', ng1), new ProxyClient('127.0.0.1', ng2)] as const;
    for (const gateway of gateways) {
      await gateway.start();
      t.teardown(() => gateway.stop());
    }
    const call = newCall();
    const [one, other] = gateways;
    t.is((await one.offer(call, audioSdp({ address: '127.0.0.1', port: 20_000 })))['result'], 'ok');
    t.is((await other.answer(call, audioSdp({ address: '127.0.0.1', port: 20_002 })))['result'], 'ok');
    t.is((await client.lookup({ callId: call.callId })).binding?.relay?.id, 'media-1');
  },
);
