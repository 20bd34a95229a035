import test from 'ava';
import { exitCodes } from '../../services/runtime/lifecycle.js';
import { runHoldfast } from '../support/stack.js';

const list = (count: number, item: (i: number) => string) => Array.from({ length: count }, (_, i) => item(i));
const names = list(65, (i) => `proxy-${i}.example.org`).join();
const tls = { HOLDFAST_GRPC_TLS_CERT: '/c', HOLDFAST_GRPC_TLS_KEY: '/k', HOLDFAST_GRPC_TLS_CLIENT_CA: '/ca' };

/** Each is just beyond its limit. */
const settings: readonly (readonly [name: string, value: string])[] = [
  ['HOLDFAST_GRPC_SELECT_NAMES', names],
  ['HOLDFAST_GRPC_ADMIN_NAMES', names],
  ['HOLDFAST_GRPC_ADMIN_NAMES', 'x'.repeat(254)],
  ['HOLDFAST_NG_ALLOW', list(65, (i) => `10.0.0.${i}`).join()],
  ['HOLDFAST_NG_LISTEN', list(9, (i) => `127.0.0.1:${2000 + i}`).join()],
];

test('settings beyond their limits end a replica before it listens, by their names', async (t) => {
  for (const [name, value] of settings) {
    const env = { HOLDFAST_ETCD: '127.0.0.1:1', ...tls, [name]: value };
    const { code, output } = await runHoldfast(t, ['selection'], env);
    t.is(code, exitCodes.config, output);
    t.regex(output, new RegExp(name));
    t.notRegex(output, /listening/);
  }
});
