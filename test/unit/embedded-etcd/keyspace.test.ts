import test from 'ava';
import { type HistoryLimits, Keyspace } from '../../../services/embedded-etcd/keyspace.js';
import { LeaseTable } from '../../../services/embedded-etcd/lease-table.js';
import { noLease } from '../../../services/embedded-etcd/version.js';

const everything = { from: '', to: '' };
const create = (limits: Partial<HistoryLimits> = {}) =>
  new Keyspace(new LeaseTable(), { maxEvents: 100, maxBytes: 1 << 20, ...limits });
const put = (keyspace: Keyspace, key: string, value = '') =>
  keyspace.write((writer) => writer.put(key, value, noLease));
const remove = (keyspace: Keyspace, key: string) =>
  keyspace.write((writer) => writer.delete({ from: key, to: undefined }));

test('history is bounded by events: the oldest are compacted away', (t) => {
  const keyspace = create({ maxEvents: 100 });
  for (let index = 0; index < 1000; index++) {
    put(keyspace, `k${index % 10}`, String(index));
  }
  t.is(keyspace.log.length, 100);
  t.is(keyspace.revision, 1001);
  t.is(keyspace.compactRevision, 902);
  t.throws(() => keyspace.read(everything, 901), { message: /has been compacted/ });
  t.is(keyspace.read(everything, 902).length, 10);
  t.is(keyspace.read({ from: 'k0', to: undefined }, 902)[0]?.value, '900');
});

test('history is bounded by bytes as well', (t) => {
  const keyspace = create({ maxEvents: 1_000_000, maxBytes: 100_000 });
  for (let index = 0; index < 1000; index++) {
    put(keyspace, 'k', 'x'.repeat(1000));
  }
  t.true(keyspace.totalBytes < 102_000);
  t.true(keyspace.log.length < 100);
});

test('live keys are never compacted away, deleted ones leave nothing behind', (t) => {
  const keyspace = create({ maxEvents: 10 });
  for (let index = 0; index < 500; index++) {
    put(keyspace, `live/${index}`);
  }
  t.is(keyspace.read(everything).length, 500);
  for (let index = 0; index < 500; index++) {
    remove(keyspace, `live/${index}`);
  }
  keyspace.compact(keyspace.revision);
  t.is(keyspace.read(everything).length, 0);
  t.is(keyspace.totalBytes, 0);
  t.is(keyspace.liveBytes, 0);
});

test('one revision above the bound stays whole', (t) => {
  const keyspace = create({ maxEvents: 10 });
  keyspace.write((writer) => {
    for (let index = 0; index < 50; index++) {
      writer.put(`k${index}`, '', noLease);
    }
  });
  t.is(keyspace.log.length, 50);
  t.is(keyspace.log.at(0)?.key, 'k0');
  put(keyspace, 'next');
  t.is(keyspace.read(everything).length, 51);
});

test('the accounted bytes come back to what is live after each compaction', (t) => {
  const keyspace = create({ maxEvents: 10_000 });
  for (let round = 0; round < 20; round++) {
    for (let index = 0; index < 30; index++) {
      if ((index + round) % 3 === 0) {
        remove(keyspace, `k${index}`);
      } else {
        put(keyspace, `k${index}`, 'v'.repeat(round));
      }
    }
    keyspace.compact(keyspace.revision);
    t.is(keyspace.totalBytes, keyspace.liveBytes);
  }
});
