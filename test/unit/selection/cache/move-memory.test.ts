import test from 'ava';
import { MoveMemory } from '../../../../services/selection/cache/move-memory.js';

const move = (revision: number, generation = 2, history = 0) => ({
  ...{ revision, generation, history },
  relayId: 'r2',
});

test('what etcd said of a call before its move is past, whenever it comes', (t) => {
  const moves = new MoveMemory(10);
  moves.hear('a', move(7), 100);
  t.true(moves.isPast('a', 6, 200));
  t.false(moves.isPast('a', 7, 200), 'the move itself');
  t.false(moves.isPast('a', 8, 0));
  t.false(moves.isPast('b', 1, 0));
  t.deepEqual(moves.of('a'), move(7));
  t.is(moves.of('b'), undefined);
});

test('no more moves than its capacity: those heard longest ago go first', (t) => {
  const moves = new MoveMemory(3);
  for (const [i, key] of ['a', 'b', 'c', 'a', 'd'].entries()) {
    moves.hear(key, move(i), i);
  }
  t.is(moves.size, 3);
  t.deepEqual(
    ['a', 'b', 'c', 'd'].filter((key) => moves.of(key)),
    ['a', 'c', 'd'],
  );
  for (let i = 0; i < 1000; i++) {
    moves.hear(`x${i}`, move(i), i);
  }
  t.is(moves.size, 3);
});

test('once a move was forgotten, no answer to a question from before that is believed', (t) => {
  const moves = new MoveMemory(1);
  moves.hear('a', move(7), 100);
  t.false(moves.isPast('b', 1, 50), 'all moves are known');
  moves.hear('b', move(8), 200);
  t.is(moves.of('a'), undefined);
  t.true(moves.isPast('a', 6, 200), 'it may show the call as it was before');
  t.true(moves.isPast('c', 6, 150), 'as may that of any other call');
  t.false(moves.isPast('a', 7, 201), 'asked later, it shows the move');
});

test('in another history of etcd revisions count anew, and generations stay', (t) => {
  const moves = new MoveMemory(10);
  moves.hear('a', move(700, 3), 0);
  moves.forgetRevisions();
  t.false(moves.isPast('a', 1, 0));
  t.like(moves.of('a'), { generation: 3, history: 0 });
  moves.hear('a', move(5, 4, 1), 0);
  t.true(moves.isPast('a', 4, 0));
});
