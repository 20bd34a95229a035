import test from 'ava';
import { Binding, CallMove, CallState, Freshness } from '../../../proto/generated/holdfast/v1/selection.js';
import { historyLines, historyShape } from '../../../services/cli/history.js';

const at = (second: number) => new Date(Date.UTC(2026, 0, 1, 12, 0, second));

/** A call that came to r3 by way of the relays before it; of its moves those are kept that are named. */
function answer(generation: number, from: readonly string[], overrides: Partial<Binding> = {}) {
  const moves = from.map((fromRelayId, i) =>
    CallMove.fromPartial({
      fromRelayId,
      time: at(i + 1),
      reason: `reason ${i + 1}`,
      actor: `actor ${i + 1}`,
    }),
  );
  const binding = Binding.fromPartial({
    callId: 'a@example.org',
    relay: { id: 'r3', set: 'default', controlUrl: 'udp:192.0.2.1:1' },
    state: CallState.ANSWERED,
    generation: BigInt(generation),
    createTime: at(0),
    moves,
    ...overrides,
  });
  return { binding, freshness: Freshness.FRESH };
}

const pipe = { width: undefined, colors: false };
/** Without how long ago, which depends on when the test runs. */
const linesOf = (...args: Parameters<typeof answer>) =>
  historyLines(answer(...args), pipe).map((line) => line.replace(/ {2}\d\S*( \d+\w)? ago +/, '  '));

test('a history has the relays in order, and for each since when, why, and by whom', (t) => {
  t.deepEqual(historyShape(answer(3, ['r1', 'r2'])).relays, [
    { relay: 'r1', since: at(0).toISOString(), generation: 1, reason: 'bound', actor: undefined },
    { relay: 'r2', since: at(1).toISOString(), generation: 2, reason: 'reason 1', actor: 'actor 1' },
    { relay: 'r3', since: at(2).toISOString(), generation: 3, reason: 'reason 2', actor: 'actor 2' },
  ]);
  const lines = linesOf(3, ['r1', 'r2']);
  t.regex(lines[0] ?? '', /^SINCE .*GENERATION +RELAY +WHY +BY$/);
  t.regex(lines[1] ?? '', /^2026-01-01T12:00:00.000Z +1 +r1 +bound$/);
  t.regex(lines[3] ?? '', /^2026-01-01T12:00:02.000Z +3 +r3 +reason 2 +actor 2$/);
  t.is(lines.at(-1), 'a@example.org: answered, on default/r3 (fresh)');
});

test('a call that never moved has one relay', (t) => {
  t.is(historyShape(answer(1, [])).relays.length, 1);
  t.is(historyShape(answer(0, [])).relays[0]?.generation, 1, 'nor one that is not in etcd yet');
});

test('moves that are not kept any more are counted, and nothing is made up for them', (t) => {
  const kept = ['r1', 'r2', 'r1', 'r2', 'r1', 'r2', 'r1', 'r2'];
  const { relays } = historyShape(answer(12, kept));
  t.like(relays[0], { relay: 'r1', since: undefined, generation: 4, reason: undefined });
  t.like(relays.at(-1), { relay: 'r3', generation: 12, reason: 'reason 8' });
  t.true(linesOf(12, kept).includes('(older moves are not kept: 3 before these)'));
});

test('a relay that is gone is said to be, and no reason writes to the terminal', (t) => {
  const gone = { relay: { ...answer(1, []).binding.relay, controlUrl: '' } as Binding['relay'] };
  t.regex(linesOf(1, [], gone).at(-1) ?? '', /, on default\/r3, which is not registered \(fresh\)$/);
  const hostile = answer(2, ['r1']);
  hostile.binding.moves = [CallMove.fromPartial({ fromRelayId: 'r1', reason: '\x1b[2J' })];
  hostile.binding.callId = 'a\x1bb';
  t.false(historyLines(hostile, pipe).join('').includes('\x1b'));
});
