import { type Command, Option } from 'commander';
import { relayNodeSettings } from '../../relay-node/config.js';
import { selectionSettings } from '../replica/config.js';
import type { Setting, Settings } from '../runtime/config.js';

/** `selection` and `relay-node`: the processes. Each flag stands for an environment variable, and wins over it. */
export function addProcessCommands(program: Command): void {
  addProcess(
    program
      .command('selection')
      .summary('run a replica of the selection service')
      .description('Runs one replica until SIGTERM or SIGINT. Run as many as you like: all answer alike.'),
    selectionSettings,
    async (environment) => (await import('../replica/process.js')).runSelection(environment),
  );
  addProcess(
    program
      .command('relay-node')
      .summary('run beside a relay: watch it, register it, drain it')
      .description(
        'Registers one relay for as long as it is well. SIGTERM drains it: no new calls, wait for the present ' +
          'ones up to the deadline, leave. A second signal ends at once.',
      ),
    relayNodeSettings,
    async (environment) => (await import('../../relay-node/process.js')).runRelayNode(environment),
  );
}

function addProcess(
  command: Command,
  settings: Settings,
  run: (environment: NodeJS.ProcessEnv) => Promise<number>,
): void {
  const flagged = new Map<string, Setting<unknown>>();
  for (const setting of Object.values(settings)) {
    if (!setting.flag) {
      continue;
    }
    const option = new Option(setting.flag, `${setting.description} ${ruleOf(setting)}`);
    command.addOption(option);
    flagged.set(option.attributeName(), setting);
  }
  const secrets = Object.values(settings).filter(({ flag }) => !flag);
  if (secrets.length > 0) {
    command.addHelpText('after', secretsHelp(secrets));
  }
  command.action(async (options: Record<string, string>) => {
    const environment = { ...process.env };
    for (const [attribute, value] of Object.entries(options)) {
      const setting = flagged.get(attribute);
      if (setting) {
        environment[setting.name] = value;
      }
    }
    process.exit(await run(environment));
  });
}

/** What is allowed, the variable, and what holds without it. */
function ruleOf({ name, allowed, fallback, required }: Setting<unknown>): string {
  const otherwise = fallback ? `, default: ${fallback}` : required ? ', required' : '';
  return `(${allowed}) [${name}${otherwise}]`;
}

/** A flag could be read by every user of the machine. */
function secretsHelp(secrets: readonly Setting<unknown>[]): string {
  const lines = secrets.map((each) => `  ${each.name}  ${each.description} (${each.allowed})`);
  return `\nOnly in the environment, because it is secret:\n${lines.join('\n')}\n`;
}
