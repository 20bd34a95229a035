import { mkdirSync } from 'node:fs';
import type { ProtocolName } from '../../../services/control/protocol.js';
import { freeTcpPorts, freeUdpPort } from '../../support/ports.js';
import { type Scope, startProcess, type TestProcess } from '../../support/process.js';
import { holdfast, nodeArguments } from '../../support/stack.js';
import type { Etcd } from './etcd.js';
import { scrape } from './prometheus.js';

const hook = (measure: Measure) => new URL(`${measure}-hook.js`, import.meta.url).href;

/** Heap and buffers in use after a garbage collection, or what was allocated on the heap since the start. */
export type Measure = 'memory' | 'allocation';

export interface ReplicaOptions {
  /** Further HOLDFAST_ variables. */
  readonly settings?: Readonly<Record<string, string>>;
  /** The protocol of its gateway; by default it has none. */
  readonly gateway?: ProtocolName;
  /** What `usedBytes` tells; by default nothing. */
  readonly measures?: Measure;
  /** Arguments of node; by default those of the command. */
  readonly node?: readonly string[];
}

export interface Replica {
  readonly grpcPort: number;
  /** Of its gateway; 0 if it has none. */
  readonly gatewayPort: number;
  readonly pid: number;
  metrics(): Promise<ReadonlyMap<string, number>>;
  /** By what the replica `measures`. */
  usedBytes(): Promise<number>;
}

/** Directory for CPU profiles of replicas; undefined for none. */
let profiles: string | undefined;

export function profileReplicas(directory: string): void {
  mkdirSync(directory, { recursive: true });
  profiles = directory;
}

/** One replica in a separate process, with default settings. Resolves when it is ready. */
export async function startReplica(
  scope: Scope,
  etcd: Etcd,
  { settings = {}, gateway, measures, node = nodeArguments }: ReplicaOptions = {},
): Promise<Replica> {
  const [grpcPort = 0, httpPort = 0] = await freeTcpPorts(2);
  const gatewayPort = gateway ? await freeUdpPort() : 0;
  const child = await startProcess(
    scope,
    process.execPath,
    [
      ...node,
      ...(measures ? ['--expose-gc', '--import', hook(measures)] : []),
      ...(profiles ? ['--cpu-prof', `--cpu-prof-dir=${profiles}`] : []),
      holdfast,
      'selection',
    ],
    {
      env: {
        HOLDFAST_ETCD: etcd.endpoints,
        HOLDFAST_GRPC_LISTEN: `127.0.0.1:${grpcPort}`,
        HOLDFAST_HTTP_LISTEN: `127.0.0.1:${httpPort}`,
        // With a load that saturates the machine, 1 s would test the scheduler.
        HOLDFAST_ETCD_TIMEOUT_MS: '10000',
        ...(gateway ? gatewaySettings(gateway, gatewayPort) : {}),
        ...settings,
      },
    },
  );
  // A killed process leaves no profile.
  if (profiles) {
    scope.teardown(async () => void (await child.stop()));
  }
  const http = `http://127.0.0.1:${httpPort}`;
  await child.waitUntil(async () => (await fetch(`${http}/readyz`)).ok, 'readiness');
  return {
    grpcPort,
    gatewayPort,
    pid: child.pid,
    metrics: () => scrape(`${http}/metrics`),
    usedBytes: () => usedBytes(child),
  };
}

function gatewaySettings(protocol: ProtocolName, port: number): Record<string, string> {
  const name = `HOLDFAST_${protocol.toUpperCase()}`;
  return { [`${name}_LISTEN`]: `127.0.0.1:${port}`, [`${name}_RATE`]: '0' };
}

let asked = 0;

async function usedBytes(child: TestProcess): Promise<number> {
  const nth = ++asked;
  const before = countReports(child);
  process.kill(child.pid, 'SIGUSR2');
  await child.waitUntil(() => countReports(child) > before, `memory report ${nth}`, 60_000);
  const last = child.output.split('\n').findLast((line) => line.startsWith(reportStart)) ?? '';
  return Number(last.slice(reportStart.length));
}

const reportStart = 'bench-used-bytes ';

function countReports(child: TestProcess): number {
  return child.output.split('\n').filter((line) => line.startsWith(reportStart)).length;
}
