import test from 'ava';
import { EventRing, type NewRecord } from '../../../services/history/event-ring.js';
import { ManualClock } from '../../support/clock.js';

const record = (text: string): NewRecord => ({ type: 'relay-joined', severity: 'info', text });
const dayMs = 24 * 3_600_000;

test('a reader that goes on from its position gets every record once, in order', (t) => {
  const ring = new EventRing(new ManualClock());
  for (const text of ['a', 'b', 'c']) {
    ring.add(record(text));
  }
  const first = ring.read(0, 2);
  t.deepEqual(
    first.events.map(({ sequence, text }) => [sequence, text]),
    [
      [1, 'a'],
      [2, 'b'],
    ],
  );
  const second = ring.read(first.position, 2);
  t.deepEqual(
    second.events.map(({ text }) => text),
    ['c'],
  );
  t.deepEqual(ring.read(second.position, 2), { events: [], missed: 0, position: 3 });
});

test('of ever more records the last ones are kept, and a reader that was too slow hears how many it has missed', (t) => {
  const ring = new EventRing(new ManualClock(), 10);
  for (let i = 1; i <= 25; i++) {
    ring.add(record(`${i}`));
  }
  const { events, missed, position } = ring.read(3, 100);
  t.is(missed, 12);
  t.deepEqual(
    events.map(({ text }) => text),
    ['16', '17', '18', '19', '20', '21', '22', '23', '24', '25'],
  );
  t.is(position, 25);
});

test('records are found by age, whatever becomes of the time of day, and end after a day', (t) => {
  const clock = new ManualClock();
  const ring = new EventRing(clock);
  ring.add(record('old'));
  clock.advance(60_000);
  clock.stepWall(-3_600_000);
  ring.add(record('new'));
  const texts = (ageMs: number) => ring.read(ring.positionBefore(ageMs), 10).events.map(({ text }) => text);
  t.deepEqual(texts(60_000), ['old', 'new']);
  t.deepEqual(texts(59_999), ['new']);
  t.deepEqual(texts(0), []);
  clock.advance(1);
  clock.advance(dayMs - 60_000);
  t.deepEqual(texts(2 * dayMs), ['new']);
  clock.advance(60_000);
  t.deepEqual(texts(2 * dayMs), []);
  ring.add(record('again'));
  t.deepEqual(texts(1), ['again']);
});

test('whoever subscribes hears that there is more, until it has enough', (t) => {
  const ring = new EventRing(new ManualClock());
  let heard = 0;
  const unsubscribe = ring.subscribe(() => heard++);
  ring.add(record('a'));
  unsubscribe();
  ring.add(record('b'));
  t.is(heard, 1);
});
