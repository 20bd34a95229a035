#!/usr/bin/env -S node --max-semi-space-size=64
// A replica allocates short-lived objects at a high rate: V8's default of 16 MB for them makes collections a tenth dearer.
import { createRequire } from 'node:module';
import { logVerbosity, setLogVerbosity } from '@grpc/grpc-js';
import { Command, CommanderError } from 'commander';
import { messageOf } from '../domain/error.js';
import { ConfigError } from '../runtime/config.js';
import { exitCodes } from '../runtime/lifecycle.js';
import { addBindingsCommand } from './commands/bindings.js';
import { addDrainCommand } from './commands/drain.js';
import { addLookupCommand } from './commands/lookup.js';
import { addMoveCommand } from './commands/move.js';
import { addRelayNodeCommand } from './commands/relay-node.js';
import { addRelaysCommand } from './commands/relays.js';
import { addReleaseCommand } from './commands/release.js';
import { addResumeCommand } from './commands/resume.js';
import { addSelectCommand } from './commands/select.js';
import { addSelectionCommand } from './commands/selection.js';
import { addUpCommand } from './commands/up.js';
import { CommandError, exitHelp, exits } from './exit.js';
import { exitOnClosedPipe } from './output.js';

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
  .showHelpAfterError('(see --help)')
  .exitOverride()
  .addHelpText('after', examples + exitHelp);

// In the order of --help.
addUpCommand(program);
addSelectionCommand(program);
addRelayNodeCommand(program);
addRelaysCommand(program);
addDrainCommand(program);
addResumeCommand(program);
addBindingsCommand(program);
addSelectCommand(program);
addLookupCommand(program);
addMoveCommand(program);
addReleaseCommand(program);
for (const command of program.commands) {
  command.exitOverride().showHelpAfterError('(see --help)');
}

exitOnClosedPipe();
// gRPC reports its problems as errors, too; its own log lines would only mix with ours.
setLogVerbosity(logVerbosity.NONE);
// gRPC passes an IP address as TLS server name, and Node prints a deprecation warning that no user can act on.
process.noDeprecation = true;

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error);
}

/** Prints what went wrong. @returns the exit code */
function report(error: unknown): number {
  // Commander has already printed it.
  if (error instanceof CommanderError) {
    return error.exitCode === 0 ? exits.ok : exits.usage;
  }
  process.stderr.write(`holdfast: ${messageOf(error)}\n`);
  if (error instanceof CommandError) {
    return error.exitCode;
  }
  return error instanceof ConfigError ? exitCodes.config : exits.failed;
}
