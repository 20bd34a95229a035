import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';

/** The rules between rooms, held against the import statements and the size of every source file. */
const root = fileURLToPath(new URL('../../../', import.meta.url));

interface Source {
  readonly path: string;
  readonly lines: number;
  /** Paths from the root for files of this repository, else the name of the package. */
  readonly imports: readonly string[];
  readonly readsEnvironment: boolean;
  readonly readsSystemTime: boolean;
  readonly errorClasses: readonly { readonly name: string; readonly body: string }[];
}

const statement =
  /^\s*(?:import|export)\b[^'";]*?from\s*'([^']+)'|^\s*import\s*'([^']+)'|\bimport\('([^']+)'\)/gm;

/** A gRPC deadline is counted by the system's clock, whatever clock the caller has. */
const systemTime =
  /(?<!\bdeadline: )\bDate\.now\b|\bnew Date\(\)|\bperformance\.now\b|(?<!socket\.)\bset(?:Timeout|Interval)\b|\bhrtime\b|\btimers\/promises\b/;

function read(path: string): Source {
  const text = readFileSync(join(root, path), 'utf8');
  const imports = [...text.matchAll(statement)].map((match) => {
    const name = match[1] ?? match[2] ?? match[3] ?? '';
    return name.startsWith('.') ? normalize(join(dirname(path), name)).replace(/\.js$/, '.ts') : name;
  });
  return {
    path,
    lines: text.trimEnd().split('\n').length,
    imports,
    errorClasses: [...text.matchAll(/class (\w+) extends \w*Error \{([^}]*)/g)].map(
      ([, name = '', body = '']) => ({ name, body }),
    ),
    readsSystemTime: systemTime.test(text),
    readsEnvironment: /\bprocess\.env\b|\benv\b.*from 'node:process'/.test(text),
  };
}

const sources = ['services', 'relay-node'].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => read(join(folder, name))),
);
const tests = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => read(join('test', name)));

const isOwn = (name: string) => /^(services|relay-node|proto|test)\//.test(name);
const inRoom = (room: string) => (path: string) => path.startsWith(`${room}/`);

/** `from → to` of all imports that break a rule. */
function breaches(from: (path: string) => boolean, mayImport: (name: string) => boolean): string[] {
  return sources
    .filter(({ path }) => from(path))
    .flatMap(({ path, imports }) =>
      imports.filter((name) => !mayImport(name)).map((name) => `${path} → ${name}`),
    );
}

test('the rules have something to hold', (t) => {
  t.true(sources.length > 50);
  t.true(sources.flatMap(({ imports }) => imports).filter(isOwn).length > 200);
  const paths = new Set([...sources, ...tests].map(({ path }) => path));
  const missing = sources.flatMap(({ imports }) => imports.filter((name) => isOwn(name) && !paths.has(name)));
  t.deepEqual(
    missing.filter((name) => !name.startsWith('proto/generated/')),
    [],
  );
});

test('the domain imports nothing but itself and Node', (t) => {
  const allowed = (name: string) => inRoom('services/domain')(name) || name.startsWith('node:');
  t.deepEqual(breaches(inRoom('services/domain'), allowed), []);
});

test('placement knows the domain and nothing else', (t) => {
  const allowed = (name: string) => inRoom('services/domain')(name) || inRoom('services/placement')(name);
  t.deepEqual(breaches(inRoom('services/placement'), allowed), []);
});

test('etcd knows no record of ours', (t) => {
  const rooms = ['domain', 'etcd', 'runtime'].map((room) => inRoom(`services/${room}`));
  const allowed = (name: string) => !isOwn(name) || rooms.some((room) => room(name));
  t.deepEqual(breaches(inRoom('services/etcd'), allowed), []);
});

test('the registry serves selection and knows neither it nor placement', (t) => {
  const rooms = ['domain', 'etcd', 'registry', 'runtime'].map((room) => inRoom(`services/${room}`));
  const allowed = (name: string) => !isOwn(name) || rooms.some((room) => room(name));
  t.deepEqual(breaches(inRoom('services/registry'), allowed), []);
});

for (const [front, ...protocol] of [
  ['services/gateway', 'services/control'],
  ['services/page'],
  ['services/external-metrics'],
  ['services/grpc', 'proto/generated/holdfast', 'proto/generated/google', 'proto/generated/grpc'],
] as const) {
  test(`${front} knows the selector, and nothing of the registry, etcd or other fronts`, (t) => {
    const rooms = ['domain', 'placement', 'runtime', 'selection'].map((room) => `services/${room}`);
    const allowed = (name: string) =>
      !isOwn(name) || [...rooms, front, ...protocol].some((room) => inRoom(room)(name));
    t.deepEqual(breaches(inRoom(front), allowed), []);
  });
}

test('the console knows replicas by their client, and shows them as their page does', (t) => {
  const rooms = ['client', 'console', 'domain', 'history', 'page', 'runtime', 'selection'];
  const allowed = (name: string) => !isOwn(name) || rooms.some((room) => inRoom(`services/${room}`)(name));
  t.deepEqual(breaches(inRoom('services/console'), allowed), []);
});

test('the embedded etcd knows nothing of Holdfast but the runtime', (t) => {
  const rooms = ['services/embedded-etcd', 'services/runtime', 'proto/generated/etcd'].map(inRoom);
  const allowed = (name: string) => !isOwn(name) || rooms.some((room) => room(name));
  t.deepEqual(breaches(inRoom('services/embedded-etcd'), allowed), []);
});

test('the runtime knows the domain and nothing else', (t) => {
  const rooms = ['services/runtime', 'services/domain'].map(inRoom);
  const allowed = (name: string) => !isOwn(name) || rooms.some((room) => room(name));
  t.deepEqual(breaches(inRoom('services/runtime'), allowed), []);
});

test('history knows the domain and the runtime', (t) => {
  const rooms = ['domain', 'history', 'runtime'].map((room) => inRoom(`services/${room}`));
  const allowed = (name: string) => rooms.some((room) => room(name));
  t.deepEqual(breaches(inRoom('services/history'), allowed), []);
});

test('HEP knows the domain and the runtime', (t) => {
  const rooms = ['domain', 'hep', 'runtime'].map((room) => inRoom(`services/${room}`));
  const allowed = (name: string) => !isOwn(name) || rooms.some((room) => room(name));
  t.deepEqual(breaches(inRoom('services/hep'), allowed), []);
});

test('selection knows no front', (t) => {
  const rooms = ['domain', 'etcd', 'placement', 'registry', 'runtime', 'selection'].map((room) =>
    inRoom(`services/${room}`),
  );
  const allowed = (name: string) => !isOwn(name) || rooms.some((room) => room(name));
  t.deepEqual(breaches(inRoom('services/selection'), allowed), []);
});

test('etcd3 stays in its room', (t) => {
  const outside = (path: string) => !inRoom('services/etcd')(path);
  t.deepEqual(
    breaches(outside, (name) => name !== 'etcd3'),
    [],
  );
});

test('generated types stop at the gRPC edges', (t) => {
  const edges = ['services/grpc', 'services/client', 'services/embedded-etcd'].map(inRoom);
  const inside = (path: string) => !edges.some((edge) => edge(path));
  t.deepEqual(
    breaches(inside, (name) => !name.startsWith('proto/')),
    [],
  );
});

test('services do not know the relay node, but for the command line that starts it', (t) => {
  const services = (path: string) => inRoom('services')(path) && !inRoom('services/cli')(path);
  t.deepEqual(
    breaches(services, (name) => !inRoom('relay-node')(name)),
    [],
  );
});

test('media know no control protocol, and a front of the relay knows media alone', (t) => {
  const shared = (name: string) =>
    !isOwn(name) || inRoom('services/runtime')(name) || inRoom('services/control/udp')(name);
  const media = (name: string) => shared(name) || inRoom('relay-node/media')(name);
  t.deepEqual(breaches(inRoom('relay-node/media'), media), []);
  const front = (name: string) =>
    media(name) || inRoom('services/control')(name) || inRoom('relay-node/control')(name);
  t.deepEqual(breaches(inRoom('relay-node/control'), front), []);
});

test('the agent knows a relay by its interface; what runs the node chooses the relay', (t) => {
  const rooms = ['relays', 'media', 'control', 'engine'].map((room) => inRoom(`relay-node/${room}`));
  const inside = (path: string) => rooms.some((room) => room(path));
  const outside = (path: string) =>
    inRoom('relay-node')(path) && !inside(path) && path !== 'relay-node/process.ts';
  const allowed = (name: string) => name === 'relay-node/relays/relay.ts' || !inside(name);
  t.deepEqual(breaches(outside, allowed), []);
  const relays = (name: string) => !inRoom('relay-node')(name) || inside(name);
  t.deepEqual(breaches(inRoom('relay-node/relays'), relays), []);
});

test('nobody imports an entry or a test', (t) => {
  t.deepEqual(
    breaches(
      () => true,
      (name) => !name.endsWith('/main.ts') && !name.startsWith('test/'),
    ),
    [],
  );
  t.deepEqual(
    tests.filter(({ imports }) => imports.some((name) => name.endsWith('/main.ts'))),
    [],
  );
});

test('the environment is read in the command line alone', (t) => {
  const readers = sources.filter(({ readsEnvironment }) => readsEnvironment).map(({ path }) => path);
  t.deepEqual(
    readers.filter((path) => !inRoom('services/cli')(path)),
    [],
  );
});

/** Where time is the system's own, and why. */
const realTime = {
  'services/runtime/clock.ts': 'it is what the clock is made of',
  'services/runtime/unpipelined-connection.ts': "it passes on the timeouts of Node's HTTP server",
  'services/cli/': 'commands wait for processes and people, in real time',
  'services/client/': "it runs in its user's process, against real deadlines",
};

test('time comes from an injected clock', (t) => {
  const readers = sources.filter(({ readsSystemTime }) => readsSystemTime).map(({ path }) => path);
  t.true(readers.includes('services/runtime/clock.ts'));
  t.deepEqual(
    readers.filter((path) => !Object.keys(realTime).some((exempt) => path.startsWith(exempt))),
    [],
  );
});

test('every error class says what it is by its name', (t) => {
  const classes = [...sources, ...tests].flatMap(({ path, errorClasses }) =>
    errorClasses.map(({ name, body }) => ({ at: `${path}: ${name}`, name, body })),
  );
  t.true(classes.length > 10);
  const unnamed = classes.filter(
    ({ name, body }) =>
      !(name.endsWith('Error') && new RegExp(`override readonly name(: string)? = '${name}';`).test(body)),
  );
  t.deepEqual(
    unnamed.map(({ at }) => at),
    [],
  );
});

test('no file imports itself by way of others', (t) => {
  const importsOf = new Map(sources.map(({ path, imports }) => [path, imports]));
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (path: string, way: readonly string[]) => {
    if (way.includes(path)) {
      cycles.push([...way.slice(way.indexOf(path)), path].join(' → '));
    }
    if (done.has(path) || way.includes(path)) {
      return;
    }
    for (const next of importsOf.get(path) ?? []) {
      visit(next, [...way, path]);
    }
    done.add(path);
  };
  for (const { path } of sources) {
    visit(path, []);
  }
  t.deepEqual(cycles, []);
});

test('a file is one noun: no more than 400 lines', (t) => {
  const long = [...sources, ...tests].filter(({ lines }) => lines > 400);
  t.deepEqual(
    long.map(({ path, lines }) => `${path}: ${lines}`),
    [],
  );
});
