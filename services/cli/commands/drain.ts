import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { type HoldfastClient, RelayState } from '../../client/index.js';
import { CommandError } from '../exit.js';
import { absentOkOption, type IntentOptions, setIntent } from '../intent.js';
import { type RemoteOptions, remote, setOption } from '../options.js';
import { counted, json, print } from '../output.js';

const pollMs = 500;
/** A registration that was lost for a moment, with etcd or by a restart of its relay node, is back by then. */
const absenceMs = 10_000;

interface DrainOptions extends RemoteOptions, IntentOptions {
  readonly reason?: string;
  readonly wait?: true;
}

export function addTo(program: Command): void {
  remote(program.command('drain <relay>'))
    .summary('give a relay no new calls; its calls go on')
    .description(
      'Gives the relay no new calls until holdfast resume; the calls that it has go on. With --wait, returns when ' +
        'the last of them has ended, and fails if the relay goes away before.',
    )
    .addOption(setOption('set of the relay'))
    .option('--reason <text>', 'why, for other operators')
    .option('--wait', 'print progress, and return when the last call has ended')
    .option(...absentOkOption)
    .action((relayId: string, options: DrainOptions) =>
      options.withClient(async (client) => {
        const { reason } = options;
        await setIntent(client, { relayId, reason, state: RelayState.DRAINING }, options);
        if (options.wait) {
          await waitUntilIdle(client, relayId, options);
        }
      }),
    );
}

/**
 * Returns when the relay has reported twice since it was drained that it carries no calls: the first report may be older than
 * the offer of the last call that was bound to it. Bindings do not count, because proxies need not release. A relay node
 * that was told to stop leaves when it is idle.
 * @throws CommandError if the relay stays away, and what it carried is not known to have ended
 */
async function waitUntilIdle(client: HoldfastClient, relayId: string, options: DrainOptions): Promise<void> {
  const { set, json: asJson } = options;
  let printed = '';
  let known: Known | undefined;
  let seenAtMs = 0;
  for (let idleReports = 0; idleReports < 2; ) {
    const { relays } = await client.listRelays(set);
    const relay = relays.find(({ id }) => id === relayId);
    const line = asJson
      ? json({ set, relay: relayId, registered: relay !== undefined, calls: relay?.load?.calls })
      : `${set}/${relayId} ${relay ? `carries ${counted(relay.load?.calls, 'call')}` : 'is not registered'}`;
    if (line !== printed) {
      print(line);
      printed = line;
    }
    if (relay) {
      seenAtMs = performance.now();
      const report = { calls: relay.load?.calls, atMs: relay.load?.reportTime?.getTime() };
      const isNews = known !== undefined && report.atMs !== known.atMs;
      idleReports = report.calls !== 0 ? 0 : idleReports + (isNews ? 1 : 0);
      known = report;
    } else if (known?.calls === 0) {
      return;
    } else if (!known || performance.now() - seenAtMs > absenceMs) {
      throw new CommandError(mayCarry(`${set}/${relayId}`, known));
    }
    await sleep(pollMs);
  }
}

/** The last load report. */
interface Known {
  readonly calls: number | undefined;
  readonly atMs: number | undefined;
}

function mayCarry(name: string, known: Known | undefined): string {
  return known
    ? `${name} is no longer registered, and carried ${counted(known.calls, 'call')} when it was: they may go on there`
    : `${name} is not registered: what it carries is not known`;
}
