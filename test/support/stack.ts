import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { HoldfastClient } from '../../services/client/index.js';
import { type Exit, type ProcessOptions, type Scope, startProcess, type TestProcess } from './process.js';
import type { Rtpengine } from './rtpengine.js';
import type { Rtpproxy } from './rtpproxy.js';

/** Holdfast's processes as operators start them: the compiled `holdfast` command with HOLDFAST_ variables. */
export const holdfast = fileURLToPath(new URL('../../services/cli/main.js', import.meta.url));
/** The flags of node in the first line of the command: processes of tests have the memory of those that users run. */
export const nodeArguments: readonly string[] =
  /^#!.* node (.*)$/m.exec(readFileSync(holdfast, 'utf8'))?.[1]?.split(' ') ?? [];

type Environment = Readonly<Record<string, string>>;

/** Two processes on one machine cannot both have the default port. */
const anyHttpPort = { HOLDFAST_HTTP_LISTEN: '127.0.0.1:0' };

/** What Node prints when an error that nobody has read ends it, and what our own code logs of its defects. */
const defects = [/^Node\.js v\d+/m, /"msg":"unexpected error"/, /"msg":"request failed"/];

/** Starts `holdfast ARGS`; it ends with the scope, which fails if the process had crashed, or logged a defect of its own. */
export async function startHoldfast(
  scope: Scope,
  args: readonly string[],
  env: Environment = {},
  options: ProcessOptions = {},
): Promise<TestProcess> {
  let started: TestProcess | undefined;
  // Before the start: what is to be done last is said first.
  scope.teardown(() => {
    const output = started?.output ?? '';
    if (defects.some((defect) => defect.test(output))) {
      throw new Error(`holdfast ${args.join(' ')} crashed, or has a defect; its output:\n${output}`);
    }
  });
  started = await startProcess(scope, process.execPath, [...nodeArguments, holdfast, ...args], {
    ...options,
    env: { ...anyHttpPort, ...env },
  });
  return started;
}

export interface Finished extends Exit {
  /** Standard output. */
  readonly stdout: string;
  /** Standard output and standard error in order of arrival. */
  readonly output: string;
}

/** Runs `holdfast ARGS` to its end. */
export async function runHoldfast(
  scope: Scope,
  args: readonly string[],
  env: Environment = {},
): Promise<Finished> {
  const child = await startHoldfast(scope, args, env);
  const exit = await child.exited;
  return { ...exit, stdout: child.stdout, output: child.output };
}

/** One line of a process's log. */
export type LogLine = Readonly<Record<string, unknown>> & { readonly level: number; readonly msg: string };

/** What a process has logged so far. It must not have printed anything else. */
export function logOf(child: TestProcess): LogLine[] {
  const lines = child.output.split('\n');
  // The last line may be incomplete.
  return lines.slice(0, -1).map((line) => JSON.parse(line) as LogLine);
}

/** Resolves with the first log line, past or future, that has this message. */
export async function logged(child: TestProcess, message: string, timeoutMs?: number): Promise<LogLine> {
  return JSON.parse(await child.waitForLine(`"msg":"${message}"`, timeoutMs)) as LogLine;
}

export interface ReplicaProcess {
  readonly process: TestProcess;
  readonly client: HoldfastClient;
  /** host:port */
  readonly grpc: string;
  readonly http: string;
}

/** Starts a replica of the selection service; resolves once it is ready. */
export async function startReplica(
  scope: Scope,
  etcd: string,
  env: Environment = {},
): Promise<ReplicaProcess> {
  const child = await startHoldfast(scope, ['selection'], {
    HOLDFAST_ETCD: etcd,
    HOLDFAST_GRPC_LISTEN: '127.0.0.1:0',
    ...env,
  });
  const { grpc, http } = await logged(child, 'ready');
  const client = new HoldfastClient(String(grpc), { attempts: 3, attemptTimeoutMs: 5000 });
  scope.teardown(() => client.close());
  return { process: child, client, grpc: String(grpc), http: String(http) };
}

export interface RelayNodeOptions {
  readonly id: string;
  readonly etcd: string;
  /** The relay that it registers; by default its relay is the built-in one. */
  readonly rtpengine?: Rtpengine;
  readonly rtpproxy?: Rtpproxy;
  readonly env?: Environment;
}

export interface RelayNodeProcess {
  readonly process: TestProcess;
  readonly http: string;
}

/** Starts a relay node; resolves once its relay is registered. */
export async function startRelayNode(
  scope: Scope,
  { id, etcd, rtpengine, rtpproxy, env = {} }: RelayNodeOptions,
): Promise<RelayNodeProcess> {
  const child = await startHoldfast(scope, ['relay-node'], {
    HOLDFAST_ETCD: etcd,
    HOLDFAST_RELAY_ID: id,
    HOLDFAST_RELAY_KIND: rtpengine ? 'rtpengine' : rtpproxy ? 'rtpproxy' : 'builtin',
    HOLDFAST_RELAY_CONTROL: `127.0.0.1:${(rtpengine ?? rtpproxy)?.port ?? 0}`,
    ...env,
  });
  const { http } = await logged(child, 'started');
  await logged(child, 'registered');
  return { process: child, http: String(http) };
}
