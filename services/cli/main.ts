#!/usr/bin/env -S node --max-semi-space-size=64
// A replica makes short-lived objects at a high rate: with V8's 16 MB for them, collections would cost it a tenth more.
import { createRequire } from 'node:module';
import { logVerbosity, setLogVerbosity } from '@grpc/grpc-js';
import { Command, CommanderError } from 'commander';
import { messageOf } from '../domain/error.js';
import { ConfigError } from '../runtime/config.js';
import { exitCodes } from '../runtime/lifecycle.js';
import { addCallCommands } from './call-commands.js';
import { CommandError, exitHelp, exits } from './exit.js';
import { endWhenUnread } from './output.js';
import { addProcessCommands } from './process-commands.js';
import { addRelayCommands } from './relay-commands.js';
import { addUpCommand } from './up/command.js';

const { version } = createRequire(import.meta.url)('#package') as { version: string };

const examples = `
Examples:
  holdfast up                                     everything on this machine, with a proof on real calls
  holdfast relays --watch                         membership, as it changes
  holdfast select a84b4c76e66710@pc33.example     which relay carries this call
  holdfast drain relay-1 --wait && systemctl restart rtpengine && holdfast resume relay-1
  holdfast bindings --relay relay-1 --json | wc -l
`;

const program = new Command('holdfast')
  .description('A session registry for SIP media relays: a call stays on its relay.')
  .version(version)
  .showHelpAfterError('(--help tells more)')
  .exitOverride()
  .addHelpText('after', examples + exitHelp);

addUpCommand(program);
addProcessCommands(program);
addRelayCommands(program);
addCallCommands(program);
for (const command of program.commands) {
  command.exitOverride().showHelpAfterError('(--help tells more)');
}

endWhenUnread();
// What gRPC has to say of itself arrives as errors; its own log would stand between the lines of ours.
setLogVerbosity(logVerbosity.NONE);
// gRPC names an IP address in a TLS handshake, and Node says so on standard error: nobody who reads that can change it.
process.noDeprecation = true;

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error);
}

/** Says what went wrong. @returns the exit code */
function report(error: unknown): number {
  // Commander has said it.
  if (error instanceof CommanderError) {
    return error.exitCode === 0 ? exits.ok : exits.usage;
  }
  process.stderr.write(`holdfast: ${messageOf(error)}\n`);
  if (error instanceof CommandError) {
    return error.exitCode;
  }
  return error instanceof ConfigError ? exitCodes.config : exits.failed;
}
