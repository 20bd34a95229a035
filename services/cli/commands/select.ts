import type { Command } from 'commander';
import { maxTtlSeconds, minTtlSeconds } from '../../domain/binding.js';
import {
  type ConstraintOptions,
  callSetOption,
  constraintsOf,
  type RemoteOptions,
  remote,
  wholeOption,
  withConstraints,
} from '../options.js';
import { printAnswer } from '../shapes.js';

interface SelectOptions extends ConstraintOptions, RemoteOptions {
  readonly set?: string;
  readonly branch?: string;
  readonly ttl?: number;
  readonly requestId?: string;
}

export function addTo(program: Command): void {
  withConstraints(remote(program.command('select <call-id>')))
    .summary('the relay of a call, which is bound if it is not bound yet')
    .description('Selects the relay of a call, as a SIP proxy does for every INVITE and re-INVITE.')
    .addOption(callSetOption())
    .option('--branch <via-branch>', 'bind this branch of a forked call separately')
    .option(
      '--ttl <seconds>',
      `minimum life of the binding after this use, ${minTtlSeconds}-${maxTtlSeconds} (default: as the service is configured)`,
      wholeOption(minTtlSeconds, maxTtlSeconds),
    )
    .option('--request-id <id>', 'identifies this request across retries')
    .action(async (callId: string, options: SelectOptions) => {
      const { set, branch, ttl, requestId } = options;
      const request = { callId, set, viaBranch: branch, ttlSeconds: ttl, requestId };
      await options.withClient(async (client) =>
        printAnswer(await client.select({ ...request, ...constraintsOf(options) }), options),
      );
    });
}
