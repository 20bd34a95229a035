import { CallState, Freshness } from '../client/index.js';
import { type Stay, staysOf } from '../domain/binding.js';
import { relativeTime } from './output.js';
import { type Answer, lower } from './shapes.js';
import { type Column, table } from './table.js';
import { printable, type Terminal } from './terminal.js';

/** The relays of a call, oldest first. */
function staysIn({ binding }: Answer): Stay<Date>[] {
  const { moves = [], relay, createTime: createdAt } = binding ?? {};
  return staysOf({
    generation: Number(binding?.generation ?? 0),
    createdAt,
    relay: relay?.id ?? '',
    moves: moves.map(({ time: at, fromRelayId: from, reason, actor: by }) => ({ at, from, reason, by })),
  });
}

/** For programs. */
export function historyShape(answer: Answer) {
  const { binding, freshness = Freshness.UNSPECIFIED } = answer;
  return {
    callId: binding?.callId,
    viaBranch: binding?.viaBranch || undefined,
    set: binding?.relay?.set,
    state: stateOf(answer),
    freshness: lower(Freshness[freshness]),
    createdAt: binding?.createTime?.toISOString(),
    relays: staysIn(answer).map(({ since, reason, by, ...stay }) => ({
      ...stay,
      since: since?.toISOString(),
      reason: reason || undefined,
      actor: by || undefined,
    })),
  };
}

const columns: readonly Column<Stay<Date>>[] = [
  { heading: 'SINCE', cell: ({ since }) => since?.toISOString() ?? '-' },
  { heading: '', rank: 2, cell: ({ since }) => relativeTime(since) },
  { heading: 'GENERATION', rank: 3, cell: ({ generation }) => String(generation) },
  { heading: 'RELAY', cell: ({ relay }) => relay },
  { heading: 'WHY', rank: 1, cutTo: 20, cell: ({ reason }) => reason },
  { heading: 'BY', rank: 1, optional: true, cell: ({ by }) => by },
];

/** Lines for people. */
export function historyLines(answer: Answer, terminal: Terminal): string[] {
  const stays = staysIn(answer);
  const missing = (stays[0]?.generation ?? 1) - 1;
  const { callId, set, freshness } = historyShape(answer);
  const { binding } = answer;
  const gone = binding?.relay?.controlUrl === '' ? ', which is not registered' : '';
  return [
    ...table(columns, stays, terminal),
    '',
    ...(missing > 0 ? [`(older moves are not kept: ${missing} before these)`] : []),
    printable(`${callId}: ${stateOf(answer)}, on ${set}/${binding?.relay?.id}${gone} (${freshness})`),
  ];
}

function stateOf({ binding }: Answer): string {
  return lower(CallState[binding?.state ?? CallState.UNSPECIFIED]);
}
