import test from 'ava';
import fc from 'fast-check';
import { mostUnits, RecordLog, unitBytes, unitOf } from '../../../../services/selection/cache/record-log.js';

/** A log whose records say what they are, beside a plain list of what they should be. */
class Watched {
  /** Place by tag, in the order of writing. */
  readonly places = new Map<number, number>();
  #units = 0;
  #mostMoved = 0;
  #moved = 0;
  readonly log = new RecordLog((tag, from, to) => {
    if (this.places.get(tag) !== from) {
      throw new Error(`record ${tag} did not stand at ${from}`);
    }
    this.places.set(tag, to);
    this.#moved++;
  });

  get liveBytes(): number {
    return this.#units * unitBytes;
  }

  /** Most records that one operation moved. */
  get mostMoved(): number {
    return this.#mostMoved;
  }

  append(tag: number, units: number): void {
    this.#counting(() => {
      const place = this.log.append(units, tag);
      if (place === undefined) {
        throw new Error('no room');
      }
      this.places.set(tag, place);
      this.log.chunkOf(place).numbers.fill(tag, unitOf(place), unitOf(place) + units);
      this.#units += units + 1;
    });
  }

  drop(tag: number): void {
    this.#counting(() => {
      const place = this.places.get(tag) ?? Number.NaN;
      this.#units -= 1 + this.unitsAt(tag, place);
      this.places.delete(tag);
      this.log.drop(place);
    });
  }

  /** Units of the record, all of which say its tag. */
  unitsAt(tag: number, place: number): number {
    const { numbers, words } = this.log.chunkOf(place);
    const units = words[2 * unitOf(place) - 2] ?? 0;
    const content = numbers.subarray(unitOf(place), unitOf(place) + units);
    if (units === 0 || content.some((value) => value !== tag)) {
      throw new Error(`record ${tag} is damaged`);
    }
    return units;
  }

  /** @returns what is wrong */
  check(): string {
    const { log, places } = this;
    for (const [tag, place] of places) {
      this.unitsAt(tag, place);
      if (log.tagOf(place) !== tag) {
        return `${log.tagOf(place)} where ${tag} should be`;
      }
    }
    const [first] = places.values();
    if (log.oldest() !== first) {
      return `the oldest is at ${log.oldest()}, not at ${first}`;
    }
    return log.size === places.size ? '' : `${log.size} records, not ${places.size}`;
  }

  #counting(work: () => void): void {
    this.#moved = 0;
    work();
    this.#mostMoved = Math.max(this.#mostMoved, this.#moved);
  }
}

const chunkBytes = 64 * 1024;

test('records keep their order and content, and the room of dropped ones comes back', (t) => {
  const anAction = fc.record({
    appends: fc.boolean(),
    units: fc.integer({ min: 1, max: 400 }),
    which: fc.nat(),
  });
  fc.assert(
    fc.property(fc.array(anAction, { size: 'max', minLength: 1, maxLength: 2000 }), (actions) => {
      const watched = new Watched();
      for (const [tag, { appends, units, which }] of actions.entries()) {
        const tags = [...watched.places.keys()];
        // Records live at most some hundred actions, so that whole stretches of the log empty out.
        const victim = tags[tags.length > 300 ? 0 : which % Math.max(1, tags.length)];
        if (appends || victim === undefined) {
          watched.append(tag, units);
        } else {
          watched.drop(victim);
        }
        if (tag % 50 === 0 && watched.check() !== '') {
          t.fail(watched.check());
        }
      }
      t.is(watched.check(), '');
      const most = (watched.liveBytes * 8) / 3 + 4 * chunkBytes;
      t.true(watched.log.bytes <= most, `${watched.log.bytes} bytes for ${watched.liveBytes}`);
    }),
    { numRuns: 50 },
  );
});

test('one record that stays between many that go holds little room, however long that goes on', (t) => {
  const watched = new Watched();
  for (let tag = 0; tag < 50_000; tag++) {
    watched.append(tag, 20);
    if (tag % 500 !== 0) {
      watched.drop(tag);
    }
  }
  t.is(watched.places.size, 100);
  t.is(watched.check(), '');
  t.true(watched.log.bytes <= 4 * chunkBytes, `${watched.log.bytes} bytes`);
  t.true(watched.mostMoved > 0 && watched.mostMoved <= 1000, `${watched.mostMoved} moved at once`);
  for (const tag of [...watched.places.keys()]) {
    watched.drop(tag);
  }
  t.is(watched.log.oldest(), undefined);
  t.is(watched.log.size, 0);
  t.true(watched.log.bytes <= 2 * chunkBytes);
});

test('a record that was dropped, or does not fit, is a mistake of the caller', (t) => {
  const log = new RecordLog(() => {});
  const place = log.append(3, 1) as number;
  log.append(3, 2);
  log.drop(place);
  t.throws(() => log.drop(place), { message: /dropped once/ });
  t.is(log.size, 1);
  for (const units of [0, mostUnits + 1]) {
    t.throws(() => log.append(units, 3), { message: /fits into a chunk/ });
  }
});
