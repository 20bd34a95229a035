import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { NgDictionary } from '../../../services/control/ng/message.js';
import { audioSdp, newCall, relayedTo } from '../../support/ng.js';
import { repository } from '../../support/repository.js';
import { transcripts } from '../../support/rtpproxy-transcripts.js';
import { suite } from './builtin-comparison.js';
import { rtpproxyScene } from './builtin-rtpproxy-scene.js';
import { party, sdpOf, until } from './builtin-scene.js';

const page = readFileSync(join(repository, 'relay-node/comparison.md'), 'utf8');
const tests = join(repository, 'test/integration/relay-node');
const sources = readdirSync(tests).map((name) => readFileSync(join(tests, name), 'utf8'));

/** Titles of tests, as they are written. */
function titles(by: 'suite' | 'test'): string[] {
  const names = by === 'suite' ? 'suite' : '(?:suite|test|testWith)(?:\\.serial)?';
  const title = new RegExp(`^ *${names}\\(\\s*(?:\\[[^\\]]*\\],\\s*)?['\`]([^'\`]+)['\`]`, 'gm');
  return sources.flatMap((source) => [...source.matchAll(title)].map(([, each = '']) => each));
}

/** Cells of the tables below a heading, without the code marks. */
function rows(heading: string): string[][] {
  const [, section = ''] = page.split(`\n## ${heading}\n`);
  const tables = (section.split('\n## ')[0] ?? '').matchAll(/^\|.*\|\n\| --- .*\n((?:\|.*\|\n)+)/gm);
  return [...tables].flatMap(([, body = '']) =>
    body
      .trim()
      .split('\n')
      .map((row) =>
        row
          .slice(2, -2)
          .split(' | ')
          .map((cell) => cell.replace(/^`(.*)`$/, '$1')),
      ),
  );
}

test('the page names all that both relays are asked, and tests that there are', (t) => {
  const different = ['rtpengine', 'rtpproxy'].flatMap((relay) => rows(`Different from ${relay} on purpose`));
  t.true(different.length > 5);
  const holding = different.map((cells) => cells.at(-1) ?? '');
  const compared = titles('suite').filter((title) => !holding.includes(title) && !isOfThisPage(title));
  t.deepEqual(rows('The same as rtpengine').flat().sort(), compared.sort());
  const known = titles('test');
  t.deepEqual(
    holding.filter((title) => !known.includes(title)),
    [],
  );
});

const isOfThisPage = (title: string) => title.startsWith('what the page says ');

suite('what the page says to be refused is refused by the built-in relay alone', async (t, proxy, kind) => {
  const asked = rows('Refused, where rtpengine takes it').map(([first = '']) => first);
  t.true(asked.length > 15);
  const sdp = audioSdp({ address: '127.0.0.1', port: 4000 });
  for (const each of asked) {
    const call = newCall();
    const about = { 'call-id': call.callId, 'from-tag': call.fromTag };
    const isCommand = / /.test(each);
    if (isCommand) {
      await proxy.offer(call, sdp);
      await proxy.answer(call, sdp);
    }
    const [name = '', value] = each.split('=');
    const extra: NgDictionary = value === undefined ? { flags: [name] } : { [name]: value };
    const reply = await (isCommand
      ? proxy.request({ command: each, ...about })
      : proxy.offer(call, sdp, { extra }));
    const refusal = isCommand ? 'Unrecognized command' : `Option "${name}" is not supported by this relay`;
    t.is(reply['error-reason'], kind === 'built-in' ? refusal : undefined, each);
    t.is(reply['result'], kind === 'built-in' ? 'error' : 'ok', each);
    await proxy.delete(call);
  }
});

suite('a stranger is dropped by the built-in relay, and heard by rtpengine', async (t, proxy, kind) => {
  const [caller, callee, stranger] = [await party(t), await party(t), await party(t, '127.0.0.2')];
  const call = newCall();
  await proxy.offer(call, sdpOf(caller));
  const forCaller = relayedTo(await proxy.answer(call, sdpOf(callee)));
  await caller.sendRtp(forCaller);
  await callee.rtp.nth(1);
  const isHeard = () => callee.rtp.heard.some(({ data }) => data.readUInt32BE(8) === stranger.ssrc >>> 0);
  const knock = setInterval(() => void stranger.sendRtp(forCaller), 20);
  t.teardown(() => clearInterval(knock));
  if (kind === 'rtpengine') {
    await until(isHeard);
  }
  for (let count = 0; count < 100; count++) {
    await stranger.sendRtp(forCaller);
    const heard = callee.rtp.heard.length;
    await caller.sendRtp(forCaller);
    await callee.rtp.nth(heard + 1);
  }
  t.is(isHeard(), kind === 'rtpengine');
});

test('what the page says to be refused is refused as an rtpproxy, and was taken by rtp-io', async (t) => {
  const { ask } = await rtpproxyScene(t);
  const asked = rows('Refused, where rtpproxy takes it');
  t.true(asked.length > 4);
  for (const [command = '', reply] of asked) {
    t.is(await ask(command), reply ?? '', command);
    const kindOf = (text: string) => text.split(' ')[0] + (text.includes('&&') ? ' &&' : '');
    const recorded = transcripts.flatMap(({ exchanges }) =>
      exchanges.filter(([each]) => kindOf(each) === kindOf(command)),
    );
    t.true(
      recorded.some(([, told]) => !told.startsWith('E')),
      command,
    );
  }
});
