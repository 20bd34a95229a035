import test, { type ExecutionContext } from 'ava';
import type { NgDictionary } from '../../../services/control/ng/message.js';
import { systemClock } from '../../../services/runtime/clock.js';
import { audioSdp, ProxyClient } from '../../support/ng.js';
import { eventually } from '../../support/registry.js';
import { testWith } from '../../support/requirement.js';
import { startRtpengine } from '../../support/rtpengine.js';
import { scene } from './builtin-scene.js';

/** Both relays are asked the same, and must answer alike: what a BYE leaves of a forked call is rtpengine's to say. */
interface Step {
  readonly command: 'offer' | 'answer' | 'delete';
  readonly from?: string;
  readonly to?: string;
  readonly branch?: string;
  readonly delay?: number;
}

const offer = (branch?: string): Step => ({ command: 'offer', from: 'F', ...(branch && { branch }) });
const answer = (to: string, branch?: string): Step => ({
  command: 'answer',
  from: 'F',
  to,
  ...(branch && { branch }),
});
const bye = (from?: string, to?: string, branch?: string): Step => ({
  command: 'delete',
  ...(from && { from }),
  ...(to && { to }),
  ...(branch && { branch }),
});

/** Calls as proxies set them up. */
const calls: Readonly<Record<string, readonly Step[]>> = {
  'one offer, not answered': [offer()],
  'one answer': [offer(), answer('A')],
  'two answers to one offer': [offer(), answer('A'), answer('B')],
  'an early answer, then another one': [offer('b1'), answer('B', 'b1'), answer('A')],
  'two branches, none answered': [offer('b1'), offer('b2')],
  'two branches, one answered': [offer('b1'), offer('b2'), answer('A', 'b1')],
  'two branches, both answered': [offer('b1'), offer('b2'), answer('A', 'b1'), answer('B', 'b2')],
  'a late offer': [
    { command: 'offer', from: 'A', to: 'F' },
    { command: 'answer', from: 'A', to: 'F' },
  ],
};

const tags = [undefined, 'F', 'A', 'B', 'stranger'];
const deletes = tags.flatMap((from) =>
  tags.flatMap((to) => [undefined, 'b1', 'b2', 'b9'].map((branch) => bye(from, to, branch))),
);

async function ask(proxy: ProxyClient, callId: string, step: Step): Promise<string> {
  const reply = await proxy.request({
    command: step.command,
    'call-id': callId,
    ...(step.from && { 'from-tag': step.from }),
    ...(step.to && { 'to-tag': step.to }),
    ...(step.branch && { 'via-branch': step.branch }),
    ...(step.delay === undefined ? {} : { 'delete delay': step.delay }),
    ...(step.command === 'delete' ? {} : { sdp: audioSdp({ address: '127.0.0.1', port: 4000 }) }),
  });
  return [reply['result'], reply['error-reason'], reply['warning']].filter(Boolean).join(': ');
}

/** Who still has ports, or why there is no such call. rtpengine lists parties that have left, without ports, for ever. */
async function left(proxy: ProxyClient, callId: string): Promise<string> {
  const reply = await proxy.request({ command: 'query', 'call-id': callId });
  if (reply['result'] !== 'ok') {
    return String(reply['error-reason']);
  }
  const parties = Object.entries(reply['tags'] as Record<string, { medias: { streams: NgDictionary[] }[] }>);
  return parties
    .filter(([, { medias }]) => medias.some(({ streams }) => streams[0]?.['local port'] !== undefined))
    .map(([tag]) => tag.replace(/^<untagged.*/, 'not answered'))
    .sort()
    .join(' ');
}

const describe = ({ command, from, to, branch }: Step) =>
  `${command} from ${from ?? '-'} to ${to ?? '-'}${branch ? ` branch ${branch}` : ''}`;

async function play(proxy: ProxyClient, callId: string, steps: readonly Step[]): Promise<string[]> {
  const lines: string[] = [];
  for (const step of steps) {
    const said = await ask(proxy, callId, step);
    lines.push(`${describe(step)}: ${said}; left: ${await left(proxy, callId)}`);
  }
  return lines;
}

async function relays(t: ExecutionContext): Promise<readonly [ProxyClient, ProxyClient]> {
  const builtin = await scene(t, { clock: systemClock, pairs: 400 });
  const daemon = await startRtpengine(t, ['--log-level=2'], '127.0.0.7');
  const rtpengine = new ProxyClient('127.0.0.1', daemon.port);
  await rtpengine.start();
  t.teardown(() => rtpengine.stop());
  return [builtin.proxy, rtpengine];
}

testWith(['rtpengine'], 'what each delete leaves of each call is what rtpengine leaves', async (t) => {
  const [builtin, rtpengine] = await relays(t);
  let number = 0;
  for (const [title, call] of Object.entries(calls)) {
    for (const first of deletes) {
      // The other party's BYE follows.
      const steps = [...call, first, bye('F', 'A')];
      const id = `${++number}`;
      const [ours, theirs] = [await play(builtin, id, steps), await play(rtpengine, id, steps)];
      t.deepEqual(ours, theirs, title);
      await Promise.all([builtin, rtpengine].map((proxy) => ask(proxy, id, bye())));
    }
  }
  t.is(number, 800);
});

const delayed = (step: Step): Step => ({ ...step, delay: 2 });
const forked = calls['two branches, both answered'] as readonly Step[];
/** What comes within the delay after a delete, and whether that takes the delete back. */
const afterDelete: readonly (readonly Step[])[] = [
  [...forked, delayed(bye('F'))],
  [...forked, delayed(bye('F')), offer('b1')],
  [...forked, delayed(bye('F')), offer('b3')],
  [...forked, delayed(bye('F')), { command: 'offer', from: 'G', branch: 'b7' }],
  [...forked, delayed(bye('F')), answer('A', 'b1')],
  [...forked, delayed(bye('F')), { command: 'offer', from: 'F', to: 'A' }],
  [...forked, delayed(bye('F')), delayed(bye('F'))],
  [...forked, delayed(bye('F')), { ...bye('F'), delay: 0 }],
  [...forked, delayed(bye())],
  [...forked, delayed(bye()), { command: 'offer', from: 'G' }],
  [...forked, delayed(bye('F', 'B'))],
  [...forked, delayed(bye('F', undefined, 'b2'))],
  [...forked, delayed(bye('F', 'B')), delayed(bye('F', 'A'))],
  [...forked, delayed(bye('F', 'B')), { command: 'offer', from: 'F', to: 'A' }],
  [...forked, delayed(bye('F', 'stranger'))],
];

testWith(
  ['rtpengine'],
  'a deleted call is known until the delay has passed, unless it is taken up again',
  async (t) => {
    const both = await relays(t);
    for (const [index, steps] of afterDelete.entries()) {
      const [ours, theirs] = await Promise.all(both.map((proxy) => play(proxy, `d${index}`, steps)));
      t.deepEqual(ours, theirs);
    }
    // The last deletes have had their time when a later one has.
    await Promise.all(both.map((proxy) => play(proxy, 'last', [offer(), { ...bye(), delay: 3 }])));
    for (const proxy of both) {
      await eventually(
        async () => (await left(proxy, 'last')) === 'Unknown call-id',
        'the end of the last call',
      );
    }
    for (const [index, steps] of afterDelete.entries()) {
      const [ours, theirs] = await Promise.all(both.map((proxy) => left(proxy, `d${index}`)));
      t.is(ours, theirs, steps.map(describe).join(', '));
    }
  },
);

test('while a deleted call is known its media pass, it makes room, and it does not count', async (t) => {
  const { proxy, relay, clock } = await scene(t, { deleteDelayMs: 30_000, maxSessions: 2, pairs: 4 });
  const load = () => relay.media.load();
  t.is(await ask(proxy, 'one', offer()), 'ok');
  t.is(await ask(proxy, 'one', bye('F')), 'ok');
  t.is(load().calls, 0);
  t.is(await left(proxy, 'one'), 'F not answered');
  t.is(await ask(proxy, 'two', offer()), 'ok');
  t.is(load().portPairsFree, 0);
  t.is(await ask(proxy, 'three', offer()), 'ok', 'in the ports of the first');
  t.is(await left(proxy, 'one'), 'Unknown call-id');
  t.is(await ask(proxy, 'four', offer()), 'error: Parallel session limit reached');
  t.is(await ask(proxy, 'two', bye('F')), 'ok');
  clock.advance(29_000);
  t.is(await left(proxy, 'two'), 'F not answered');
  clock.advance(2000);
  t.is(await left(proxy, 'two'), 'Unknown call-id');
  t.is(load().calls, 1);
});

test('deleted calls without ports are bounded too', async (t) => {
  const { proxy } = await scene(t, { deleteDelayMs: 30_000, maxSessions: 3 });
  const sdp = audioSdp({ address: '127.0.0.1', port: 0 });
  for (let number = 0; number < 10; number++) {
    await proxy.request({ command: 'offer', 'call-id': `${number}`, 'from-tag': 'F', sdp });
    await ask(proxy, `${number}`, bye('F'));
  }
  t.deepEqual(await proxy.list(), ['7', '8', '9']);
});

test('a delete that must not fail silently says so', async (t) => {
  const { proxy } = await scene(t);
  const reply = await proxy.request({ command: 'delete', 'call-id': 'x', 'from-tag': 'F', flags: ['fatal'] });
  t.deepEqual({ ...reply }, { result: 'error', 'error-reason': "Call-ID not found or tags didn't match" });
});
