import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { configuredConnection } from '../services/etcd/configured-connection.js';
import { MemberFollower } from '../services/etcd/member-follower.js';
import { OutageLog } from '../services/etcd/outage-log.js';
import { waitForEtcd } from '../services/etcd/wait-for-etcd.js';
import { Keyspace } from '../services/registry/keyspace.js';
import { readBootId } from '../services/runtime/boot-id.js';
import { reportBuild } from '../services/runtime/build-metric.js';
import { reportCertificates } from '../services/runtime/certificate-metric.js';
import { type Clock, systemClock } from '../services/runtime/clock.js';
import { unknownVariables } from '../services/runtime/config.js';
import { ConfigError } from '../services/runtime/config-error.js';
import { HttpServer } from '../services/runtime/http-server.js';
import { type Component, runUntilSignal } from '../services/runtime/lifecycle.js';
import { type Logger, openLog } from '../services/runtime/log.js';
import { processIdentity } from '../services/runtime/process-identity.js';
import { etcdTls, type TlsFiles } from '../services/runtime/tls-files.js';
import { Agent } from './agent.js';
import { type MediaSetting, type RelayNodeConfig, readRelayNodeConfig, relayNodeSettings } from './config.js';
import { Engine } from './engine/engine.js';
import { executableProblem } from './engine/executable.js';
import { reportMedia } from './media/metrics.js';
import { BuiltinRelay } from './relays/builtin.js';
import { OwnedRelay } from './relays/owned.js';
import type { RelayDriver } from './relays/relay.js';
import { RtpengineDriver } from './relays/rtpengine.js';
import { RtpproxyDriver } from './relays/rtpproxy.js';

/** Runs one relay node until it is told to stop. @returns the exit code @throws ConfigError */
export async function runRelayNode(environment: NodeJS.ProcessEnv): Promise<number> {
  const config = readRelayNodeConfig(environment);
  const { log, close } = openLog('relay-node', config.logLevel);
  for (const name of unknownVariables(relayNodeSettings, environment)) {
    log.warn({ variable: name }, 'not a setting of this process; ignored');
  }
  const drainDeadlineMs = config.drainDeadlineSeconds * 1000;
  // What comes after the drain is quick, but etcd may be slow to hear of it.
  const stopDeadlineMs = drainDeadlineMs + 10_000;
  return runUntilSignal(relayNode(config, environment, log), { log, stopDeadlineMs }).finally(close);
}

/** Builds the parts and connects them. */
function relayNode(config: RelayNodeConfig, environment: NodeJS.ProcessEnv, log: Logger): Component {
  const clock = systemClock;
  const certificates = etcdTls(config, { clock, log });
  const connection = configuredConnection(config, certificates);
  const follower = new MemberFollower({ connection, clock, log });
  const keys = new Keyspace(config.etcdPrefix);
  const { id, set, weight, zone, labels, media } = config;
  const capacity = capacityOf(config);
  const relay = driverFor(config, { environment, clock, log });
  const agent = new Agent({
    relay,
    identity: { id, set, weight, capacity, zone, labels, mediaAddresses: byName(media) },
    features: config.features.length > 0 ? config.features : undefined,
    connection,
    keys,
    clock,
    log,
    outages: new OutageLog(clock, log.child({ relay: id, set })),
    drainDeadlineMs: config.drainDeadlineSeconds * 1000,
    bootId: readBootId(),
    node: processIdentity(),
  });
  const http = new HttpServer({
    listen: config.httpListen,
    clock,
    log,
    metrics: metricsOf(agent, relay, certificates),
    notReady: () => agent.notReady,
  });
  const stopping = new AbortController();
  const end = async (agentEnds: () => Promise<void>) => {
    stopping.abort();
    await agentEnds();
    await http.stop();
    await follower.stop();
    connection.close();
    certificates?.stop();
  };
  return {
    start: async () => {
      await certificates?.start();
      await http.start();
      follower.start();
      await agent.start();
      log.info({ http: http.address }, 'started');
      await waitForEtcd({ connection, clock, log }, keys.instance(set, id), stopping.signal);
    },
    stop: () => end(() => agent.stop()),
    handOver: () => end(() => agent.handOver()),
  };
}

export interface DriverDeps {
  /** What a program that the node runs gets of it. */
  readonly environment: NodeJS.ProcessEnv;
  readonly clock: Clock;
  readonly log: Logger;
}

/** @throws ConfigError if the program that it is to run cannot be run */
export function driverFor(config: RelayNodeConfig, deps: DriverDeps): RelayDriver {
  const relay = relayFor(config, deps);
  const { run: command } = config;
  if (!command) {
    return relay;
  }
  const problem = executableProblem(command[0], deps.environment['PATH']);
  if (problem) {
    throw new ConfigError([`${relayNodeSettings.run.name}: ${problem}`]);
  }
  return new OwnedRelay(relay, new Engine({ ...deps, command }));
}

function relayFor(config: RelayNodeConfig, { clock, log }: DriverDeps): RelayDriver {
  const { control, advertise, portMin, portMax } = config;
  if (config.kind === 'rtpproxy') {
    return new RtpproxyDriver({ control, advertise, clock, log });
  }
  if (control.transport !== 'udp') {
    throw new Error(`a relay of kind ${config.kind} is controlled over UDP`);
  }
  const { address } = control;
  if (config.kind === 'rtpengine') {
    return new RtpengineDriver({ control: address, advertise, clock, log });
  }
  return new BuiltinRelay({
    ngListen: address,
    rtpproxyListen: config.rtpproxyListen,
    advertise,
    interfaces: config.media,
    portMin,
    portMax,
    forwarding: config.forwarding,
    dscp: config.dscp,
    dtmfLog: config.dtmfLog,
    webhook: config.webhook,
    stateDirectory: config.stateDirectory,
    promptDirectory: config.promptDirectory,
    recordingDirectory: config.recordingDirectory,
    recordingFormat: config.recordingFormat,
    table: `holdfast.${config.set}.${config.id}`,
    maxSessions: capacityOf(config),
    idleTimeoutMs: config.idleTimeoutSeconds * 1000,
    holdTimeoutMs: config.holdTimeoutSeconds * 1000,
    answerTimeoutMs: config.setupTimeoutSeconds * 1000,
    deleteDelayMs: config.deleteDelaySeconds * 1000,
    clock,
    log,
  });
}

function reportNotices(registry: Registry, relay: BuiltinRelay): void {
  new Counter({
    name: 'holdfast_relay_notices_total',
    help: 'Notices of keys and timeouts, by who is told, and by what became of them',
    registers: [registry],
    labelNames: ['to', 'result'],
    collect() {
      this.reset();
      for (const [to, counters] of Object.entries(relay.noticeCounters)) {
        for (const [result, notices] of Object.entries(counters)) {
          this.inc({ to, result }, notices);
        }
      }
    },
  });
}

function reportEngine(registry: Registry, { engine }: OwnedRelay): void {
  new Counter({
    name: 'holdfast_relay_engine_starts_total',
    help: 'How often the node has started the program of its relay',
    registers: [registry],
    collect() {
      this.reset();
      this.inc(engine.starts);
    },
  });
}

/** As parties are told them, the first of each name. */
function byName(interfaces: readonly MediaSetting[]): Record<string, string> {
  return Object.fromEntries(interfaces.toReversed().map(({ name, advertised }) => [name, advertised]));
}

/**
 * A built-in relay that was given no limit has this one: it shares its process with the lease's keepalive, and forwards
 * about 100 packets/s for each call.
 */
const builtinCapacity = 500;

function capacityOf({ kind, capacity }: RelayNodeConfig): number {
  return kind === 'builtin' && capacity === 0 ? builtinCapacity : capacity;
}

function metricsOf(agent: Agent, relay: RelayDriver, certificates: TlsFiles | undefined): Registry {
  const registry = new Registry();
  if (relay instanceof BuiltinRelay) {
    reportMedia(registry, relay.media);
    reportNotices(registry, relay);
  }
  if (relay instanceof OwnedRelay) {
    reportEngine(registry, relay);
  }
  reportCertificates(registry, { etcd: certificates });
  collectDefaultMetrics({ register: registry });
  reportBuild(registry);
  new Gauge({
    name: 'holdfast_relay_calls',
    help: 'Concurrent calls, as the relay reports them',
    registers: [registry],
    collect() {
      this.set(agent.calls ?? 0);
    },
  });
  new Gauge({
    name: 'holdfast_relay_ready',
    help: '1 while the relay answers and is registered',
    registers: [registry],
    collect() {
      this.set(agent.notReady === undefined ? 1 : 0);
    },
  });
  new Gauge({
    name: 'holdfast_relay_report_age_seconds',
    help: 'Age of the last report of the load that is in etcd',
    registers: [registry],
    collect() {
      this.set(agent.reportAgeSeconds);
    },
  });
  return registry;
}
