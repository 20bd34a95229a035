import { CallState, Freshness } from '../client/index.js';
import { relativeTime } from './output.js';
import { type Answer, lower } from './shapes.js';
import { type Column, table } from './table.js';
import { printable, type Terminal } from './terminal.js';

/** One relay that the call was, or is, bound to. */
interface Stay {
  readonly relay: string;
  /** Undefined where the move that brought the call there is not kept any more. */
  readonly since: Date | undefined;
  readonly generation: number;
  readonly reason: string;
  readonly actor: string;
}

/** The relays of a call, oldest first. */
function staysOf({ binding }: Answer): readonly Stay[] {
  const { moves = [], relay, createTime } = binding ?? {};
  // A binding that is not in etcd yet has no generation.
  const generation = Math.max(1, Number(binding?.generation ?? 0));
  const first = generation - moves.length;
  const relays = [...moves.map(({ fromRelayId }) => fromRelayId), relay?.id ?? ''];
  return relays.map((id, at) => {
    const move = moves[at - 1];
    const isFirst = first === 1 && at === 0;
    return {
      relay: id,
      since: isFirst ? createTime : move?.time,
      generation: first + at,
      reason: isFirst ? 'bound' : (move?.reason ?? ''),
      actor: move?.actor ?? '',
    };
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
    relays: staysOf(answer).map(({ since, reason, actor, ...stay }) => ({
      ...stay,
      since: since?.toISOString(),
      reason: reason || undefined,
      actor: actor || undefined,
    })),
  };
}

const columns: readonly Column<Stay>[] = [
  { heading: 'SINCE', cell: ({ since }) => since?.toISOString() ?? '-' },
  { heading: '', rank: 2, cell: ({ since }) => relativeTime(since) },
  { heading: 'GENERATION', rank: 3, cell: ({ generation }) => String(generation) },
  { heading: 'RELAY', cell: ({ relay }) => relay },
  { heading: 'WHY', rank: 1, cutTo: 20, cell: ({ reason }) => reason },
  { heading: 'BY', rank: 1, optional: true, cell: ({ actor }) => actor },
];

/** Lines for people. */
export function historyLines(answer: Answer, terminal: Terminal): string[] {
  const stays = staysOf(answer);
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
