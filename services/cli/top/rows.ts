import { causeText } from '../../domain/cause.js';
import {
  effectiveState,
  effectiveWeight,
  hasEffect,
  isFull,
  type RegisteredRelay,
  relayKey,
} from '../../domain/relay.js';
import type { ShownState } from '../../page/state.js';
import { timeOfDay } from '../output.js';

/** A relay as one line of a screen, registered or gone. */
export interface Row {
  readonly set: string;
  readonly id: string;
  readonly zone: string;
  readonly kind: string;
  /** `active`, `draining`, `disabled`, `full` or `gone`. */
  readonly word: string;
  readonly calls: number | undefined;
  readonly capacity: number;
  /** Of the calls of its set, and of the weight of those that take calls: 0-1. */
  readonly share: number | undefined;
  readonly weightShare: number;
  readonly newPerSecond: number;
  readonly pingMs: number | undefined;
  readonly packetRate: number | undefined;
  /** `kernel`, `user space`, or what the kernel has of them. */
  readonly path: string;
  readonly reportAgeSeconds: number | undefined;
  /** Who wants it so, or since when it is gone. */
  readonly why: string;
}

/** A relay node reports at least every 5 s. */
const overdueSeconds = 15;

/** Something to look at. */
export function isTrouble({ word, reportAgeSeconds = 0 }: Row): boolean {
  return word !== 'active' || reportAgeSeconds > overdueSeconds;
}

/** All that are registered or gone; in no order. */
export function rowsOf(state: ShownState): Row[] {
  const relays = state.relays();
  const { newByRelay } = state.traffic();
  const sums = new Map<string, { calls: number; weight: number }>();
  for (const relay of relays) {
    const sum = sums.get(relay.relay.set) ?? { calls: 0, weight: 0 };
    sum.calls += relay.load?.calls ?? 0;
    sum.weight += takesCalls(relay) ? effectiveWeight(relay) : 0;
    sums.set(relay.relay.set, sum);
  }
  const nowMs = state.clock.monotonicMs();
  const registered = relays.map((each): Row => {
    const { relay, load, intent, loadHeardAtMs } = each;
    const { calls, weight } = sums.get(relay.set) ?? { calls: 0, weight: 0 };
    const word = effectiveState(each) === 'active' && isFull(each) ? 'full' : effectiveState(each);
    return {
      ...identity(each),
      word,
      calls: load?.calls,
      share: calls > 0 ? (load?.calls ?? 0) / calls : undefined,
      weightShare: weight > 0 && takesCalls(each) ? effectiveWeight(each) / weight : 0,
      newPerSecond: newByRelay.get(relayKey(relay.set, relay.id)) ?? 0,
      pingMs: load?.pingMs,
      packetRate: load?.packetRate,
      path: pathOf(each),
      reportAgeSeconds: loadHeardAtMs === undefined ? undefined : Math.round((nowMs - loadHeardAtMs) / 1000),
      why: intent && hasEffect(intent) ? causeText(intent.reason, intent.actor) : '',
    };
  });
  const gone = state.gone().map(
    (each): Row => ({
      ...identity(each),
      word: 'gone',
      calls: undefined,
      share: undefined,
      weightShare: 0,
      newPerSecond: 0,
      pingMs: undefined,
      packetRate: undefined,
      path: '',
      reportAgeSeconds: undefined,
      why: `${timeOfDay(new Date(each.atMs))}: ${each.reason}`,
    }),
  );
  return [...registered, ...gone];
}

function identity({ relay: { set, id, zone, kind, capacity } }: RegisteredRelay) {
  return { set, id, zone, kind, capacity };
}

const takesCalls = (relay: RegisteredRelay) => effectiveState(relay) === 'active';

function pathOf({ load }: RegisteredRelay): string {
  if (!load?.packetRate || load.kernelPacketRate === undefined) {
    return '';
  }
  const percent = Math.round((100 * load.kernelPacketRate) / load.packetRate);
  return percent === 0 ? 'user space' : percent === 100 ? 'kernel' : `kernel ${percent} %`;
}
