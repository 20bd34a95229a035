import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ProtocolName } from '../../../services/control/protocol.js';
import type { RelayKind } from '../../../services/domain/relay.js';
import { Kamailio, kamailioFiles } from '../../support/kamailio.js';
import { freeUdpBlock, freeUdpPort } from '../../support/ports.js';
import type { Scope } from '../../support/process.js';
import { startRtpengine } from '../../support/rtpengine.js';
import { rtpproxyPrograms, startRtpproxy } from '../../support/rtpproxy.js';
import { Sipp } from '../../support/sipp.js';
import type { BenchCase, Context, Row } from '../bench-case.js';
import { inTurn } from '../rounds.js';
import { startEtcd } from '../stage/etcd.js';
import { requireProgram } from '../stage/program.js';
import { RegisteredRelays } from '../stage/relays.js';
import { startReplica } from '../stage/replica.js';
import { quantile } from '../statistics.js';

const callsPerSecond = 100;
const pauseMs = 250;
/** Four ports per call; a call lasts a little longer than its pauses. */
const mediaPorts = 1000;

/** A relay, and what its protocol takes. */
interface Relayed {
  readonly kind: RelayKind;
  readonly programs: readonly string[];
  /** @returns its control port */
  start(scope: Scope): Promise<number>;
  /** What tells the proxy where its relay, or the gateway, is. */
  defines(port: number): Record<string, string | undefined>;
}

const relayed: Readonly<Record<ProtocolName, Relayed>> = {
  ng: {
    kind: 'rtpengine',
    programs: ['rtpengine'],
    async start(scope) {
      const portMin = await freeUdpBlock(mediaPorts);
      const ports = [`--port-min=${portMin}`, `--port-max=${portMin + mediaPorts - 1}`];
      return (await startRtpengine(scope, ports)).port;
    },
    defines: (port) => ({ NG_SOCK: `"udp:127.0.0.1:${port}"` }),
  },
  rtpproxy: {
    kind: 'rtpproxy',
    programs: rtpproxyPrograms,
    start: async (scope) => (await startRtpproxy(scope, { address: '127.0.0.9' })).port,
    defines: (port) => ({ WITH_RTPPROXY: undefined, RTPPROXY_SOCK: `"udp:127.0.0.1:${port}"` }),
  },
};

export const sip: BenchCase = {
  name: 'sip',
  title: 'call setup through Kamailio: rtpengine directly, and behind the gateway',
  run: async (context) => ({ rows: await callSetUp(context, 'ng') }),
};

/** The same installation twice, except for one line: the address of the proxy's module. */
export async function callSetUp(context: Context, protocol: ProtocolName): Promise<Row[]> {
  const { programs, kind, start, defines } = relayed[protocol];
  for (const program of ['etcd', 'kamailio', 'kamcmd', 'sipp', ...programs]) {
    requireProgram(program);
  }
  const { scope, pick } = context;
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-bench-sip-'));
  scope.teardown(() => rm(directory, { recursive: true, force: true, maxRetries: 5 }));
  const etcd = await startEtcd(scope);
  const controlPort = await start(scope);
  await RegisteredRelays.register(scope, etcd, 1, { controlPort, kind });
  const replica = await startReplica(scope, etcd, { gateway: protocol });
  const direct = await startPhones(context, directory, 'direct', defines(controlPort));
  const behind = await startPhones(context, directory, 'gateway', defines(replica.gatewayPort));
  const calls = pick(1500, 60);
  const { baseline, candidate } = await inTurn(
    context,
    pick(7, 1),
    (round) => direct(`direct-${round}`, calls),
    (round) => behind(`gateway-${round}`, calls),
  );
  const name = protocol === 'ng' ? 'call set-up' : `${protocol} call set-up`;
  const row = (share: number): Row => ({
    name: `${name} at ${callsPerSecond} calls/s, p${share * 100}`,
    unit: 'ms',
    against: `Kamailio → ${kind} directly`,
    baseline: baseline.map((times) => quantile(times, share)),
    candidate: candidate.map((times) => quantile(times, share)),
    aims: [],
  });
  const added = (share: number): Row => ({
    name: `${name}, added by the gateway, p${share * 100}`,
    unit: 'ms',
    against: '',
    baseline: [],
    candidate: candidate.map(
      (times, round) => quantile(times, share) - quantile(baseline[round] ?? [], share),
    ),
    aims: share === 0.99 ? [{ of: 'candidate', most: 1 }] : [],
  });
  return [row(0.5), row(0.99), added(0.5), added(0.99)];
}

/** Starts a balancer, a proxy and a callee. @returns a function that makes calls and returns the durations of INVITEs, ms */
async function startPhones(
  { scope }: Context,
  directory: string,
  name: string,
  relay: Readonly<Record<string, string | undefined>>,
) {
  const [proxyPort, port] = [await freeUdpPort(), await freeUdpPort()];
  const list = join(directory, `${name}.list`);
  await writeFile(list, `1 sip:127.0.0.1:${proxyPort}\n`);
  const kamailio = (role: string, at: number, defines: Readonly<Record<string, string | undefined>>) =>
    Kamailio.start(scope, {
      name: `${role}-${name}`,
      directory,
      port: at,
      defines: { ...defines, WORKERS: '4' },
    });
  await kamailio('proxy', proxyPort, relay);
  await kamailio('balancer', port, { WITH_BALANCER: undefined, DISPATCHER_LIST: `"${list}"` });
  const to = { host: '127.0.0.1', port };
  const callee = await Sipp.start(scope, {
    name: `callee-${name}`,
    directory,
    scenario: join(kamailioFiles, 'callee.xml'),
    args: [],
  });
  const registration = await Sipp.start(scope, {
    name: `register-${name}`,
    directory,
    scenario: join(kamailioFiles, 'register.xml'),
    to,
    args: ['-s', 'callee', '-m', '1', '-key', 'contact', `127.0.0.1:${callee.port}`],
  });
  await registration.process.success();
  return async (callerName: string, calls: number): Promise<number[]> => {
    const trace = join(directory, `${callerName}.trace`);
    const caller = await Sipp.start(scope, {
      name: callerName,
      directory,
      scenario: join(kamailioFiles, 'caller.xml'),
      to,
      args: [
        ...['-s', 'callee', '-m', String(calls), '-r', String(callsPerSecond), '-l', String(calls)],
        ...['-cid_str', `${callerName}-%u`, '-d', String(pauseMs)],
        ...['-trace_shortmsg', '-shortmessage_file', trace],
      ],
    });
    const { succeeded, failed, errors } = await caller.ended(120_000);
    if (failed > 0 || succeeded !== calls) {
      throw new Error(`${failed} of ${calls} calls failed: ${errors}`);
    }
    return inviteTimes(await readFile(trace, 'utf8'));
  };
}

/**
 * From each call's first INVITE to its answer, ms. sipp's own response times have a resolution of several milliseconds; its
 * trace has microseconds. Its columns: date, time, seconds since 1970, S or R, Call-ID, CSeq, first line.
 */
function inviteTimes(trace: string): number[] {
  const sent = new Map<string, number>();
  const times = new Map<string, number>();
  for (const line of trace.split('\n')) {
    const [, , seconds, direction, callId = '', cseq, first = ''] = line.split('\t');
    if (cseq !== 'CSeq:1 INVITE') {
      continue;
    }
    const ms = Number(seconds) * 1000;
    if (direction === 'S' && first.startsWith('INVITE') && !sent.has(callId)) {
      sent.set(callId, ms);
    }
    const sentMs = sent.get(callId);
    if (direction === 'R' && first.startsWith('SIP/2.0 200') && sentMs !== undefined && !times.has(callId)) {
      times.set(callId, ms - sentMs);
    }
  }
  return [...times.values()];
}
