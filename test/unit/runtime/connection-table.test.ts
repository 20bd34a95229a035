import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import test from 'ava';
import {
  type ConnectionLimits,
  ConnectionTable,
  sourceOf,
} from '../../../services/runtime/connection-table.js';

class FakeSocket extends EventEmitter {
  destroyed = false;

  constructor(readonly remoteAddress: string | undefined) {
    super();
  }

  destroy(): void {
    if (!this.destroyed) {
      this.destroyed = true;
      this.emit('close');
    }
  }
}

function scene(limits: ConnectionLimits = { most: 6, mostPerSource: 4, mostSilentPerSource: 2 }) {
  const table = new ConnectionTable(limits);
  const open = (from = '192.0.2.1') => {
    // A connection that is closed already has no address any more.
    const socket = new FakeSocket(from === 'closed' ? undefined : from);
    const admitted = table.admit(socket as unknown as Socket);
    const as = (phase: 'greeted' | 'busy' | 'idle') => {
      table[phase](socket as unknown as Socket);
      return connection;
    };
    const connection = { admitted, as, close: () => socket.destroy(), isOpen: () => !socket.destroyed };
    return connection;
  };
  return { table, open };
}

test('the oldest silent connection of a source makes room for a new one', (t) => {
  const { table, open } = scene();
  const other = open('192.0.2.2');
  const all = [open(), open(), open()];
  t.deepEqual(
    all.map(({ isOpen }) => isOpen()),
    [false, true, true],
  );
  t.true(other.isOpen());
  t.is(table.size, 3);
});

test('those of a source that have asked nothing are bounded, whether they greet or not', (t) => {
  const { open } = scene({ most: 9, mostPerSource: 9, mostSilentPerSource: 2, mostUnusedPerSource: 3 });
  const used = open().as('greeted').as('busy').as('idle');
  const greeted = open().as('greeted');
  const silent = open();
  const later = open().as('greeted');
  t.deepEqual(
    [greeted, silent, later].map(({ isOpen }) => isOpen()),
    [true, true, true],
  );
  const other = open('192.0.2.2').as('greeted');
  open();
  open().as('greeted');
  t.deepEqual(
    [greeted, silent, later].map(({ isOpen }) => isOpen()),
    [false, false, true],
  );
  t.deepEqual(
    [used, other].map(({ isOpen }) => isOpen()),
    [true, true],
  );
});

test('of a full source, those that ask nothing make room, and those that never asked before those that did', (t) => {
  const { open } = scene();
  const used = open().as('greeted').as('busy').as('idle');
  const busy = open().as('greeted').as('busy');
  const greeted = open().as('greeted');
  open().as('greeted');
  t.true(open().as('busy').admitted);
  t.deepEqual([used.isOpen(), busy.isOpen(), greeted.isOpen()], [true, true, false]);
  open().as('busy');
  t.true(used.isOpen());
  open().as('busy');
  t.false(used.isOpen());
  t.false(open().admitted, 'all others have requests in progress');
  t.true(busy.isOpen());
});

test('when all is full, the source with the most makes room', (t) => {
  const { table, open } = scene();
  const flood = Array.from({ length: 4 }, () => open('192.0.2.9').as('greeted'));
  const good = [open('192.0.2.2'), open('192.0.2.3')].map((each) => each.as('greeted'));
  t.true(open('192.0.2.4').admitted);
  t.is(table.size, 6);
  t.deepEqual(
    [...flood, ...good].map(({ isOpen }) => isOpen()),
    [false, true, true, true, true, true],
  );
});

test('a connection that is closed leaves nothing behind', (t) => {
  const { table, open } = scene();
  open().close();
  open().as('greeted').close();
  t.is(table.size, 0);
  t.false(open('closed').admitted, 'closed before it was accepted');
  t.is(table.size, 0);
});

test('an IPv6 source is a network of 64 bits', (t) => {
  t.is(sourceOf('192.0.2.1'), '192.0.2.1');
  t.is(sourceOf('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2');
  t.is(sourceOf('2001:db8::6'), sourceOf('2001:db8:0:0:ffff::1'));
  t.is(sourceOf('::1'), '0:0:0:0');
  t.is(sourceOf('::ffff:192.0.2.1'), '::ffff:192.0.2.1');
});
