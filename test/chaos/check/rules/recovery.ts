import type { Evidence } from '../evidence.js';
import { type Violation, violation } from '../violation.js';

/** Leases, probes and connections that broke take their time, and a busy machine some more. */
export const recoveredByMs = 30_000;

/** Soon after the last fault every replica gets updates from etcd again and lists every relay, which is registered. */
export function checkRecovery({ run, healedMs, probes, registrations }: Evidence): Violation[] {
  if (healedMs === undefined) {
    return [];
  }
  const untilMs = healedMs + recoveredByMs;
  const say = (message: string) => violation('recovers', '', untilMs, message);
  const late = run.replicas.flatMap((replica) => {
    const own = probes.filter((probe) => probe.replica === replica && probe.atMs <= untilMs);
    const isWell = own.some(({ fresh, relays }) => fresh && run.relays.every((id) => relays.includes(id)));
    const last = own.at(-1);
    const state = last ? `${last.fresh ? 'fresh' : 'from memory'}: ${last.relays.join(', ')}` : 'nothing';
    return isWell ? [] : [say(`${replica} says ${state}, ${recoveredByMs / 1000} s after the last fault`)];
  });
  const gone = run.relays.flatMap((id) => {
    const states = registrations.get(`default/${id}`) ?? [];
    const isThere = states.some(
      ({ instance, afterMs }, i) =>
        instance !== undefined &&
        afterMs <= untilMs &&
        (states[i + 1]?.byMs ?? Number.POSITIVE_INFINITY) > healedMs,
    );
    return isThere ? [] : [say(`${id} is not registered`)];
  });
  return [...late, ...gone];
}
