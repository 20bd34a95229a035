import type { ExecutionContext } from 'ava';
import type { Sipp } from '../support/sipp.js';
import type { Scene } from './gateway-scene.js';

/**
 * The relay of the addresses that both phones got with this request and its response, by Call-ID; if they got different
 * relays, both, joined by a plus sign.
 */
export function relaysTold(scene: Scene, caller: Sipp, request: 'INVITE' | 're-INVITE'): Map<string, string> {
  const atCallee = scene.callee.noted(request);
  const told = [...caller.noted(request)].map(([callId, { address }]): [string, string] => {
    const both = new Set(
      [address, atCallee.get(callId)?.address ?? 'none'].map((each) => scene.relayAt(each)),
    );
    return [callId, [...both].join('+')];
  });
  return new Map(told.sort(([one], [other]) => one.localeCompare(other)));
}

/** How often each value occurs, as text. */
export function tally(values: Iterable<string>): string {
  const counts = new Map<string, number>();
  for (const value of values) {
    counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  return [...counts]
    .sort(([one], [other]) => one.localeCompare(other))
    .map(([value, count]) => `${value} ${count}`)
    .join(', ');
}

/** Waits for all calls to end; none must fail. @returns the slowest response, ms */
export async function allSucceed(
  t: ExecutionContext,
  scene: Scene,
  caller: Sipp,
  calls: number,
): Promise<number> {
  const { succeeded, failed, retransmissions, errors } = await caller.ended();
  const times = await caller.responseTimes();
  const slowest = [...times].map(([name, all]): [string, number] => [name, Math.max(...all)]);
  t.log(`${succeeded} calls succeeded, ${failed} failed, ${retransmissions} SIP retransmissions`);
  t.log(`slowest answers: ${slowest.map(([name, timeMs]) => `${name} ${timeMs} ms`).join(', ')}`);
  if (failed > 0) {
    for (const reason of scene.warnings().slice(0, 20)) {
      t.log(reason);
    }
  }
  t.is(failed, 0, errors.slice(0, 5000));
  t.is(succeeded, calls);
  return Math.max(...slowest.map(([, timeMs]) => timeMs));
}
