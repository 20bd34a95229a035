import { rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Etcd3, type IOptions } from 'etcd3';
import { freeTcpPorts } from './ports.js';
import { type Scope, startProcess, type TestProcess } from './process.js';
import { findProgram } from './program.js';

export interface TestEtcd {
  /** host:port */
  readonly endpoint: string;
}

/** One member of a real etcd cluster, with ways to make it fail. */
export interface RealEtcd extends TestEtcd {
  readonly pid: number;
  readonly dataDirectory: string;
  /** As which it is known to the others. */
  readonly member: { readonly name: string; readonly peerUrl: string };
  /** Everything it has logged since its last start. */
  readonly output: string;
  /** SIGKILL, like a power cut. */
  kill(): Promise<void>;
  /** A graceful stop. */
  stop(): Promise<void>;
  /**
   * Starts it again on the same ports and data, and kills it first if it still runs.
   * @param moreArgs for this start
   */
  restart(moreArgs?: readonly string[]): Promise<void>;
  /** Freezes it: connections stay open and nothing answers. */
  pause(): Promise<void>;
  resume(): void;
  /** Resolves when it answers and has a leader. After another member has failed, an election takes seconds. */
  healthy(): Promise<void>;
}

interface Member {
  readonly name: string;
  readonly clientPort: number;
  readonly peerPort: number;
  /** Where the other members dial it. */
  readonly peerUrl: string;
}

/** A network between the members. */
export interface PeerNetwork {
  /** @returns host:port where the others are to dial this member, which listens at `address` */
  front(member: number, address: string): Promise<string>;
  /** Called when a member has been started as this process. */
  started(member: number, pid: number): void;
}

const removal = { recursive: true, force: true, maxRetries: 5 };

const url = (port: number): string => `http://127.0.0.1:${port}`;

export async function startRealEtcd(
  scope: Scope,
  extraArgs: readonly string[] = [],
  program = findProgram('etcd'),
): Promise<RealEtcd> {
  const [only] = await startRealEtcdCluster(scope, 1, extraArgs, undefined, program);
  if (!only) {
    throw new Error('no etcd was started');
  }
  return only;
}

/** A cluster of real etcd members on free loopback ports. Its data directory is removed when the scope ends. */
export async function startRealEtcdCluster(
  scope: Scope,
  size: number,
  extraArgs: readonly string[] = [],
  peers?: PeerNetwork,
  program = findProgram('etcd'),
): Promise<RealEtcd[]> {
  if (!program) {
    throw new Error('etcd is not installed: register such tests with testWith([etcd], …)');
  }
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-etcd-'));
  // Teardowns run in reverse order: the processes end before their directory is removed.
  const remove = () => rmSync(directory, removal);
  process.once('exit', remove); // teardowns do not run after a crash
  scope.teardown(async () => {
    await rm(directory, removal);
    process.off('exit', remove);
  });
  const ports = await freeTcpPorts(2 * size);
  const members = await Promise.all(
    Array.from({ length: size }, async (_, index): Promise<Member> => {
      const [clientPort = 0, peerPort = 0] = ports.slice(2 * index);
      const address = `127.0.0.1:${peerPort}`;
      const peerUrl = `http://${(await peers?.front(index, address)) ?? address}`;
      return { name: `etcd${index}`, clientPort, peerPort, peerUrl };
    }),
  );
  const cluster = members.map(({ name, peerUrl }) => `${name}=${peerUrl}`).join(',');
  return await Promise.all(
    members.map((member, index) =>
      startMember(scope, program, directory, cluster, member, extraArgs, (pid) => peers?.started(index, pid)),
    ),
  );
}

async function startMember(
  scope: Scope,
  program: string,
  directory: string,
  cluster: string,
  { name, clientPort, peerPort, peerUrl }: Member,
  extraArgs: readonly string[],
  onStart: (pid: number) => void,
): Promise<RealEtcd> {
  const dataDirectory = join(directory, name);
  const args = [
    ...['--name', name, '--data-dir', dataDirectory, '--initial-cluster', cluster],
    ...['--listen-client-urls', url(clientPort), '--advertise-client-urls', url(clientPort)],
    ...['--listen-peer-urls', url(peerPort), '--initial-advertise-peer-urls', peerUrl],
    ...extraArgs,
  ];
  let child: TestProcess;
  const healthy = () => child.waitUntil(() => isHealthy(clientPort), 'healthy answer');
  const start = async (moreArgs: readonly string[] = []) => {
    child = await startProcess(scope, program, [...args, ...moreArgs]);
    onStart(child.pid);
    await healthy();
  };
  await start();
  return {
    endpoint: `127.0.0.1:${clientPort}`,
    dataDirectory,
    member: { name, peerUrl },
    get pid() {
      return child.pid;
    },
    get output() {
      return child.output;
    },
    async kill() {
      await child.kill();
    },
    async stop() {
      await child.stop();
    },
    async restart(moreArgs) {
      await child.kill();
      await start(moreArgs);
    },
    pause: () => child.pause(),
    resume: () => child.resume(),
    healthy,
  };
}

/** The leader of the cluster. */
export async function leaderOf(scope: Scope, members: readonly RealEtcd[]): Promise<RealEtcd> {
  const statuses = await Promise.all(
    members.map(({ endpoint }) => connect(scope, endpoint).maintenance.status()),
  );
  const leader = members.find((_, i) => statuses[i]?.leader === statuses[i]?.header.member_id);
  if (!leader) {
    throw new Error('the cluster has no leader');
  }
  return leader;
}

/** etcd is healthy when a proposal succeeds, which takes a leader. */
async function isHealthy(port: number): Promise<boolean> {
  const reply = await fetch(`${url(port)}/health`, { signal: AbortSignal.timeout(5000) });
  const { health } = (await reply.json()) as { health: string };
  return health === 'true';
}

/** A client without fault handling: the test sees exactly what the server answers. */
export function connect(scope: Scope, endpoint: string, options: Partial<IOptions> = {}): Etcd3 {
  const noop = { execute: async <T>(task: (context: never) => T) => task(undefined as never) };
  const client = new Etcd3({
    hosts: endpoint,
    faultHandling: { global: noop as never, host: () => noop as never },
    defaultCallOptions: (context) => (context.isStream ? {} : { deadline: Date.now() + 10_000 }),
    ...options,
  });
  scope.teardown(() => client.close());
  return client;
}
