import type { RecordedEvent } from '../domain/recorded-event.js';
import {
  effectiveState,
  effectiveWeight,
  type GoneRelay,
  isFull,
  type RegisteredRelay,
  relayKey,
} from '../domain/relay.js';
import type { Problem } from '../domain/status.js';
import { holdfastCommand } from './shell.js';
import type { ReplicaState } from './state.js';

const refusedWithinMs = 60_000;
/** A relay node reports at least every 5 s. */
const overdueMs = 15_000;
const mostNames = 5;
const expiryWarningMs = 7 * 86_400_000;

/** The worst first. */
export function problemsOf(state: ReplicaState): readonly Problem[] {
  return [...ofReplica(state), ...ofSets(state), ...ofRelays(state)].sort(
    (a, b) => Number(b.level === 'critical') - Number(a.level === 'critical'),
  );
}

function ofReplica(state: ReplicaState): Problem[] {
  const { etcd, notReady, withoutQuorum, replicas } = state;
  const problems: Problem[] = [];
  const reason = notReady();
  if (reason !== undefined) {
    problems.push({
      level: 'critical',
      text: reason,
      advice: 'Look at etcd: it does not answer this replica.',
    });
  }
  const lost = etcd.lost();
  if (lost) {
    const seconds = Math.round(etcd.lostForMs() / 1000);
    const newCalls = withoutQuorum === 'available' ? 'given a relay provisionally' : 'refused';
    problems.push({
      level: 'critical',
      text: `etcd has been lost for ${seconds} s: ${lost.message}`,
      advice: `Repair etcd. Restart nothing: known calls are answered from memory, new ones are ${newCalls}.`,
    });
  } else if (reason === undefined && !etcd.isLive()) {
    problems.push({
      level: 'warning',
      text: 'this replica gets no updates from etcd; it shows what it knew last',
      advice: 'It is reading again. If this lasts, look at etcd and the network to it.',
    });
  }
  const differing = replicas().filter((replica) => replica.differing.length > 0);
  if (differing.length > 0) {
    const variables = [...new Set(differing.flatMap((replica) => replica.differing))];
    problems.push({
      level: 'warning',
      text: `${named(differing.map(({ name }) => name))} ${plural(differing, 'has', 'have')} different values for ${variables.join(', ')}`,
      advice: 'Give all replicas of one etcd the same values.',
    });
  }
  problems.push(...ofCertificates(state));
  const refused = refusals(state);
  if (refused.calls > 0) {
    problems.push({
      level: 'critical',
      text: `${refused.calls} ${refused.calls === 1 ? 'call was' : 'calls were'} refused within the last minute: ${refused.texts.join('; ')}`,
      advice: 'See the events below, and the log of this replica for one such call of each cause.',
    });
  }
  return problems;
}

function ofCertificates({ certificates, clock }: ReplicaState): Problem[] {
  return certificates().flatMap(({ purpose, validUntilMs = Number.POSITIVE_INFINITY }): Problem[] => {
    const leftMs = validUntilMs - clock.wallMs();
    if (leftMs > expiryWarningMs) {
      return [];
    }
    const hours = Math.floor(leftMs / 3_600_000);
    const left = hours >= 48 ? `${Math.floor(hours / 24)} days` : `${hours} h`;
    const text = leftMs <= 0 ? 'has expired' : `expires in ${left}`;
    return [
      {
        level: leftMs <= 0 ? 'critical' : 'warning',
        text: `the certificate of this replica for ${purpose} ${text}`,
        advice: 'Put a new one into its files: it is read within 5 s, without a restart.',
      },
    ];
  });
}

function refusals({ feed }: ReplicaState): { readonly calls: number; readonly texts: readonly string[] } {
  const latest = new Map<string, RecordedEvent>();
  let calls = 0;
  let position = feed.positionBefore(refusedWithinMs);
  for (;;) {
    const { events, position: next } = feed.read(position, 500);
    if (events.length === 0) {
      break;
    }
    position = next;
    for (const event of events.filter(({ type }) => type === 'calls-refused')) {
      calls += event.calls ?? 0;
      latest.set(event.reason ?? '', event);
    }
  }
  return { calls, texts: [...latest.values()].slice(0, mostNames).map(({ text }) => causeIn(text)) };
}

/** "3 calls refused by ng: no relay …" without the number. */
const causeIn = (text: string) => text.replace(/^[^:]*: /, '');

function ofSets(state: ReplicaState): Problem[] {
  const relays = state.relays();
  if (relays.length === 0) {
    const advice = 'Start relay nodes, or see in their logs why they are not registered.';
    return [{ level: 'critical', text: 'no relay is registered', advice }];
  }
  return [...new Set(relays.map(({ relay }) => relay.set))].flatMap((set): Problem[] => {
    const ofSet = relays.filter(({ relay }) => relay.set === set);
    const eligible = ofSet.filter(
      (relay) => effectiveState(relay) === 'active' && effectiveWeight(relay) > 0,
    );
    if (eligible.length === 0) {
      const text = `no relay of set ${set} takes new calls: ${ofSet.length} ${plural(ofSet, 'is', 'are')} draining, disabled or of weight 0`;
      return [{ level: 'critical', text, advice: waysBack(set, ofSet) }];
    }
    return eligible.every(isFull)
      ? [
          {
            level: 'critical',
            text: `every relay of set ${set} that takes calls is full`,
            advice: 'Add relays, or raise HOLDFAST_RELAY_CAPACITY.',
          },
        ]
      : [];
  });
}

/** What gives a set relays again: a relay has to be both active and of some weight. */
function waysBack(set: string, ofSet: readonly RegisteredRelay[]): string {
  const stays = ofSet.find(({ relay }) => relay.state === 'active');
  if (!stays) {
    return 'Start relay nodes: all present ones were told to stop.';
  }
  const { id } = stays.relay;
  const resume = holdfastCommand('resume', { set }, id);
  const weight = holdfastCommand('weight', { set }, id);
  return [
    ...(effectiveState(stays) === 'active' ? [] : [resume]),
    ...(effectiveWeight(stays) > 0 ? [] : [`${weight} 100`]),
  ].join(' && ');
}

function ofRelays(state: ReplicaState): Problem[] {
  const relays = state.relays();
  const nowMs = state.clock.monotonicMs();
  const isOverdue = ({ loadHeardAtMs }: RegisteredRelay) =>
    loadHeardAtMs !== undefined && nowMs - loadHeardAtMs > overdueMs;
  const gone = state.gone().filter((relay) => effectiveState(relay) === 'active');
  return [
    ...about(
      relays.filter(({ relay }) => state.isSuspect(relay.set, relay.id)),
      (names, some) => ({
        level: 'critical',
        text: `${names} vanished along with many others; this is being checked again`,
        advice: `Wait a few seconds. If ${plural(some, 'it is', 'they are')} really gone, look for what they share.`,
      }),
    ),
    ...[...new Set(gone.map(({ reason }) => reason))].flatMap((reason) =>
      ofDeparture(
        reason,
        gone.filter((relay) => relay.reason === reason),
      ),
    ),
    ...about(relays.filter(isFull), (names, some) => ({
      level: 'warning',
      text: `${names} ${plural(some, 'is', 'are')} full`,
      advice: 'Other relays of the set take the new calls. Add relays, or raise HOLDFAST_RELAY_CAPACITY.',
    })),
    ...about(relays.filter(isOverdue), (names, some) => ({
      level: 'warning',
      text: `${names} ${plural(some, 'has', 'have')} not reported for 15 s`,
      advice: 'See the log of the relay node: it cannot write to etcd, or the relay does not answer.',
    })),
  ];
}

/** Of relays that left for one reason. */
function ofDeparture(reason: string, gone: readonly GoneRelay[]): Problem[] {
  const isSilent = gone[0]?.load?.departure === 'silent';
  return about(gone, (names, some) => {
    const place = isSilent
      ? plural(some, 'the relay', 'the relays')
      : plural(
          some,
          'its host, and at the log of its relay node',
          'their hosts, and at the logs of their relay nodes',
        );
    return {
      level: 'warning',
      text: `${names} left within the last 24 h and ${plural(some, 'is', 'are')} not back: ${reason}`,
      advice: `Look at ${place}. A relay registers again when it answers; its calls move with their next request.`,
    };
  });
}

function about(
  relays: readonly RegisteredRelay[],
  problem: (names: string, relays: readonly RegisteredRelay[]) => Problem,
): Problem[] {
  const names = named(relays.map(({ relay }) => relayKey(relay.set, relay.id)));
  return relays.length > 0 ? [problem(names, relays)] : [];
}

const plural = (some: readonly unknown[], one: string, many: string) => (some.length === 1 ? one : many);

function named(names: readonly string[]): string {
  const more = names.length - mostNames;
  return more > 0 ? `${names.slice(0, mostNames).join(', ')} and ${more} more` : names.join(', ');
}
