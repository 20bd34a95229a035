import type { Channel } from '@grpc/grpc-js';
import test from 'ava';
import { sharedChannel } from '../../../services/etcd/shared-channel.js';

function opened() {
  const log: string[] = [];
  let count = 0;
  const open = sharedChannel((name: string) => {
    const id = `${name}${++count}`;
    log.push(`open ${id}`);
    return { getTarget: () => id, close: () => log.push(`close ${id}`) } as unknown as Channel;
  });
  return { log, open };
}

test('clients share a connection, which closes with the last of them', (t) => {
  const { log, open } = opened();
  const [one, other] = [open('a'), open('a')];
  t.is(one.getTarget(), other.getTarget());
  one.close();
  one.close();
  t.deepEqual(log, ['open a1']);
  other.close();
  t.deepEqual(log, ['open a1', 'close a1']);
  t.is(open('a').getTarget(), 'a2');
});

test('one that is closed late does not close what its successor uses', (t) => {
  const { log, open } = opened();
  const old = open('a');
  const successor = open('a');
  old.close();
  t.deepEqual(log, ['open a1']);
  successor.close();
  old.close();
  t.deepEqual(log, ['open a1', 'close a1']);
});
