import test from 'ava';
import { turns } from '../../../../support/clock.js';
import { rtcpReport } from '../../../../support/rtp.js';
import { counters, ForwarderScene, gone, remote } from './forwarder-scene.js';

const flows = 'element netdev t flows';
const adding = `add ${flows}`;

test('a stream is handed over when both parties are heard and their routes are known', async (t) => {
  const scene = await ForwarderScene.start(t);
  const [one, other] = scene.pair();
  await scene.talk(one, other);
  t.is(scene.forwarder.streams, 0, 'the routes were asked for');
  await scene.talk(one, other);
  t.deepEqual([one.forwardingPath, other.forwardingPath], ['kernel', 'kernel']);
  const [line] = scene.nft.with(adding);
  t.regex(line ?? '', /"eth0" \. 198\.51\.100\.1 \. 4000 \. 30002 : 0x00200001/);
  t.is(scene.nft.with('hook ingress').length, 1, 'one device');
  t.is(scene.nft.with('add chain netdev t hop').length, 1, 'one hop');
  t.is(scene.sent, 4, 'user space has forwarded all that came to it');
});

test('what comes while a line is carried out goes into the next, all in one', async (t) => {
  const scene = await ForwarderScene.start(t);
  const pairs = Array.from({ length: 50 }, (_, index) => scene.pair(`198.51.100.${index + 10}`));
  const [first, ...others] = pairs.flat();
  await scene.talk(...pairs.flat());
  scene.nft.hold();
  await scene.talk(...(first ? [first] : []));
  await scene.talk(...others);
  const before = scene.nft.lines.length;
  scene.nft.proceed();
  await turns(20);
  t.is(scene.nft.with(adding).length, 2, 'the first, and all the others');
  t.is(scene.nft.lines.length - before, 3, 'a hop, and these');
  t.is(scene.forwarder.streams, 100);
});

test('one line has no more than 200 streams', async (t) => {
  const scene = await ForwarderScene.start(t);
  const pairs = Array.from({ length: 250 }, (_, index) => scene.pair(`198.51.100.${index}`, '192.0.2.9'));
  await scene.talk(...pairs.flat());
  await scene.talk(...pairs.flat());
  await turns(50);
  const sizes = scene.nft.with(adding).map((line) => line.split('; ')[0]?.split(',').length ?? 0);
  t.is(
    sizes.reduce((sum, size) => sum + size, 0),
    500,
  );
  t.true(
    sizes.every((size) => size <= 200),
    String(sizes),
  );
});

test('new signaling takes a stream back in both directions, with its last counts', async (t) => {
  const scene = await ForwarderScene.start(t);
  const [one, other] = await scene.handedOver();
  scene.answer = (line) => (line.startsWith('list map') ? counters(scene.nft.with(adding), 7) : '');
  one.signal({ address: '198.51.100.9', port: 4100 });
  await turns();
  t.deepEqual([one.forwardingPath, other.forwardingPath], ['userspace', 'userspace']);
  t.is(scene.forwarder.takenBack(), undefined, 'nobody waits for its counts');
  t.regex(scene.nft.lines.at(-1) ?? '', /^delete element netdev t flows [^;]*$/, 'a transaction of its own');
  scene.clock.advance(2000);
  await turns();
  const [count, rest] = scene.nft.lines.slice(-2);
  t.is(count, 'list map netdev t dport');
  t.regex(
    rest ?? '',
    /^delete element netdev t saddr .*; delete element netdev t daddr .*; delete element netdev t sport .*; delete .* dport/,
  );
  t.deepEqual([one.packets, other.packets], [9, 9], '2 in user space and 7 in the kernel');
  t.is(one.bytes, 9 * 172);
  t.is(scene.traffic.kernelPackets, 14);

  one.learn(remote('198.51.100.9', 4100));
  await scene.talk(one, other);
  await scene.talk(one, other);
  t.regex(scene.nft.with(adding).join(), /198\.51\.100\.9 \. 4100/);
});

test('a stream that is taken back before it was handed over never is', async (t) => {
  const scene = await ForwarderScene.start(t);
  await scene.handedOver();
  const late = scene.pair('198.51.100.70');
  const early = scene.pair('198.51.100.71');
  await scene.talk(...late, ...early);
  scene.nft.hold();
  await scene.talk(...early);
  await scene.talk(...late);
  late[0].disconnect();
  scene.nft.proceed();
  await turns(20);
  t.notRegex(scene.nft.with(adding).join(), /198\.51\.100\.70/);
  t.is(scene.forwarder.streams, 4);
});

test('a party that the kernel cannot reach stays in user space', async (t) => {
  const scene = await ForwarderScene.start(t);
  const pair = await scene.handedOver('198.51.100.1', '127.0.0.1');
  t.deepEqual(
    pair.map((leg) => leg.forwardingPath),
    ['userspace', 'userspace'],
  );
  await scene.talk(...pair);
  t.is(scene.nft.with(adding).length, 0);
  scene.routes.set('127.0.0.1', { device: 'eth0', index: 2, gateway: undefined });
  scene.clock.advance(2000);
  await turns();
  await scene.talk(...pair);
  await scene.talk(...pair);
  t.is(scene.nft.with(adding).length, 1, 'a route that appears is found');
});

test('routes that cannot be asked for are taken to be as they were', async (t) => {
  const scene = await ForwarderScene.start(t);
  const pair = await scene.handedOver();
  scene.routeFailure = new Error('ip: out of memory');
  scene.clock.advance(2000);
  await turns();
  t.deepEqual(
    pair.map((leg) => leg.forwardingPath),
    ['kernel', 'kernel'],
  );
});

test('a report does not wait for an nft that is slow', async (t) => {
  const scene = await ForwarderScene.start(t);
  const pair = await scene.handedOver();
  scene.nft.hold();
  const counted = scene.forwarder.count(pair);
  await turns();
  scene.clock.advance(300);
  await t.notThrowsAsync(counted);
  scene.nft.proceed();
});

test('of two parties with the same addresses and ports one is handed over', async (t) => {
  const scene = await ForwarderScene.start(t);
  const pair = await scene.handedOver();
  scene.lastPort = 30_000;
  const same = await scene.handedOver();
  t.deepEqual(
    [...pair, ...same].map((leg) => leg.forwardingPath),
    ['kernel', 'kernel', 'userspace', 'userspace'],
  );
  t.is(scene.nft.with(adding).length, 1);
});

test('packets that arrive although the kernel has the stream keep it in user space for a while, or until it is signaled', async (t) => {
  const scene = await ForwarderScene.start(t);
  scene.answer = (line) => (line.startsWith('list map') ? counters(scene.nft.with(adding), 0) : '');
  const [one, other] = await scene.handedOver();
  scene.clock.advance(1001);
  one.relay(rtcpReport(1));
  await turns();
  t.is(one.forwardingPath, 'kernel', 'RTCP may come to user space');
  await scene.talk(one);
  await scene.talk(one);
  t.deepEqual([one.forwardingPath, other.forwardingPath], ['userspace', 'kernel']);
  t.is(scene.forwarder.rebuilds, 0);
  one.signal({ address: '198.51.100.1', port: 4000 });
  one.learn(remote('198.51.100.1', 4000));
  await scene.talk(one);
  t.is(one.forwardingPath, 'kernel');

  scene.clock.advance(1001);
  await scene.talk(one);
  t.is(one.forwardingPath, 'userspace');
  scene.clock.advance(9999);
  await scene.talk(one);
  t.is(one.forwardingPath, 'userspace');
  scene.clock.advance(1);
  // Its route is asked for again.
  await scene.talk(one);
  await scene.talk(one);
  t.is(one.forwardingPath, 'kernel', 'what was in the way may be gone');
});

test('packets that arrive because the table is gone have it built again, at once and then after growing waits', async (t) => {
  const scene = await ForwarderScene.start(t);
  const pair = await scene.handedOver();
  const waits: number[] = [];
  scene.clock.advance(60_000);
  for (let time = 0; time < 4; time++) {
    scene.answer = (line) => (/^(get|list) /.test(line) ? gone : '');
    scene.clock.advance(1001);
    await scene.talk(...pair);
    const built = scene.nfts.length;
    let waitMs = 0;
    for (; scene.nfts.length === built; waitMs += 500) {
      scene.clock.advance(waitMs === 0 ? 0 : 500);
      await turns();
    }
    waits.push(waitMs - 500);
    scene.answer = () => '';
    await scene.talk(...pair);
    await scene.talk(...pair);
    t.is(pair[0].forwardingPath, 'kernel');
  }
  t.deepEqual(waits, [0, 1000, 2000, 4000]);
  t.is(scene.forwarder.rebuilds, 4);
});

test('an nft that dies is replaced; until then user space forwards, and what the kernel did is counted', async (t) => {
  const scene = await ForwarderScene.start(t);
  const pair = await scene.handedOver();
  const added = scene.nft.with(adding);
  scene.answer = (line) => (line.startsWith('list map') ? counters(added, 5) : '');
  scene.nft.die('Killed');
  await turns();
  const { sent } = scene;
  await scene.talk(...pair);
  t.is(scene.sent, sent + 2);
  scene.clock.advance(1000);
  await turns();
  t.is(scene.nfts.length, 2);
  t.true(scene.nft.lines[1]?.startsWith('add table netdev t; delete table netdev t; '));
  t.is(scene.traffic.kernelPackets, 10);
  await scene.talk(...pair);
  t.is(scene.nft.with(adding).length, 1, 'the routes are known');
});

test('an nft that cannot be started again is tried ever less often', async (t) => {
  const scene = await ForwarderScene.start(t);
  scene.answer = () => gone;
  scene.nft.die('Killed');
  await turns();
  for (let second = 0; second < 600; second++) {
    scene.clock.advance(1000);
    await turns();
  }
  t.true(scene.nfts.length < 20, `${scene.nfts.length} in 10 minutes`);
  scene.answer = () => '';
  scene.clock.advance(60_000);
  await turns();
  t.is(scene.forwarder.rebuilds, 1);
});

test('a device that the kernel refuses keeps its streams in user space, and does not disturb the others', async (t) => {
  const scene = await ForwarderScene.start(t);
  scene.routes.set('198.51.100.50', { device: 'tun0', index: 9, gateway: undefined });
  scene.answer = (line) => (/device "tun0"/.test(line) ? gone : '');
  const pair = await scene.handedOver('198.51.100.50');
  t.deepEqual(
    pair.map((leg) => leg.forwardingPath),
    ['userspace', 'userspace'],
  );
  const others = await scene.handedOver('198.51.100.3', '198.51.100.4');
  t.deepEqual(
    others.map((leg) => leg.forwardingPath),
    ['kernel', 'kernel'],
  );
  t.is(scene.nfts.length, 1);

  scene.answer = () => '';
  scene.clock.advance(59_000);
  await scene.talk(...pair);
  t.is(pair[0].forwardingPath, 'userspace');
  // A stream waits for up to ten seconds more.
  scene.clock.advance(11_000);
  await scene.talk(...pair);
  await scene.talk(...pair);
  t.deepEqual(
    pair.map((leg) => leg.forwardingPath),
    ['kernel', 'kernel'],
    'it is tried again',
  );
});

test('a route that changes takes its streams back, and they go the new way', async (t) => {
  const scene = await ForwarderScene.start(t);
  const pair = await scene.handedOver();
  scene.routes.set('198.51.100.2', { device: 'eth0', index: 2, gateway: '192.0.2.254' });
  scene.clock.advance(2000);
  await turns();
  t.deepEqual(
    pair.map((leg) => leg.forwardingPath),
    ['userspace', 'userspace'],
  );
  await scene.talk(...pair);
  t.regex(scene.nft.lines.join('\n'), /fwd ip to 192\.0\.2\.254 device "eth0"/);
  t.is(scene.forwarder.streams, 2);
});

test('silence is judged by the time of the last count, but not for ever', async (t) => {
  const scene = await ForwarderScene.start(t);
  t.is(scene.forwarder.countedUntilMs, scene.clock.monotonicMs(), 'nothing is in the kernel');
  await scene.handedOver();
  const countedAtMs = scene.forwarder.countedUntilMs;
  scene.clock.advance(1500);
  t.is(scene.forwarder.countedUntilMs, countedAtMs);
  scene.clock.advance(500);
  await turns();
  t.is(scene.forwarder.countedUntilMs, countedAtMs + 2000);
  scene.nft.die('Killed');
  scene.answer = () => gone;
  await scene.clock.pass(61_000, 1000);
  t.is(scene.forwarder.countedUntilMs, scene.clock.monotonicMs());
});

test('stopping removes the table, and ends nft', async (t) => {
  const scene = await ForwarderScene.start(t);
  await scene.handedOver();
  await scene.forwarder.stop();
  t.is(
    scene.nft.lines.at(-1),
    'add table netdev t; delete table netdev t; add table ip t; delete table ip t',
  );
  t.is(await scene.nft.ended, 'stopped');
  scene.clock.advance(120_000);
  await turns();
  t.is(scene.nfts.length, 1);
});

test('a start that is refused says why', async (t) => {
  const scene = new ForwarderScene(t);
  scene.answer = () => new Error('Operation not permitted (you must be root)');
  await t.throwsAsync(scene.forwarder.start(), { message: 'Operation not permitted (you must be root)' });
  t.is(await scene.nft.ended, 'stopped');
});

test('streams of a process before are in the new table from the beginning, with what the old one has counted', async (t) => {
  const scene = new ForwarderScene(t);
  const pair = scene.pair();
  const before = 'add element netdev t flows { "eth0" . 198.51.100.1 . 4000 . 30002 : 0x00700009 }';
  scene.answer = (line) => (line.startsWith('list map') ? counters([before], 9) : '');
  await scene.forwarder.start(pair);
  const [, , built] = scene.nft.lines;
  t.regex(
    built ?? '',
    /^add table netdev t; delete table .* hook ingress .* add element netdev t flows \{.*30002.*30004/,
  );
  t.is(scene.nft.lines.length, 3, 'one transaction, after what the old one has was read');
  t.deepEqual(
    pair.map(({ forwardingPath, packets, bytes }) => [forwardingPath, packets, bytes]),
    [
      ['kernel', 9, 9 * 172],
      ['kernel', 0, 0],
    ],
  );
});

test('streams that the kernel refuses to adopt begin in user space', async (t) => {
  const scene = new ForwarderScene(t);
  const pair = scene.pair();
  scene.answer = (line) => (line.includes('hook ingress') ? gone : '');
  await scene.forwarder.start(pair);
  t.is(scene.nfts.length, 2);
  t.deepEqual(
    pair.map(({ forwardingPath }) => forwardingPath),
    ['userspace', 'userspace'],
  );
});

test('whoever takes a stream back learns when the kernel has let go of it', async (t) => {
  const scene = await ForwarderScene.start(t);
  const [one] = await scene.handedOver();
  t.is(scene.forwarder.takenBack(), undefined, 'there is nothing to wait for');
  scene.nft.hold();
  one.signal({ address: '198.51.100.9', port: 4100 });
  let isDone = false;
  const done = scene.forwarder.takenBack()?.then(() => {
    isDone = true;
  });
  await turns();
  t.truthy(done);
  t.false(isDone);
  scene.nft.proceed();
  await done;
  t.true(scene.nft.with(`delete ${flows}`).length > 0);
  t.is(scene.forwarder.takenBack(), undefined);
});

test('nobody waits for a table that is lost', async (t) => {
  const scene = await ForwarderScene.start(t);
  const [one] = await scene.handedOver();
  scene.nft.hold();
  one.signal({ address: '198.51.100.9', port: 4100 });
  const done = scene.forwarder.takenBack();
  t.truthy(done);
  scene.nft.die('killed');
  await done;
  t.is(scene.forwarder.takenBack(), undefined);
});
