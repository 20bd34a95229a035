import { once } from 'node:events';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { Console } from '../../console/console.js';
import { type Address, isLoopback, parseAddress } from '../../runtime/address.js';
import { systemClock } from '../../runtime/clock.js';
import { silentLogger } from '../../runtime/log.js';
import { actor } from '../actor.js';
import { type RemoteOptions, remoteAll } from '../options.js';
import { json, print } from '../output.js';

interface ConsoleOptions extends RemoteOptions {
  readonly listen: Address;
}

const defaultListen = '127.0.0.1:7490';

export function addTo(program: Command): void {
  remoteAll(program.command('console'))
    .summary('the page of all replicas, where relays are drained and calls moved')
    .description(
      'Serves one page for all --server replicas to a browser on this machine, until interrupted. There, drain, resume and ' +
        'move are buttons that ask for a reason; they use gRPC, with --cert where replicas know operators by certificate.',
    )
    .addOption(
      new Option('--listen <host:port>', 'where the page is served, on loopback; port 0 takes a free one')
        .default(listenOption(defaultListen), defaultListen)
        .argParser(listenOption),
    )
    .action((options: ConsoleOptions) =>
      options.withClient((client) =>
        options.withClients(async (clients) => {
          const { listen } = options;
          const served = new Console({
            listen,
            clients,
            client,
            actor: actor(),
            clock: systemClock,
            log: silentLogger,
          });
          await served.start();
          try {
            const url = `http://${served.address}/`;
            print(options.json ? json({ url }) : `open ${url} (Ctrl-C ends)`);
            await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
          } finally {
            await served.stop();
          }
        }),
      ),
    );
}

function listenOption(value: string): Address {
  const address = parseAddress(value);
  if (address && isLoopback(address.host)) {
    return address;
  }
  throw new InvalidArgumentError('allowed: HOST:PORT of a loopback address');
}
