import type { ReplicaStatus, TrafficRates } from '../domain/status.js';
import { version } from '../runtime/version.js';
import { problemsOf } from './problems.js';
import type { ReplicaState } from './state.js';

/** How a replica is: what the page, `holdfast top` and `GetStatus` tell. */
export function statusOf(state: ReplicaState): ReplicaStatus {
  const problems = problemsOf(state);
  const relays = state.relays();
  const calls = relays.reduce((sum, { load }) => sum + (load?.calls ?? 0), 0);
  const [worst] = problems;
  const lost = state.etcd.lost();
  const traffic = state.traffic();
  return {
    atMs: state.clock.wallMs(),
    name: state.name(),
    version,
    level: worst?.level ?? 'ok',
    summary: worst
      ? `${worst.text}${problems.length > 1 ? ` (and ${problems.length - 1} more)` : ''}`
      : allWell(relays.length, calls, traffic),
    advice: worst?.advice,
    problems,
    relays: relays.length,
    calls,
    traffic,
    bindings: state.bindings(),
    etcd: {
      answers: lost === undefined,
      reason: lost?.message,
      lostForSeconds: lost && Math.round(state.etcd.lostForMs() / 1000),
      updates: state.etcd.isLive(),
    },
    replicas: state.replicas(),
  };
}

/** "All well: 12 relays, 3,412 calls, 41 new/s, p99 6 ms, etcd answers". */
export function allWell(
  relays: number,
  calls: number,
  { newPerSecond, p99Ms }: Pick<TrafficRates, 'newPerSecond' | 'p99Ms'>,
): string {
  const parts = [counted(relays, 'relay'), counted(calls, 'call'), `${short(newPerSecond)} new/s`];
  const latency = p99Ms === undefined ? [] : [`p99 ${short(p99Ms)} ms`];
  return `All well: ${[...parts, ...latency, 'etcd answers'].join(', ')}`;
}

const short = (number: number) =>
  number === 0 || number >= 10 ? Math.round(number).toLocaleString('en-US') : number.toFixed(1);

function counted(count: number, noun: string): string {
  return `${count.toLocaleString('en-US')} ${noun}${count === 1 ? '' : 's'}`;
}
