import type { Command } from 'commander';
import { type HoldfastClient, RelayState } from '../../client/index.js';
import { setIntent } from '../intent.js';
import { type RemoteOptions, remote, setOption } from '../options.js';
import { counted, json, print } from '../output.js';

const pollMs = 500;

interface DrainOptions extends RemoteOptions {
  readonly set: string;
  readonly reason?: string;
  readonly wait?: true;
}

export function addTo(program: Command): void {
  remote(program.command('drain <relay>'))
    .summary('give a relay no new calls; its calls go on')
    .description(
      'Gives the relay no new calls until holdfast resume; the calls that it has go on. With --wait, returns when ' +
        'the last of them has ended.',
    )
    .addOption(setOption('set of the relay'))
    .option('--reason <text>', 'why, for other operators')
    .option('--wait', 'print progress, and return when the last call has ended')
    .action((relayId: string, options: DrainOptions) =>
      options.withClient(async (client) => {
        const { set, reason } = options;
        await setIntent(client, { relayId, set, reason, state: RelayState.DRAINING }, options);
        if (options.wait) {
          await waitUntilIdle(client, relayId, options);
        }
      }),
    );
}

/**
 * Returns when the relay is gone, or has reported twice since it was drained that it carries no calls: the first report may
 * be older than the offer of the last call that was bound to it. Bindings do not count, because proxies need not release.
 */
async function waitUntilIdle(
  client: HoldfastClient,
  relayId: string,
  { set, json: asJson }: DrainOptions,
): Promise<void> {
  let printed = '';
  let lastReportMs: number | undefined;
  for (let idleReports = 0; ; ) {
    const { relays } = await client.listRelays(set);
    const relay = relays.find(({ id }) => id === relayId);
    const calls = relay?.load?.calls;
    const line = asJson
      ? json({ set, relay: relayId, registered: relay !== undefined, calls })
      : `${set}/${relayId} ${relay ? `carries ${counted(calls, 'call')}` : 'is not registered'}`;
    if (line !== printed) {
      print(line);
    }
    printed = line;
    if (!relay) {
      return;
    }
    const reportMs = relay.load?.reportTime?.getTime();
    if (calls !== 0) {
      idleReports = 0;
    } else if (lastReportMs !== undefined && reportMs !== lastReportMs && ++idleReports === 2) {
      return;
    }
    lastReportMs = reportMs;
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}
