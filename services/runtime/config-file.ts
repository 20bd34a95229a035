import { readFile, stat } from 'node:fs/promises';
import { parse, TomlError } from 'smol-toml';
import { messageOf } from '../domain/error.js';
import { formatCommandLine } from './command-line.js';
import { allowedText, type Setting, type Settings, shownValue } from './config.js';
import { ConfigError } from './config-error.js';

/** Larger than any table of settings could need, bytes. */
const maxFileBytes = 1 << 20;
/** The mode bit by which all users may read a file. */
const readableByAll = 0o004;

/**
 * Reads settings from a TOML file, as environment variables. Each key is a flag without its dashes, or, for a secret, its
 * variable without `HOLDFAST_` in lower case with dashes. A list is an array, or one text with commas; a command is an array of
 * its words, or one text.
 * @throws ConfigError with all that is wrong in the file
 */
export async function readConfigFile(path: string, settings: Settings): Promise<Record<string, string>> {
  const { text, isReadableByAll } = await read(path);
  const byKey = new Map(Object.values(settings).map((setting) => [fileKeyOf(setting), setting]));
  const variables: Record<string, string> = {};
  const problems: string[] = [];
  for (const [key, value] of Object.entries(parseToml(path, text))) {
    const setting = byKey.get(key);
    const given = setting?.takesRest && isWords(value) ? formatCommandLine(value) : textOf(value);
    if (!setting) {
      problems.push(`${path}: ${key}: no such setting; allowed: ${[...byKey.keys()].sort().join(', ')}`);
    } else if (given === undefined || !setting.schema.safeParse(given).success) {
      const shown = given === undefined ? 'a table' : shownValue(setting, given);
      problems.push(`${path}: ${key}=${shown}: allowed: ${allowedText(setting)}`);
    } else if (!setting.flag && isReadableByAll) {
      problems.push(`${path}: ${key} is secret, and all users can read the file; allowed: chmod o= ${path}`);
    } else {
      variables[setting.name] = given;
    }
  }
  if (problems.length > 0) {
    throw new ConfigError(problems);
  }
  return variables;
}

/** The key of a setting in a file. */
export function fileKeyOf({ name, flag }: Setting<unknown>): string {
  const [long = ''] = /(?<=^--)[a-z0-9-]+/.exec(flag ?? '') ?? [];
  return (
    long ||
    name
      .replace(/^HOLDFAST_/, '')
      .toLowerCase()
      .replaceAll('_', '-')
  );
}

async function read(path: string): Promise<{ text: string; isReadableByAll: boolean }> {
  try {
    const { mode, size } = await stat(path);
    if (size > maxFileBytes) {
      throw new Error(`it has ${size} bytes; allowed: ${maxFileBytes}`);
    }
    return { text: await readFile(path, 'utf8'), isReadableByAll: (mode & readableByAll) !== 0 };
  } catch (error) {
    throw new ConfigError([`${path}: cannot be read: ${messageOf(error)}`]);
  }
}

function parseToml(path: string, text: string): Record<string, unknown> {
  try {
    return parse(text);
  } catch (error) {
    const { line, column } = error instanceof TomlError ? error : { line: 1, column: 1 };
    const [reason = ''] = messageOf(error).split('\n');
    throw new ConfigError([`${path}:${line}:${column}: ${reason}`]);
  }
}

const isWords = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((word) => typeof word === 'string');

/** As in the environment. Undefined for a table, or an array that has one. */
function textOf(value: unknown): string | undefined {
  if (Array.isArray(value)) {
    const items = value.map(textOf);
    return items.includes(undefined) ? undefined : items.join(',');
  }
  return ['string', 'number', 'bigint', 'boolean'].includes(typeof value) ? String(value) : undefined;
}
