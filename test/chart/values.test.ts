import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { relayNodeSettings } from '../../relay-node/config.js';
import { selectionSettings } from '../../services/replica/config.js';
import type { Settings } from '../../services/runtime/config.js';
import { repository } from '../support/repository.js';
import { testWith } from '../support/requirement.js';
import { runHoldfast } from '../support/stack.js';
import { chart, render, valueFiles } from './chart.js';
import { renderTools } from './tools.js';

interface Schema {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: unknown;
}

const lines = readFileSync(join(chart, 'values.yaml'), 'utf8').split('\n');

/** The paths of values.yaml, from its indentation, and whether a comment precedes each. */
function documented(): { readonly path: string; readonly commented: boolean }[] {
  const parents: string[] = [];
  return lines.flatMap((line, index) => {
    const [, indent = '', key] = /^( *)([A-Za-z]\w*):/.exec(line) ?? [];
    if (key === undefined) {
      return [];
    }
    parents.splice(indent.length / 2);
    parents.push(key);
    return [{ path: parents.join('.'), commented: /^ *#/.test(lines[index - 1] ?? '') }];
  });
}

/** The paths that the schema allows, except inside values that it passes on to Kubernetes. */
function allowed({ properties = {} }: Schema, prefix = ''): string[] {
  return Object.entries(properties).flatMap(([name, each]) => {
    const path = `${prefix}${name}`;
    return [path, ...allowed(each, `${path}.`)];
  });
}

/** Objects of the schema that list their properties but allow others. */
function lenient(schema: Schema, path = ''): string[] {
  const own = schema.properties && schema.additionalProperties !== false ? [path] : [];
  const children = Object.entries(schema.properties ?? {});
  return [...own, ...children.flatMap(([name, each]) => lenient(each, `${path}.${name}`))];
}

const schema = JSON.parse(
  readFileSync(join(chart, 'values.schema.json'), 'utf8'),
  (_, value) => value,
) as Schema & {
  readonly $defs: Readonly<Record<string, Schema>>;
};

test('every value has a comment, or its group has one', (t) => {
  const all = documented();
  t.true(all.length > 100);
  const bare = all.filter(({ path, commented }) => {
    const opensGroup = all.some((other) => other.path.startsWith(`${path}.`) && other.commented);
    return !commented && !opensGroup;
  });
  const insideMaps = /^relay\.media\.|\.resources\./;
  t.deepEqual(
    bare.map(({ path }) => path).filter((path) => !insideMaps.test(path)),
    [],
  );
});

test('the schema allows exactly the values of values.yaml', (t) => {
  const inFile = new Set(documented().map(({ path }) => path));
  const named = allowed(schema).filter((path) => path !== 'global');
  t.deepEqual(
    named.filter((path) => !inFile.has(path)),
    [],
    'values that are not in values.yaml',
  );
  t.deepEqual(lenient(schema), []);
  for (const [name, each] of Object.entries(schema.$defs)) {
    t.deepEqual(lenient(each), [], name);
  }
});

const processes: Readonly<Record<string, Settings>> = {
  selection: selectionSettings,
  'relay-node': relayNodeSettings,
};

for (const file of valueFiles) {
  testWith(
    renderTools,
    `${file}: every HOLDFAST_ variable is a setting of the program that gets it`,
    async (t) => {
      const { containers } = await render(file);
      for (const { name, args, env = [] } of containers) {
        const settings = processes[args[0] as string];
        const known = settings
          ? Object.values(settings).map((setting) => setting.name)
          : [...(await runHoldfast(t, [args[0] as string, '--help'])).stdout.matchAll(/HOLDFAST_\w+/g)].map(
              String,
            );
        const set = env
          .map((variable) => variable.name)
          .filter((variable) => variable.startsWith('HOLDFAST_'));
        t.deepEqual(
          set.filter((variable) => !known.includes(variable)),
          [],
          name,
        );
      }
    },
  );
}

/** Settings that pods do not need. */
const notInPods = [
  // Proxies reach a relay where it listens: at the address of the pod or node.
  'HOLDFAST_RELAY_ADVERTISE',
  // A pod has no directory of wav files, and no disk that outlives it.
  'HOLDFAST_RELAY_PROMPT_DIRECTORY',
  'HOLDFAST_RELAY_RECORDING_DIRECTORY',
  'HOLDFAST_RELAY_RECORDING_FORMAT',
  // rtpengine has a container of its own, and the image has no other program.
  'HOLDFAST_RELAY_RUN',
  // The next pod has another name.
  'HOLDFAST_RELAY_STATE_DIRECTORY',
];

testWith(renderTools, 'values reach every setting of the programs', async (t) => {
  const all = await Promise.all(valueFiles.map((file) => render(file)));
  const set = new Set(
    all.flatMap(({ containers }) => containers.flatMap(({ env = [] }) => env)).map(({ name }) => name),
  );
  const known = Object.values(processes).flatMap((settings) => Object.values(settings));
  const unreached = known.map(({ name }) => name).filter((name) => !set.has(name));
  t.deepEqual([...new Set(unreached)].sort(), notInPods);
});

testWith(renderTools, 'limits in the values are those of the program', async (t) => {
  const { containers } = await render();
  for (const { args, env = [] } of containers) {
    for (const setting of Object.values(processes[args[0] as string] ?? {})) {
      const { value } = env.find(({ name }) => name === setting.name) ?? {};
      if (value === undefined || value.includes('$(')) {
        continue;
      }
      t.true(
        setting.schema.safeParse(value).success,
        `${setting.name}=${value}: allowed: ${setting.allowed}`,
      );
    }
  }
});

test('versions that appear twice are the same', (t) => {
  const read = (path: string) => readFileSync(join(repository, path), 'utf8');
  const version = (text: string, pattern: RegExp) => pattern.exec(text)?.[1] ?? 'not found';
  t.is(
    version(read('helm/holdfast/values.yaml'), /^ +tag: (v3\.\S+)$/m),
    version(read('test/chart/tools.sh'), /^etcd=(\S+)$/m),
    'the deployed etcd is the tested one',
  );
  const own = JSON.parse(read('package.json')).version;
  t.is(version(read('helm/holdfast/Chart.yaml'), /^appVersion: "(.*)"$/m), own);
  t.is(version(read('helm/holdfast/Chart.yaml'), /^ +image: holdfast:(.*)$/m), own);
  for (const path of ['README.md', 'Dockerfile', 'helm/holdfast/README.md']) {
    const tags = [...read(path).matchAll(/\bholdfast:(\d\S*)/g)].map(([, tag]) => tag);
    t.true(tags.length > 0, path);
    t.deepEqual([...new Set(tags)], [own], path);
  }
});
