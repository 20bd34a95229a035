import { type Command, Option } from 'commander';
import { formatCommandLine } from '../runtime/command-line.js';
import type { Setting, Settings } from '../runtime/config.js';

const configVariable = 'HOLDFAST_CONFIG';

/**
 * Makes a command out of the settings of a process. A flag wins over the environment variable that the process was started with,
 * and that over the file of `--config`.
 */
export function processCommand(
  command: Command,
  settings: Settings,
  run: (environment: NodeJS.ProcessEnv) => Promise<number>,
): void {
  const byAttribute = new Map<string, Setting<unknown>>();
  for (const setting of Object.values(settings)) {
    if (!setting.flag) {
      continue;
    }
    const option = new Option(setting.flag, `${setting.description} ${ruleOf(setting)}`);
    command.addOption(option);
    byAttribute.set(option.attributeName(), setting);
  }
  command.option(
    '--config <file>',
    `settings in TOML, a key for each flag, such as etcd-prefix = "/x"; flags and variables win [${configVariable}]`,
  );
  const [restAttribute, rest] = [...byAttribute].find(([, { takesRest }]) => takesRest) ?? [];
  if (rest) {
    command.argument('[command...]', `after --: what ${rest.flag} takes`);
  }
  const secrets = Object.values(settings).filter(({ flag }) => !flag);
  if (secrets.length > 0) {
    command.addHelpText('after', secretsHelp(secrets));
  }
  command.action(async () => {
    const options: Record<string, string> = command.opts();
    if (restAttribute) {
      Object.assign(options, restOf(command, restAttribute));
    }
    const { [configVariable]: named, ...given } = setVariables(process.env);
    const path = options['config'] ?? named;
    const environment: NodeJS.ProcessEnv = path
      ? { ...(await (await import('../runtime/config-file.js')).readConfigFile(path, settings)), ...given }
      : given;
    for (const [attribute, value] of Object.entries(options)) {
      const setting = byAttribute.get(attribute);
      if (setting) {
        environment[setting.name] = value;
      }
    }
    process.exit(await run(environment));
  });
}

/** What stands after `--`, for the flag that says that something does. */
function restOf(command: Command, attribute: string): Record<string, string> {
  const isAnnounced = command.opts()[attribute] === true;
  if (isAnnounced !== command.args.length > 0) {
    command.error(`error: --${attribute} and a command after -- belong together`);
  }
  return isAnnounced ? { [attribute]: formatCommandLine(command.args) } : {};
}

/** An empty variable counts as not set. */
function setVariables(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''));
}

/** The allowed values, the variable, and the default. */
function ruleOf({ name, allowed, fallback, required }: Setting<unknown>): string {
  const otherwise = fallback ? `, default: ${fallback}` : required ? ', required' : '';
  return `(${allowed}) [${name}${otherwise}]`;
}

/** Secrets have no flags: every user of the machine can read the arguments of a process. */
function secretsHelp(secrets: readonly Setting<unknown>[]): string {
  const lines = secrets.map((each) => `  ${each.name}  ${each.description} (${each.allowed})`);
  return `\nOnly in the environment or the file of --config, because they are secret:\n${lines.join('\n')}\n`;
}
