import test from 'ava';
import { parseCall } from '../../../../services/domain/call.js';
import { Events } from '../../../../services/domain/events.js';
import { CallFinder } from '../../../../services/selection/carried/call-finder.js';
import { ManualClock, turns } from '../../../support/clock.js';
import { FakeInquiry } from '../../../support/fake-inquiry.js';
import { aRelay } from '../../../support/registry.js';

const call = parseCall('call-1', '', 'default');

function scene(...ids: readonly string[]) {
  const clock = new ManualClock();
  const inquiry = new FakeInquiry();
  const registered = ids.map((id) => ({ relay: aRelay({ id }), revision: 1 }));
  const relays = { list: () => registered };
  const finder = new CallFinder({ inquiry, relays, events: new Events(), clock });
  const find = async (...args: Parameters<CallFinder['find']>) => {
    const place = await finder.find(...args);
    return typeof place === 'object' ? place.relay.id : place;
  };
  return { clock, finder, find, inquiry, registered };
}

/** More than are asked for one by one. */
const many = Array.from({ length: 900 }, (_, i) => parseCall(`many-${i}`, '', 'default'));

test('media tell where a call is, then an answer, then a promise', async (t) => {
  const { find, inquiry } = scene('r1', 'r2', 'r3');
  inquiry.carry('r1', call, 0, false);
  inquiry.carry('r2', call, 0, false);
  t.is(await find(call, { promised: 'r2' }), 'r2');
  inquiry.carry('r1', call, 0, true);
  t.is(await find(call, { promised: 'r2' }), 'r1');
  inquiry.carry('r2', call, 50, false);
  t.is(await find(call, { promised: 'r1' }), 'r2');
  t.is(await find(call, { likeliest: 'r1' }), 'r1');
});

test('where only an answer counts, a relay that was offered the call is no place for it, nor is it nowhere', async (t) => {
  const { clock, find, inquiry } = scene('r1', 'r2');
  inquiry.carry('r1', call, 50, false);
  t.is(await find(call, { answered: true }), undefined);
  await clock.pass(1000);
  inquiry.carry('r2', call, 0, true);
  t.is(await find(call, { answered: true }), 'r2');
});

test('beyond a rate, relays are asked for their lists, once for many calls', async (t) => {
  const { find, inquiry } = scene('r1', 'r2', 'r3');
  for (const each of many) {
    inquiry.carry('r2', each);
  }
  const found = await Promise.all(many.map((each) => find(each)));
  t.deepEqual([...new Set(found)], ['r2']);
  t.true(inquiry.listed <= 6, `${inquiry.listed} lists`);
  // Three relays for each of the first, and one for each of the others.
  t.is(inquiry.asked, 400 * 3 + 500);
});

test('a list that leaves out calls, or does not come, leaves open where they are', async (t) => {
  for (const isSilent of [true, false]) {
    const { clock, find, inquiry } = scene('r1', 'r2');
    inquiry.isComplete = false;
    if (isSilent) {
      inquiry.list = () => new Promise(() => {});
    }
    const searched = Promise.all(many.map((each) => find(each)));
    await turns();
    await clock.pass(300);
    const places = await searched;
    t.deepEqual(new Set(places.slice(0, 400)), new Set(['nowhere']));
    t.deepEqual(new Set(places.slice(400)), new Set([undefined]));
  }
});

test('a caller that comes after a list was asked for is answered by a later one', async (t) => {
  const { find, inquiry } = scene('r1');
  const first = Promise.all(many.map((each) => find(each)));
  inquiry.carry('r1', call);
  t.is(await find(call), 'r1');
  await first;
});
