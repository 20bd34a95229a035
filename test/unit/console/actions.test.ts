import { status } from '@grpc/grpc-js';
import test from 'ava';
import { HoldfastRpcError, RelayState } from '../../../services/client/index.js';
import { Actions } from '../../../services/console/actions.js';

const token = 'the-token-of-this-run';
const good = {
  host: '127.0.0.1:7490',
  origin: 'http://127.0.0.1:7490',
  'x-holdfast-token': token,
};

function scene(failure?: Error) {
  const asked: object[] = [];
  const answer = async (request: object): Promise<never> => {
    asked.push(request);
    if (failure) {
      throw failure;
    }
    return {
      intent: { actor: 'jo' },
      binding: { generation: 2n, relay: { set: 'default', id: 'media-2' } },
    } as never;
  };
  const { routes } = new Actions({ client: { setIntent: answer, move: answer }, token, actor: 'jo' });
  const post = async (
    action: string,
    fields: Record<string, string | number>,
    headers: Record<string, string | undefined> = {},
  ) => {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(fields)) {
      query.set(name, `${value}`);
    }
    const reply = await routes({
      path: `/api/v1/actions/${action}`,
      query,
      headers: { ...good, ...headers },
    });
    return { status: reply?.status, ...JSON.parse(String(reply?.body ?? '{}')) };
  };
  return { asked, post };
}

const drain = { set: 'default', id: 'media-1', reason: 'new kernel' };

test('drain, resume and move ask a replica, with the reason', async (t) => {
  const { asked, post } = scene();
  t.deepEqual(await post('drain', drain), {
    status: 200,
    done: 'default/media-1 is draining: new kernel, by jo',
  });
  t.is((await post('resume', drain)).status, 200);
  const move = { callId: 'a', set: 'default', generation: 1, target: 'media-2', reason: 'one-way audio' };
  t.regex((await post('move', move)).done, /^the call is on default\/media-2, generation 2/);
  t.like(asked[0], { relayId: 'media-1', state: RelayState.DRAINING, reason: 'new kernel', actor: 'jo' });
  t.like(asked[1], { state: RelayState.ACTIVE });
  t.like(asked[2], {
    callId: 'a',
    generation: 1n,
    targetRelayId: 'media-2',
    reason: 'one-way audio',
    actor: 'jo',
  });
});

for (const [what, headers] of Object.entries({
  'another site': { origin: 'http://evil.example' },
  'another port': { origin: 'http://127.0.0.1:8080' },
  'a page without an origin': { origin: undefined },
  'a file': { origin: 'null' },
  'a name that leads here': { host: 'evil.example:7490', origin: 'http://evil.example:7490' },
  'somebody without the token': { 'x-holdfast-token': undefined },
  'somebody with another token': { 'x-holdfast-token': 'x'.repeat(token.length) },
})) {
  test(`nothing is done for ${what}`, async (t) => {
    const { asked, post } = scene();
    const { status: code, error } = await post('drain', drain, headers);
    t.is(code, 403);
    t.truthy(error);
    t.deepEqual(asked, []);
  });
}

test('what is no action, or lacks a reason, is refused with what is wrong', async (t) => {
  const { asked, post } = scene();
  t.like(await post('drain', { ...drain, reason: ' ' }), { status: 400 });
  t.regex((await post('drain', { set: 'default', id: 'media-1' })).error, /^reason: /);
  t.regex((await post('drain', { ...drain, reason: 'x'.repeat(257) })).error, /^reason: /);
  t.regex((await post('move', { callId: 'a', reason: 'x' })).error, /^generation: /);
  t.regex((await post('move', { callId: 'a', reason: 'x', generation: '0' })).error, /^generation: /);
  t.regex((await post('reboot', {})).error, /drain, resume, move/);
  t.deepEqual(asked, []);
});

test('what a replica refuses is told with its words', async (t) => {
  const failure = new HoldfastRpcError('relay default/media-1 is not registered', { code: status.NOT_FOUND });
  t.deepEqual(await scene(failure).post('drain', drain), {
    status: 404,
    error: 'relay default/media-1 is not registered',
  });
});
