import { type Command, InvalidArgumentError, Option } from 'commander';
import { commonSettings } from '../../runtime/config.js';
import { exits } from '../exit.js';
import { wholeOption } from '../options.js';
import type { UpOptions } from '../up/run.js';

const { etcd } = commonSettings;

export function addTo(program: Command): void {
  program
    .command('up')
    .summary('run everything on this machine, and prove it with real calls')
    .description(
      'Starts etcd (embedded, unless --etcd names one), two replicas and three built-in relays on loopback, proves ' +
        'with real calls that calls stay on their relays, and runs until Ctrl-C.',
    )
    .option('--once', 'stop after the proof; exit code 0 only if every line holds')
    .option(
      '--port <port>',
      'gRPC port of the first replica, the second has the next; 0 takes free ones',
      wholeOption(0, 65_534),
      7400,
    )
    .option(
      '--etcd-port <port>',
      'port of the embedded etcd; 0 takes a free one',
      wholeOption(0, 65_535),
      7379,
    )
    .addOption(
      new Option('--etcd <endpoints>', 'use this etcd instead of the embedded one')
        .env(etcd.name)
        .argParser(etcdOption),
    )
    .action(async (options: UpOptions) => {
      // No other command needs these modules.
      const { up } = await import('../up/run.js');
      process.exitCode = (await up(options)) ? exits.ok : exits.failed;
    });
}

function etcdOption(value: string): string {
  if (etcd.schema.safeParse(value).success) {
    return value;
  }
  throw new InvalidArgumentError(`allowed: ${etcd.allowed}`);
}
