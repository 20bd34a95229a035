import test from 'ava';
import { Relay, RelayState } from '../../../proto/generated/holdfast/v1/relay.js';
import { relayTable } from '../../../services/cli/relay-table.js';

const draining = Relay.fromPartial({
  set: 'default',
  id: 'media-1',
  state: RelayState.DRAINING,
  weight: 100,
  capacity: 2000,
  controlUrl: 'udp:192.0.2.1:2223',
  instance: '0123456789abcdef',
  reason: 'kernel upgrade of the host, back at noon',
  actor: 'ann',
  intentTime: new Date(Date.now() - 3_600_000),
});

test('80 columns are enough for what a relay does, why, who said so, and since when', (t) => {
  const lines = relayTable([draining], { width: 80, colors: false });
  t.true(lines.every((line) => line.length <= 80));
  t.regex(lines[0] ?? '', /^SET +RELAY +STATE +WEIGHT +CALLS .*REASON +BY +SINCE$/);
  t.regex(lines[1] ?? '', /^default +media-1 +draining +100 +\?\/2000 .*kernel upgrade.*… +ann +1h ago$/);
});

test('without an intent there are no columns for one, and nothing is cut in a pipe', (t) => {
  const pipe = { width: undefined, colors: false };
  const active = { ...draining, reason: '', actor: '', intentTime: undefined };
  t.notRegex(relayTable([active], pipe)[0] ?? '', /REASON|BY|SINCE/);
  t.true(relayTable([draining], pipe)[1]?.includes('kernel upgrade of the host, back at noon  ann  1h ago'));
});
