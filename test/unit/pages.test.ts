import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { relayNodeSettings } from '../../relay-node/config.js';
import { ng } from '../../services/control/ng/protocol.js';
import { readReply } from '../../services/control/ng/reply.js';
import { selectionSettings } from '../../services/replica/config.js';
import type { Setting } from '../../services/runtime/config.js';
import { amount, figure } from '../bench/table.js';
import type { Judged } from '../bench/verdict.js';
import { pageAt, pages } from '../support/pages.js';
import { repository } from '../support/repository.js';

/** Holds the pages to the programs. */
const readme = pageAt('README.md');
const operating = pageAt('services/replica/README.md');
const decisions = pages.filter(({ path }) => /^services\/decisions\/\d/.test(path));
const folderNames = /^(?:services|relay-node|proto|test|helm|\.github|\.ci)\/[\w./-]*$/;

const settings: Setting<unknown>[] = [
  ...Object.values(selectionSettings),
  ...Object.values(relayNodeSettings),
];

/** All source text of the programs. */
const source = ['services', 'relay-node']
  .flatMap((folder) =>
    readdirSync(join(repository, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => readFileSync(join(repository, folder, name), 'utf8')),
  )
  .join('\n');

test('the README is short', (t) => {
  t.true(readme.lines.length <= 200, `${readme.lines.length} lines`);
});

test('what pages link to is there, and so are the headings', (t) => {
  const links = pages.flatMap((page) => page.links.map((link) => ({ from: page.path, ...link })));
  t.true(links.length > 50);
  for (const { from, path, heading } of links) {
    t.true(existsSync(join(repository, path)), `${from} links to ${path}`);
    if (heading !== undefined) {
      t.true(pageAt(path).headings.includes(heading), `${from} links to ${path}#${heading}`);
    }
  }
});

test('every page can be reached from the README', (t) => {
  const reached = new Set<string>();
  const visit = (path: string) => {
    if (reached.has(path)) {
      return;
    }
    reached.add(path);
    for (const link of pages.find((page) => page.path === path)?.links ?? []) {
      visit(link.path);
    }
  };
  visit(readme.path);
  t.deepEqual(
    pages.map(({ path }) => path).filter((path) => !reached.has(path)),
    [],
  );
});

test('paths of the repository that pages name are there', (t) => {
  const named = pages.flatMap((page) => page.codeSpans.map((code) => ({ from: page.path, code })));
  const paths = named.filter(({ code }) => folderNames.test(code));
  t.true(paths.length > 50);
  for (const { from, code } of paths) {
    t.true(existsSync(join(repository, code)), `${from} names ${code}`);
  }
});

/** A setting's row, as the table says it. */
function rowOf({ name, flag, fallback, required, description, allowed }: Setting<unknown>): string {
  const otherwise = fallback ? `\`${fallback}\`` : required ? '*required*' : '';
  const shown = flag ? `\`${flag.split(' ')[0]}\`` : '';
  return `| \`${name}\` | ${shown} | ${otherwise} | ${description} | ${allowed} |`;
}

test('every setting has its row, as the programs know it', (t) => {
  for (const setting of settings) {
    t.true(operating.lines.includes(rowOf(setting)), rowOf(setting));
  }
});

test('pages tell no setting that the programs do not know', (t) => {
  const ofTests = ['REQUIRE', 'ETCD', 'RUNS', 'SEED', 'PATH'].map((name) => `TEST_${name}`);
  const others = ['CONFIG', 'SERVER', 'CA', 'CERT', 'KEY', ...ofTests].map((name) => `HOLDFAST_${name}`);
  const known = new Set([...settings.map(({ name }) => name), ...others]);
  for (const { path, text } of pages) {
    for (const [name] of text.matchAll(/HOLDFAST_[A-Z_]+[A-Z]/g)) {
      t.true(known.has(name), `${path} names ${name}`);
    }
  }
});

test('what pages tell to set in a proxy is set in its example', (t) => {
  const { rows } = pageAt('services/README.md');
  const told = rows.filter(([proxy = '']) => /^(?:Kamailio|OpenSIPS)/.test(proxy));
  t.true(told.length >= 4);
  for (const [proxy = '', parameter = ''] of told) {
    const [, name = '', value = ''] = /^`(\w+)` (\d+)$/.exec(parameter) ?? [];
    const [product = '', version] = proxy.split(' ');
    const example = readFileSync(join(repository, `test/e2e/examples/${product.toLowerCase()}.cfg`), 'utf8');
    const line = `modparam("rtpengine", "${name}", ${value})`;
    t.true(
      example.includes(version ? `#!ifdef KAMAILIO_${version}\n${line}` : line),
      `${proxy}: ${parameter}`,
    );
  }
});

test('a gateway without a free relay answers in the words that pages tell', (t) => {
  const reading = ng.read(Buffer.from('d7:command5:offer7:call-id1:ce'));
  const reply = reading.kind === 'request' ? reading.request.full('all relays are full') : Buffer.alloc(0);
  const words = String(readReply(reply)?.['error-reason']);
  t.true(pageAt('services/README.md').codeSpans.includes(words), words);
});

test('every limit names the test that goes beyond it', (t) => {
  const [, limits = ''] = pageAt('services/README.md').text.split('## Limits');
  const told = [...limits.matchAll(/^\| ((?!what |---)[^|]+) \|/gm)].map(([, limit]) => limit);
  const folder = 'test/hostile';
  const { text } = pageAt(`${folder}/README.md`);
  const tested = [...(text.split('## What goes beyond each limit')[1]?.matchAll(beyond) ?? [])];
  t.deepEqual(
    tested.map(([, limit]) => limit),
    told,
  );
  for (const [, limit, path = '', title = ''] of tested) {
    const tests = readFileSync(join(repository, folder, path), 'utf8');
    t.true(tests.includes(`'${title}'`), `${limit}: ${title}`);
  }
});

/** A row of that table: the limit, and the test's file and title. */
const beyond = /^\| ((?!limit |---)[^|]+) \| \[[^\]]+\]\(([^)]+)\): `([^`]+)` \|$/gm;

test('log lines that operators look for are logged', (t) => {
  const lines = [...operating.prose.matchAll(/\blog (`[^`]+`)/g)].map(([, line = '']) => line.slice(1, -1));
  t.true(lines.length > 10);
  for (const line of lines) {
    t.true(new RegExp(`['"\`]${escaped(line)}`).test(source), line);
  }
});

test('metrics that pages, alerts and the dashboard name are there', (t) => {
  const files = ['alerts.yaml', 'dashboard.json'].map((name) =>
    readFileSync(join(repository, 'helm/holdfast/files', name), 'utf8'),
  );
  const texts = [...pages.map(({ text }) => text), ...files];
  const names = texts.flatMap((text) => [...text.matchAll(/\bholdfast_([a-z_]+[a-z])/g)]);
  const metrics = names.map(([, name = '']) => name).filter((name) => name !== 'client');
  t.true(metrics.length > 50);
  for (const name of metrics) {
    const own = name.replace(/_(?:total|count|bucket)$/, '');
    t.true(new RegExp(`['"\`](?:holdfast_)?(?:${name}|${own})['"\`]`).test(source), `holdfast_${name}`);
  }
});

test('every status and reason that replicas answer has its row', (t) => {
  const text = readFileSync(join(repository, 'services/grpc/status.ts'), 'utf8');
  const kinds = [...text.matchAll(/code: status\.([A-Z_]+), reason: '([A-Z_]+)'/g)];
  const { rows } = pageAt('proto/README.md');
  t.true(kinds.length > 5);
  for (const [, code, reason] of kinds) {
    const isTold = rows.some((row) => row[0] === `\`${code}\`` && row[1] === `\`${reason}\``);
    t.true(isTold, `${code} ${reason}`);
  }
});

test('code that pages show of a file is in that file, line by line', (t) => {
  const shown = pages.flatMap((page) => page.shownCode);
  t.true(shown.length >= 3);
  for (const { path, lines } of shown) {
    const inFile = withoutIndent(readFileSync(join(repository, path), 'utf8').split('\n'));
    t.true(inFile.includes(withoutIndent(lines)), `${path}: ${lines[0]}`);
  }
});

/** What the benchmark measured, by case. */
const results = JSON.parse(readFileSync(join(repository, 'test/bench/results.json'), 'utf8')) as Record<
  string,
  { readonly rows: readonly Judged[] }
>;

test('every figure of the table of speeds was measured', (t) => {
  const measured = new Set(
    Object.values(results).flatMap(({ rows }) =>
      rows.flatMap(({ unit, baselineMedian, candidateMedian }) => [
        amount(candidateMedian, unit),
        ...(baselineMedian === undefined ? [] : [amount(baselineMedian, unit)]),
      ]),
    ),
  );
  const { rows } = pageAt('test/bench/README.md');
  const speeds = rows
    .slice(rows.findIndex(([first]) => first === 'case') + 2)
    .filter((row) => row.length === 6);
  t.true(speeds.length > 20);
  for (const [name = '', against = '', own = ''] of speeds) {
    const baseline = / ([\d,.]+ ?\S+)$/.exec(against)?.[1];
    t.true(measured.has(own), `${name}: ${own}`);
    t.true(baseline === undefined || measured.has(baseline), `${name}: ${baseline}`);
  }
});

test('every figure of the decision on the cache was measured', (t) => {
  const measured = new Set(
    results['cache']?.rows.flatMap(({ baselineMedian = 0, candidateMedian }) =>
      [baselineMedian, candidateMedian].map(figure),
    ),
  );
  const rows = pageAt('services/decisions/0004-cache-in-buffers.md').rows.slice(2);
  t.true(rows.length >= 5);
  for (const [name, ...cells] of rows) {
    for (const cell of cells) {
      t.true(measured.has(cell), `${name}: ${cell}`);
    }
  }
});

test('decisions are numbered, short, of one form, and in the index', (t) => {
  const index = pageAt('services/decisions/README.md');
  const linked = new Set(index.links.map(({ path }) => path));
  const numbers = decisions.map(({ path }) => Number(/\/(\d{4})-[^/]*$/.exec(path)?.[1]));
  t.true(decisions.length > 10);
  t.deepEqual(
    numbers.sort((a, b) => a - b),
    numbers.map((_, at) => at + 1),
  );
  for (const page of decisions) {
    t.true(page.text.startsWith(`# ${Number(/\/(\d{4})-/.exec(page.path)?.[1])}. `), page.path);
    t.true(page.lines.length <= 50, page.path);
    t.deepEqual(page.headings.slice(1), ['context', 'decision', 'measurement', 'consequences'], page.path);
    t.true(linked.has(page.path), `${page.path} is not in the index`);
  }
});

/** Foreign quotation marks, British spelling, and words that one reads twice. */
const odd =
  /[«»]|\b(?:who asks|by itself|behaviour|colour|favour|centre|grey|spelt|misspelt|towards|labelled|modelled)\b/i;

test('pages are in plain English', (t) => {
  for (const { path, prose } of pages) {
    const text = prose.replace(/`[^`]*`/g, '');
    t.is(odd.exec(text)?.[0], undefined, path);
    t.is(/\b(?:may not|cancelled)\b/i.exec(text)?.[0], undefined, path);
  }
});

test('so are comments, messages and tests', (t) => {
  const own = 'test/unit/pages.test.ts';
  const paths = ['services', 'relay-node', 'test', 'proto/holdfast', 'helm'].flatMap((folder) =>
    readdirSync(join(repository, folder), { recursive: true, encoding: 'utf8' }).map((name) =>
      join(folder, name),
    ),
  );
  const texts = paths.filter((path) => /\.(?:ts|js|proto|tpl|yaml)$/.test(path) && path !== own);
  t.true(texts.length > 500);
  for (const path of texts) {
    t.is(odd.exec(readFileSync(join(repository, path), 'utf8'))?.[0], undefined, path);
  }
});

const escaped = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
const withoutIndent = (lines: readonly string[]) => lines.map((line) => line.trim()).join('\n');
