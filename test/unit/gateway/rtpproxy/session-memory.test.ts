import test from 'ava';
import fc from 'fast-check';
import { ownRequest } from '../../../../services/control/rtpproxy/request.js';
import { callOf } from '../../../../services/gateway/call-request.js';
import { SessionMemory, sessionMemoryLimits } from '../../../../services/gateway/rtpproxy/session-memory.js';
import { ManualClock } from '../../../support/clock.js';
import { aRelay } from '../../../support/registry.js';

const one = aRelay({ id: 'r1', instance: 'a'.repeat(16) });
const other = aRelay({ id: 'r2', instance: 'b'.repeat(16) });
const call = callOf(Buffer.from('c'), { set: undefined });
const texts = (requests: readonly { readonly body: Buffer }[]) => requests.map(({ body }) => body.toString());

/** After a relay has accepted these. */
const remembered = (...commands: readonly string[]) => rememberedAt(new ManualClock(), ...commands);

function rememberedAt(clock: ManualClock, ...commands: readonly string[]): SessionMemory {
  const memory = new SessionMemory(clock);
  for (const command of commands) {
    memory.accepted(call, ownRequest(command), one);
  }
  return memory;
}

test('what was told to one relay is told to the next: the last media of both parties, of each stream', (t) => {
  const memory = remembered(
    'UIEc0,8 c 192.0.2.1 4000 f;1 tcp:192.0.2.9:2000 tag',
    'LEIc0,8 c 192.0.2.2 4002 f;1 t;1',
    'U c 192.0.2.1 4010 f;2',
    // The caller's re-INVITE, from another port.
    'UIEc0 c 192.0.2.1 4100 f;1 t;1',
    'LEIc0 c 192.0.2.2 4102 f;1 t;1',
  );
  t.deepEqual(texts(memory.replay(call, one)), []);
  t.deepEqual(texts(memory.replay(call, other)), [
    'UIEc0 c 192.0.2.1 4100 f;1 t;1',
    'LEIc0 c 192.0.2.2 4102 f;1 t;1',
    'U c 192.0.2.1 4010 f;2',
  ]);
  memory.accepted(call, ownRequest('U c 192.0.2.1 4200 f;1 t;1'), other);
  t.deepEqual(texts(memory.replay(call, other)), [], 'now it is there');
});

test('a re-INVITE by the callee changes places: its media stay those of the other party', (t) => {
  const memory = remembered(
    'U c 192.0.2.1 4000 f;1 tcp:192.0.2.9:2000 tag',
    'L c 192.0.2.2 4002 f;1 t;1',
    'U c 192.0.2.2 4102 t;1 f;1 tcp:192.0.2.9:2000 later',
    'L c 192.0.2.1 4100 t;1 f;1',
  );
  t.deepEqual(texts(memory.replay(call, other)), [
    'U c 192.0.2.1 4100 f;1 t;1 tcp:192.0.2.9:2000 later',
    'L c 192.0.2.2 4102 f;1 t;1',
  ]);
});

test('sessions are asked for by the names that they have; where those are unknown, by those that they may have', (t) => {
  const memory = remembered('U c;z9hG4bK1 192.0.2.1 4000 f;1', 'U c 192.0.2.1 4000 g');
  t.deepEqual(texts(memory.queries(call)), ['Q c;z9hG4bK1 f;1', 'Q c g']);
  const reinvited = remembered('U c 192.0.2.1 4000 t;1 f;1');
  t.deepEqual(
    texts(reinvited.queries(call)),
    ['Q c t;1', 'Q c f;1'],
    'it may be of a session that began elsewhere',
  );
  const unknown = callOf(Buffer.from('d'), { set: undefined });
  t.deepEqual(memory.queries(unknown), []);
  const parties = { callId: Buffer.from('d'), fromTag: Buffer.from('f'), toTag: Buffer.from('t') };
  memory.heard(unknown, parties);
  t.deepEqual(texts(memory.queries(unknown)), ['Q d f', 'Q d f;1', 'Q d t', 'Q d t;1']);
  const ofStream = { callId: Buffer.from('d'), fromTag: Buffer.from('f;2') };
  t.deepEqual(texts(memory.queries(unknown, ofStream)), ['Q d f', 'Q d f;1', 'Q d f;2']);
});

test('both tags name all that an unknown call may have; one of them, or those of a stream, do not', (t) => {
  const memory = remembered('U c 192.0.2.1 4000 f;1');
  const unknown = callOf(Buffer.from('d'), { set: undefined });
  const isNamedBy = (...[fromTag, toTag]: readonly string[]) =>
    memory.isNamedBy(unknown, {
      callId: Buffer.from('d'),
      fromTag: fromTag === undefined ? undefined : Buffer.from(fromTag),
      toTag: toTag === undefined ? undefined : Buffer.from(toTag),
    });
  t.true(isNamedBy('f', 't'));
  t.false(isNamedBy('f'));
  t.false(isNamedBy('f;1', 't;1'));
  t.true(memory.isNamedBy(call, { callId: Buffer.from('c') }), 'the names are remembered');
});

test('a delete ends what it names: one stream, or all of them', (t) => {
  const media = ['U c 192.0.2.1 4000 f;1', 'U c 192.0.2.1 4002 f;2', 'U c 192.0.2.1 4004 g;1'];
  const left = (command: string) => {
    const memory = remembered(...media);
    memory.ended(call, ownRequest(command));
    return texts(memory.queries(call)).map((text) => text.slice('Q c '.length));
  };
  t.deepEqual(left('D c f;1'), ['f;2', 'g;1']);
  t.deepEqual(left('D c f'), ['g;1']);
  t.deepEqual(left('D c x f'), ['g;1']);
  t.deepEqual(left('D c x'), ['f;1', 'f;2', 'g;1']);
  t.deepEqual(left('D d f'), ['f;1', 'f;2', 'g;1']);
});

test('a branch of a fork leaves; the last one ends the call', (t) => {
  const leaves = (memory: SessionMemory, command: string) =>
    memory.leaves(call, ownRequest(command)) !== undefined;
  const fork = ['U c 192.0.2.1 4000 f;1', 'L c 192.0.2.2 4002 f;1 b;1', 'L c 192.0.2.3 4004 f;1 c;1'];
  const memory = remembered(...fork);
  t.true(leaves(memory, 'D c f busy'), 'who has never answered');
  t.true(leaves(memory, 'D c f b'));
  t.true(leaves(memory, 'D c f b'), 'again');
  t.false(leaves(memory, 'D c f c'));
  t.false(leaves(remembered(...fork), 'D c f'), 'the whole call');
  t.false(leaves(remembered(...fork), 'Dw c f b'));
  t.false(leaves(remembered(...fork, 'U c 192.0.2.1 4000 f;1 c;1'), 'D c c f'), 'the dialog has gone on');
  t.true(leaves(remembered('U c 192.0.2.1 4000 f;1'), 'D c f busy'), 'another one may answer');
  t.false(leaves(remembered('U c 192.0.2.1 4000 f'), 'D c f busy'), 'a B2BUA has one other party');
  t.false(leaves(new SessionMemory(new ManualClock()), 'D c f b'), 'of an unknown call');
});

test('a branch that has answered and leaves does not end the call while another one rings', (t) => {
  const clock = new ManualClock();
  const leaves = (memory: SessionMemory, command: string) =>
    memory.leaves(call, ownRequest(command)) !== undefined;
  const begun = (...commands: string[]) => rememberedAt(clock, ...commands);
  const offer = 'U c 192.0.2.1 4000 f;1';
  const answer = (tag: string) => `L c 192.0.2.2 4002 f;1 ${tag};1`;

  const rung = begun(offer, offer, answer('b'));
  t.true(leaves(rung, 'D c f b'));
  t.true(leaves(rung, 'D c f b'), 'again');
  t.false(leaves(rung, 'D c f c'), 'the last one');
  const unanswered = begun(offer, offer);
  t.true(leaves(unanswered, 'D c f b'));
  t.false(leaves(unanswered, 'D c f c'), 'the last one');
  t.false(leaves(begun(offer, offer, 'U c 192.0.2.1 4000 f;1 b;1'), 'D c f b'), 'the dialog has gone on');
  const old = begun(offer, offer, answer('b'));
  clock.advance(200_000);
  t.false(leaves(old, 'D c f b'), 'no branch rings for so long');
});

test('the media of a call go back to who is still there when the last who answered leaves', (t) => {
  const instead = (memory: SessionMemory, command: string) =>
    texts(memory.leaves(call, ownRequest(command)) ?? []);
  const fork = ['U c 192.0.2.1 4000 f;1', 'Lc0 c 192.0.2.2 4002 f;1 b;1', 'L c 192.0.2.3 4004 f;1 c;1'];
  const memory = remembered(...fork);
  t.deepEqual(instead(memory, 'D c f c'), ['Lc0 c 192.0.2.2 4002 f;1 b;1']);
  t.deepEqual(texts(memory.replay(call, other)), [
    'U c 192.0.2.1 4000 f;1 b;1',
    'Lc0 c 192.0.2.2 4002 f;1 b;1',
  ]);
  t.deepEqual(instead(remembered(...fork), 'D c f b'), [], 'the last one stays');
  t.deepEqual(instead(remembered(...fork), 'D c f busy'), []);
  // By the one who leaves.
  t.deepEqual(instead(remembered(...fork), 'D c c f'), ['Lc0 c 192.0.2.2 4002 f;1 b;1']);
});

test('a U answers the session that its second tag names, once', (t) => {
  const second = ownRequest('U c 192.0.2.2 4002 theirs mine');
  const memory = remembered('U c 192.0.2.1 4000 mine');
  t.true(memory.isAnswer(call, second));
  memory.accepted(call, second.asAnswer(), one);
  t.false(memory.isAnswer(call, second));
  t.false(memory.isAnswer(call, ownRequest('U c 192.0.2.1 4000 mine theirs')));
  t.deepEqual(texts(memory.replay(call, other)), [
    'U c 192.0.2.1 4000 mine theirs',
    'L c 192.0.2.2 4002 mine theirs',
  ]);
});

test('calls of two sets are two, and a request that names no set means the one that is there', (t) => {
  const memory = new SessionMemory(new ManualClock());
  memory.accepted(call, ownRequest('U c 192.0.2.1 4000 f;1'), aRelay({ set: 'edge' }));
  const [edge, core] = ['edge', 'core'].map((set) => callOf(Buffer.from('c'), { set }));
  t.deepEqual(texts(memory.queries(call)), ['Q c f;1']);
  t.deepEqual(texts(memory.queries(edge as typeof call)), ['Q c f;1']);
  t.deepEqual(memory.queries(core as typeof call), []);
});

test('memory is bounded, whatever it is told', (t) => {
  const limits = { ...sessionMemoryLimits, calls: 8, bytes: 20_000, names: 4, sessions: 3 };
  const name = fc.constantFrom('a', 'b', 'c;1', 'd;2', 'e'.repeat(3000));
  const command = fc
    .tuple(fc.constantFrom('U', 'L', 'D'), fc.nat(30), name, name)
    .map(([letter, id, from, to]) =>
      letter === 'D' ? `D call-${id} ${from} ${to}` : `${letter} call-${id} 192.0.2.1 4000 ${from} ${to}`,
    );
  fc.assert(
    fc.property(fc.array(fc.tuple(command, fc.boolean()), { maxLength: 200 }), (commands) => {
      const memory = new SessionMemory(new ManualClock(), limits);
      for (const [text, isFirst] of commands) {
        const request = ownRequest(text);
        const at = callOf(request.callId as Buffer, { set: undefined });
        memory.heard(at, request.parties as NonNullable<typeof request.parties>);
        if (request.name === 'D') {
          memory.leaves(at, request);
          memory.ended(at, request);
        } else {
          memory.accepted(at, request, isFirst ? one : other);
        }
        t.true(memory.size <= limits.calls && memory.bytes <= limits.bytes && memory.bytes >= 0);
        t.true(memory.queries(at).length <= Math.max(2 * limits.sessions, 6));
      }
      for (let id = 0; id <= 30; id++) {
        memory.ended(
          callOf(Buffer.from(`call-${id}`), { set: undefined }),
          ownRequest(`D call-${id} nobody`),
        );
      }
    }),
    { numRuns: 200 },
  );
});

test('tags of calls without media are remembered for so many calls, those that were heard of last', (t) => {
  const memory = new SessionMemory(new ManualClock());
  const { names } = sessionMemoryLimits;
  const heard = (i: number) => callOf(Buffer.from(`heard-${i}`), { set: undefined });
  for (let i = 0; i <= 2 * names; i++) {
    const parties = { callId: Buffer.from(`heard-${i}`), fromTag: Buffer.from('f'), toTag: Buffer.from('t') };
    memory.heard(heard(i), parties);
  }
  t.deepEqual(memory.queries(heard(names)), [], 'forgotten');
  t.true(memory.queries(heard(names + 1)).length > 0);
  t.true(memory.queries(heard(2 * names)).length > 0);
  t.is(memory.size, 0);
});
