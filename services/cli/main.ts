#!/usr/bin/env -S node --max-semi-space-size=16
// Short-lived objects take up to three times that, MiB, before they are collected: less makes calls dearer, more makes what a flood
// leaves grow (test/hostile/README.md). V8's own choice depends on its version and on the memory of the machine.
import '../runtime/first-process.js';
import { Command, CommanderError } from 'commander';
import { messageOf } from '../domain/error.js';
import { ConfigError } from '../runtime/config-error.js';
import { exitCodes } from '../runtime/lifecycle.js';
import { version } from '../runtime/version.js';
import { CommandError, exitHelp, exits } from './exit.js';
import { exitOnClosedPipe, flushOutput } from './output.js';

const examples = `
Examples:
  holdfast up                                     everything on this machine, with a proof on real calls
  holdfast relays --watch                         membership, as it changes
  holdfast top                                    the same, with problems and events, drawn again and again
  holdfast events --since 1h                      what happened to relays, calls and etcd
  holdfast select a84b4c76e66710@pc33.example     which relay carries this call
  holdfast history a84b4c76e66710@pc33.example    which relays it had before, and why it was moved
  holdfast drain relay-1 --wait && systemctl restart rtpengine && holdfast resume relay-1
  holdfast bindings --relay relay-1 --json | wc -l
`;

/** In the order of --help. Each loads what it needs: the client of a replica takes longer to load than to run. */
const commands: Readonly<Record<string, () => Promise<{ addTo(program: Command): void }>>> = {
  up: () => import('./commands/up.js'),
  check: () => import('./commands/check.js'),
  selection: () => import('./commands/selection.js'),
  'relay-node': () => import('./commands/relay-node.js'),
  settings: () => import('./commands/settings.js'),
  top: () => import('./commands/top.js'),
  console: () => import('./commands/console.js'),
  relays: () => import('./commands/relays.js'),
  events: () => import('./commands/events.js'),
  drain: () => import('./commands/drain.js'),
  disable: () => import('./commands/disable.js'),
  resume: () => import('./commands/resume.js'),
  weight: () => import('./commands/weight.js'),
  bindings: () => import('./commands/bindings.js'),
  select: () => import('./commands/select.js'),
  lookup: () => import('./commands/lookup.js'),
  history: () => import('./commands/history.js'),
  move: () => import('./commands/move.js'),
  release: () => import('./commands/release.js'),
  completion: () => import('./commands/completion.js'),
};
/** It is about all the others. */
const overall = 'completion';

const program = new Command('holdfast')
  .description('A session registry for SIP media relays: a call stays on its relay.')
  .version(version)
  .showHelpAfterError('(see --help)')
  .exitOverride()
  .addHelpText('after', examples + exitHelp);

// gRPC reports its problems as errors, too; its own log lines would only mix with ours. It
// reads this as it is loaded.
process.env['GRPC_VERBOSITY'] ??= 'NONE';
// gRPC passes an IP address as TLS server name, and Node prints a deprecation warning that no user can act on.
process.noDeprecation = true;

for (const load of loadersFor(process.argv[2])) {
  (await load()).addTo(program);
}
for (const command of program.commands) {
  command.exitOverride().showHelpAfterError('(see --help)');
}

exitOnClosedPipe();

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error);
}
await flushOutput();
// A connection that is still being made keeps a process alive for as long as TCP tries: two minutes where nobody refuses it.
process.exit();

/** The command that is named first, or all of them, for help and completion. */
function loadersFor(name = ''): readonly (() => Promise<{ addTo(program: Command): void }>)[] {
  const named = Object.hasOwn(commands, name) && name !== overall ? commands[name] : undefined;
  return named ? [named] : Object.values(commands);
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
