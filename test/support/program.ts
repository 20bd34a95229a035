import { accessSync, constants, existsSync, readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, isAbsolute, join } from 'node:path';

/** The PATH of an ordinary user often lacks the directories of system daemons. */
const systemDirectories = ['/usr/local/sbin', '/usr/sbin', '/sbin'];

/** Modules and libraries, with their paths below a library directory. */
const parts: Readonly<Record<string, string>> = {
  'app_python3.so': 'kamailio/modules/app_python3.so',
  'python3-grpcio': 'python3/dist-packages/grpc/__init__.py',
};

/** Packages that come from registries of their own, in the cache directory; `.ci/run` puts them there. */
const cached: Readonly<Record<string, string>> = {
  aioice: 'aioice/aioice',
  'podman-compose': 'podman-compose/podman_compose.py',
  'rtp-io': 'rtp-io/rtp',
  sippy: 'sippy/sippy',
};
const cacheDirectory = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'holdfast');

/** Only root may make them, and that may be kept from root in a container: then the test says so. */
const networkNamespaces = 'network namespaces';

const found = new Map<string, string | undefined>();

/** Programs whose path can be set, to run the tests with another version. */
const chosen: Readonly<Record<string, string | undefined>> = { etcd: process.env['HOLDFAST_TEST_ETCD'] };

/** The full path of the program, module, library or file; undefined if it is not there. */
export function findProgram(name: string): string | undefined {
  if (!found.has(name)) {
    found.set(name, find(name));
  }
  return found.get(name);
}

function find(name: string): string | undefined {
  if (name === networkNamespaces) {
    return process.getuid?.() === 0 ? '/proc/self/ns/net' : undefined;
  }
  if (isAbsolute(name)) {
    return isAccessible(name, constants.R_OK) ? name : undefined;
  }
  const own = cached[name];
  if (own !== undefined) {
    const path = join(cacheDirectory, own);
    return isAccessible(path, constants.R_OK) ? path : undefined;
  }
  const part = parts[name];
  return part === undefined ? findExecutable(name) : findPart(part);
}

export const missingPrograms = (names: readonly string[]): string[] =>
  names.filter((name) => findProgram(name) === undefined);

function findExecutable(name: string): string | undefined {
  const directories = [...(process.env['PATH'] ?? '').split(delimiter), ...systemDirectories];
  const candidates = chosen[name] ? [chosen[name]] : directories.map((directory) => join(directory, name));
  return candidates.find((path) => isAccessible(path, constants.X_OK));
}

/** Debian has a library directory for each architecture. */
function findPart(path: string): string | undefined {
  const libraries = '/usr/lib';
  if (!existsSync(libraries)) {
    return undefined;
  }
  const ofArchitectures = readdirSync(libraries).filter((name) => name.includes('-linux-'));
  return ['', ...ofArchitectures]
    .map((directory) => join(libraries, directory, path))
    .find((each) => isAccessible(each, constants.R_OK));
}

function isAccessible(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}
