import test from 'ava';
import fc from 'fast-check';
import type { NgDictionary } from '../../../services/control/ng/message.js';
import { mergeStatistics } from '../../../services/gateway/ng/statistics.js';

/** As rtpengine 10.5 tells them, shortened. */
function statistics(
  calls: number,
  meanSeconds: number,
  offersPerSecond: number,
  offerDelay: number,
): NgDictionary {
  const seconds = (value: number) => value.toFixed(6);
  return {
    currentstatistics: { sessionstotal: calls, packetrate: calls * 100 },
    totalstatistics: {
      uptime: String(1000 + calls),
      managedsessions: calls,
      avgcallduration: seconds(meanSeconds),
      totalcallsduration: seconds(calls * meanSeconds),
      totalcallsduration2: seconds(calls * meanSeconds ** 2),
      totalcallsduration_stddev: seconds(0),
    },
    intervalstatistics: {
      minofferdelay: seconds(offerDelay),
      maxofferdelay: seconds(offerDelay),
      avgofferdelay: seconds(offerDelay),
      avgofferrequestrate: String(offersPerSecond),
    },
    interfaces: [{ name: 'default' }],
  };
}

const part = (merged: NgDictionary, name: string) => merged[name] as NgDictionary;

test('counts are added up, averages weighted, extremes kept', (t) => {
  const merged = mergeStatistics([
    statistics(30, 10, 3, 0.001),
    statistics(10, 50, 1, 0.009),
    statistics(0, 0, 0, 0),
  ]);
  t.deepEqual({ ...part(merged, 'currentstatistics') }, { sessionstotal: 40, packetrate: 4000 });
  t.deepEqual(
    { ...part(merged, 'totalstatistics') },
    {
      uptime: '1000',
      managedsessions: 40,
      avgcallduration: '20.000000',
      totalcallsduration: '800.000000',
      totalcallsduration2: '28000.000000',
      // 30 calls of 10 s and 10 of 50 s: the deviation from 20 s.
      totalcallsduration_stddev: '17.320508',
    },
  );
  t.deepEqual(
    { ...part(merged, 'intervalstatistics') },
    {
      minofferdelay: '0.001000',
      maxofferdelay: '0.009000',
      avgofferdelay: '0.003000',
      avgofferrequestrate: '1',
    },
  );
  t.is((merged['interfaces'] as unknown[]).length, 3);
});

test('a relay that does not time its calls has no say in how long they were', (t) => {
  const untimed = { totalstatistics: { managedsessions: 1000, uptime: '5' } };
  const total = part(mergeStatistics([statistics(10, 20, 1, 0), untimed]), 'totalstatistics');
  t.is(total['avgcallduration'], '20.000000');
  t.is(total['managedsessions'], 1010);
});

test('the order of the relays changes nothing', (t) => {
  const relay = fc
    .tuple(
      fc.nat(100_000),
      fc.double({ min: 0, max: 1e5, noNaN: true }),
      fc.nat(500),
      fc.double({ min: 0, max: 1, noNaN: true }),
    )
    .map((values) => statistics(...values));
  const replies = fc.array(relay, { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(
      replies.chain((each) =>
        fc.tuple(fc.constant(each), fc.shuffledSubarray(each, { minLength: each.length })),
      ),
      ([one, other]) => {
        t.deepEqual(mergeStatistics(one), mergeStatistics(other));
      },
    ),
  );
});

test('one relay’s statistics are its own', (t) => {
  const one = statistics(30, 10, 3, 0.001);
  t.deepEqual(JSON.parse(JSON.stringify(mergeStatistics([one]))), one);
});

test('junk of one relay spoils nothing', (t) => {
  const junk: NgDictionary = {
    currentstatistics: 'none',
    totalstatistics: { managedsessions: 'many', uptime: [] },
  };
  const merged = mergeStatistics([junk, statistics(3, 1, 1, 0), undefined, 7]);
  t.is(part(merged, 'currentstatistics')['sessionstotal'], 3);
  t.is(part(merged, 'totalstatistics')['managedsessions'], 3);
  t.deepEqual({ ...mergeStatistics([]) }, {});
});
