import { type HoldfastClient, Origin, RelayState, type SelectResponse } from '../../client/index.js';
import type { Child } from './child.js';
import type { Report } from './report.js';
import { hangUp, TestCall } from './test-call.js';

export interface ProofDeps {
  readonly a: HoldfastClient;
  readonly b: HoldfastClient;
  readonly relays: ReadonlyMap<string, Child>;
  /** Starts one more relay. */
  readonly join: (id: string) => Child;
  readonly report: Report;
}

const callCount = 1000;
const talkingCount = 6;
/** Requests in progress at once, as from a busy proxy. */
const concurrency = 64;
/** A killed relay is gone when its lease of 5 s has expired, which etcd notices a moment later. */
const leaveTimeoutMs = 12_000;

/** Shows with real calls that a call stays on its relay, and moves once when the relay dies. */
export async function prove({ a, b, relays, join, report }: ProofDeps): Promise<void> {
  const run = Math.random().toString(36).slice(2, 8);
  const callIds = Array.from({ length: callCount }, (_, i) => `proof-${run}-${i + 1}@holdfast.invalid`);

  report.heading(`${callCount} calls, selected through replica A (${a.targets})`);
  const startedAtMs = Date.now();
  const first = await selectAll(a, callIds);
  const tookMs = Date.now() - startedAtMs;
  const isNew = first.filter(({ origin }) => origin === Origin.NEW).length;
  report.line(isNew === callCount, `${isNew} new bindings in ${tookMs} ms: ${spread(first)}`);

  const talking = await openCalls(callIds, first);
  await talk(talking, first, report, 'heard at the other end, both ways');

  const newcomer = `relay-${relays.size + 1}`;
  report.heading(`${newcomer} joins, and relay-1 gets three times its weight`);
  const child = join(newcomer);
  const joined = await eventually([a, b], (list) => list.some(({ id }) => id === newcomer));
  report.line(joined, `both replicas list ${newcomer} (pid ${child.pid})`);
  await a.setIntent({ relayId: 'relay-1', state: RelayState.ACTIVE, weight: 300, reason: 'the proof' });
  const weighed = await eventually([a, b], (list) =>
    list.some(({ id, weight }) => id === 'relay-1' && weight === 300),
  );
  report.line(weighed, 'both replicas see relay-1 at weight 300');

  report.heading(`The same ${callCount} calls, selected again through replica B (${b.targets})`);
  const second = await selectAll(b, callIds);
  const kept = second.filter((answer, i) => sameTarget(answer, first[i])).length;
  report.line(kept === callCount, `kept ${kept}, moved ${callCount - kept}`);
  await talk(talking, second, report, 're-INVITEd through B: same media ports, still heard');

  const victim = String(first.find((_, i) => i === 0)?.binding?.relay?.id);
  const orphans = new Set(callIds.filter((_, i) => relayOf(second[i]) === victim));
  report.heading(`${victim} is killed with SIGKILL; it carries ${orphans.size} of the calls`);
  relays.get(victim)?.kill('SIGKILL');
  const killedAtMs = Date.now();
  const left = await eventually([a, b], (list) => list.every(({ id }) => id !== victim), leaveTimeoutMs);
  report.line(
    left,
    `both replicas know after ${((Date.now() - killedAtMs) / 1000).toFixed(1)} s (its lease lasts 5 s)`,
  );

  // Alternating, so that each replica must learn half of the moves from the other.
  const third = await selectAll((i) => (i % 2 === 0 ? a : b), callIds);
  const movedOnce = third.filter(
    (answer, i) => orphans.has(callIds[i] ?? '') && isMoved(answer, victim),
  ).length;
  const others = third.filter(
    (answer, i) => !orphans.has(callIds[i] ?? '') && sameTarget(answer, first[i]),
  ).length;
  report.line(
    movedOnce === orphans.size,
    `its calls moved once, to generation 2: ${movedOnce} of ${orphans.size}`,
  );
  report.line(
    others === callCount - orphans.size,
    `all others stayed: ${others} of ${callCount - orphans.size}`,
  );
  const again = await selectAll((i) => (i % 2 === 0 ? b : a), callIds);
  const agreed = again.filter((answer, i) => sameTarget(answer, third[i])).length;
  report.line(
    agreed === callCount,
    `each selected through the other replica: both agree on ${agreed} of ${callCount}`,
  );
  await talk(talking, again, report, 're-INVITEd: heard again, the orphans on their new relay');

  await closeCalls(talking, again);
  await a.setIntent({ relayId: 'relay-1', state: RelayState.ACTIVE, ownWeight: true });
}

interface Talking {
  readonly call: TestCall;
  readonly index: number;
  ports: string;
  relay: string;
}

/** Gives a few of the calls real parties: some on each relay. */
async function openCalls(callIds: readonly string[], answers: readonly SelectResponse[]): Promise<Talking[]> {
  const byRelay = new Map<string, number[]>();
  for (const [index, answer] of answers.entries()) {
    const name = relayOf(answer);
    byRelay.set(name, [...(byRelay.get(name) ?? []), index]);
  }
  const perRelay = Math.ceil(talkingCount / byRelay.size);
  const chosen = [...byRelay.values()].flatMap((indices) => indices.slice(0, perRelay));
  const talking = chosen.map((index) => ({
    call: new TestCall(callIds[index] ?? ''),
    index,
    ports: '',
    relay: '',
  }));
  await Promise.all(talking.map(({ call }) => call.open()));
  return talking;
}

/** Offer, answer and RTP for each of them, at the relay that the answers name. */
async function talk(
  talking: readonly Talking[],
  answers: readonly SelectResponse[],
  report: Report,
  what: string,
): Promise<void> {
  const problems: string[] = [];
  let packets = 0;
  for (const each of talking) {
    const relay = answers[each.index]?.binding?.relay;
    const ports = (await each.call.negotiate(relay?.controlUrl ?? '')).join('/');
    if (each.relay === relay?.id && each.ports !== ports) {
      problems.push(`${relay.id}: ports ${each.ports} became ${ports}`);
    }
    each.relay = relay?.id ?? '';
    each.ports = ports;
    const { sent, byCaller, byCallee } = await each.call.talk();
    packets += byCaller + byCallee;
    if (byCaller < sent || byCallee < sent) {
      problems.push(`${relay?.id}: heard ${byCaller} and ${byCallee} of ${sent}`);
    }
  }
  const names = [...new Set(talking.map(({ relay }) => relay))].sort().join(', ');
  report.line(
    problems.length === 0,
    `RTP of ${talking.length} calls on ${names} ${what} (${packets} packets)`,
  );
  for (const problem of problems) {
    report.note(problem);
  }
}

async function closeCalls(talking: readonly Talking[], answers: readonly SelectResponse[]): Promise<void> {
  for (const { call, index } of talking) {
    await hangUp(answers[index]?.binding?.relay?.controlUrl ?? '', call.callId);
    call.close();
  }
}

async function selectAll(
  replica: HoldfastClient | ((index: number) => HoldfastClient),
  callIds: readonly string[],
): Promise<SelectResponse[]> {
  const answers: SelectResponse[] = new Array(callIds.length);
  let next = 0;
  const worker = async () => {
    for (let i = next++; i < callIds.length; i = next++) {
      const client = typeof replica === 'function' ? replica(i) : replica;
      answers[i] = await client.select({ callId: callIds[i] ?? '' });
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return answers;
}

type Listed = Awaited<ReturnType<HoldfastClient['listRelays']>>['relays'];

/** Waits until every replica's list satisfies the condition; false if that does not happen in time. */
async function eventually(
  replicas: readonly HoldfastClient[],
  condition: (relays: Listed) => boolean,
  timeoutMs = 10_000,
): Promise<boolean> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const lists = await Promise.all(replicas.map((replica) => replica.listRelays('')));
    if (lists.every(({ relays }) => condition(relays))) {
      return true;
    }
    if (Date.now() > deadline) {
      return false;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function relayOf(answer: SelectResponse | undefined): string {
  return answer?.binding?.relay?.id ?? '';
}

function sameTarget(one: SelectResponse | undefined, other: SelectResponse | undefined): boolean {
  return (
    one?.binding?.relay?.instance === other?.binding?.relay?.instance &&
    relayOf(one) === relayOf(other) &&
    one?.binding?.generation === other?.binding?.generation
  );
}

function isMoved({ binding, origin }: SelectResponse, from: string): boolean {
  return origin === Origin.MOVED && binding?.generation === 2n && binding.relay?.id !== from;
}

function spread(answers: readonly SelectResponse[]): string {
  const counts = new Map<string, number>();
  for (const answer of answers) {
    counts.set(relayOf(answer), (counts.get(relayOf(answer)) ?? 0) + 1);
  }
  return [...counts]
    .sort()
    .map(([id, calls]) => `${id} ${calls}`)
    .join(', ');
}
