import type { ExecutionContext } from 'ava';
import { eventually } from '../support/registry.js';
import type { Phone } from './calls-phones.js';
import type { CallsStage, Way } from './calls-stage.js';
import { carried, carriedInAll } from './gateway-census.js';
import type { TestRelay } from './gateway-relays.js';

/** What became of the calls, by the name of what was counted. */
export type Counts = Readonly<Record<string, number>>;

/** Plays the same calls through the gateway and without it, and prints what became of them on one line. */
export async function beside(
  t: ExecutionContext,
  title: string,
  play: (way: Way) => Promise<Counts>,
): Promise<Record<Way, Counts>> {
  const [gateway, direct] = await Promise.all([play('gateway'), play('direct')]);
  print(t, title, { gateway, direct });
  return { gateway, direct };
}

/** The same, one after the other: where a relay that both use is made to fail. */
export async function inTurn(
  t: ExecutionContext,
  title: string,
  play: (way: Way) => Promise<Counts>,
): Promise<Record<Way, Counts>> {
  const counts = { gateway: await play('gateway'), direct: await play('direct') };
  print(t, title, counts);
  return counts;
}

function print(t: ExecutionContext, title: string, { gateway, direct }: Record<Way, Counts>): void {
  t.log(`${title}: gateway: ${text(gateway)}; direct: ${text(direct)}`);
}

export const text = (counts: Counts): string =>
  Object.entries(counts)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');

/** The relays that carry each call, joined by plus signs. */
export async function carriers(relays: readonly TestRelay[]): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const [id, callIds] of await carried(relays)) {
    for (const callId of callIds) {
      const others = found.get(callId);
      found.set(callId, others === undefined ? id : `${others}+${id}`);
    }
  }
  return found;
}

/**
 * Calls of which each party was told one relay at all these notes, and which these relays carry, and no others. Of rtpproxies
 * it shows only in what was told.
 * @param most relays of a call: one for each proxy
 */
export async function onTheirRelay(
  stage: CallsStage,
  parties: readonly Phone[],
  notes: readonly string[],
  most = 1,
): Promise<number> {
  const carrying = await carriers(stage.relays);
  const told = parties.map(({ sipp }) => notes.map((note) => sipp.noted(note)));
  const isKept = (callId: string): boolean => {
    const ofParties = told.map((noted) => [
      ...new Set(noted.map((calls) => stage.relayAt(calls.get(callId)?.address ?? 'not told'))),
    ]);
    const relays = [...new Set(ofParties.flat())].sort();
    const isKnown = relays.every((id) => stage.relays.some((each) => each.id === id));
    const stayed = isKnown && ofParties.every(({ length }) => length === 1) && relays.length <= most;
    const listing = relays.filter((id) => stage.relays.some((each) => each.id === id && lists(each)));
    return stayed && listing.join('+') === (carrying.get(callId) ?? '');
  };
  return (parties[0]?.callIds ?? []).filter(isKept).length;
}

/** Of these calls, how many a relay still carries after a while. On rtpproxies it is all that they have: no others may go on. */
export async function left(stage: CallsStage, callIds: Iterable<string>, timeoutMs = 3000): Promise<number> {
  const ended = [...callIds];
  const still = async () => {
    const carrying = await carriers(stage.relays);
    const others = stage.relays.filter((relay) => !lists(relay));
    return ended.filter((callId) => carrying.has(callId)).length + (await carriedInAll(others));
  };
  await eventually(async () => (await still()) === 0, 'end of the calls', timeoutMs).catch(() => undefined);
  return await still();
}

const lists = ({ kind }: TestRelay): boolean => kind !== 'rtpproxy';
