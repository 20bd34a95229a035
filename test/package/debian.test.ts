import { appendFile, mkdir, readdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { ExecutionContext } from 'ava';
import { fileScope, startEmbeddedEtcd } from '../support/etcd.js';
import { KernelScene, kernelPrograms, networks } from '../support/kernel-scene.js';
import { type Scope, startProcess, type TestProcess } from '../support/process.js';
import { repository } from '../support/repository.js';
import { testWith } from '../support/requirement.js';
import { logged } from '../support/stack.js';
import { System, systemdPrograms } from '../support/systemd.js';
import { scratchDirectory } from './scratch.js';

/** The Debian package, installed into a directory of its own as if that were the root of a system. */

const timeoutMs = 300_000;
const programs = ['npm', 'dpkg', 'dpkg-deb', 'help2man', 'systemd-analyze'] as const;

const shared = fileScope();
let built: Promise<string> | undefined;

/** Once for all tests of this file. */
async function build(): Promise<string> {
  const directory = await scratchDirectory(shared);
  const output = await run(shared, join(repository, '.debian/build'), directory);
  return output.trim().split('\n').at(-1) ?? '';
}

async function run(scope: Scope, command: string, ...args: string[]): Promise<string> {
  const child = await startProcess(scope, command, args, { cwd: repository });
  return child.success(timeoutMs);
}

async function system(t: ExecutionContext) {
  t.timeout(timeoutMs);
  built ??= build();
  const deb = await built;
  const root = await scratchDirectory(t);
  for (const directory of ['var/lib/dpkg/updates', 'var/lib/dpkg/info', 'var/lib/dpkg/triggers', 'tmp']) {
    await mkdir(join(root, directory), { recursive: true });
  }
  await appendFile(join(root, 'var/lib/dpkg/status'), '');
  await appendFile(join(root, 'var/lib/dpkg/available'), '');
  // The packages that it depends on are those of the machine, and its scripts run here: they find no systemd that runs.
  const dpkg = (...args: string[]) =>
    run(
      t,
      'dpkg',
      `--root=${root}`,
      '--force-depends',
      '--force-script-chrootless',
      '--force-confold',
      ...args,
    );
  return { deb, root, dpkg };
}

/** The same package as the next version. */
async function nextVersion(t: ExecutionContext, deb: string): Promise<string> {
  const directory = await scratchDirectory(t);
  const [files, next] = [join(directory, 'files'), join(directory, 'next.deb')];
  await run(t, 'dpkg-deb', '--raw-extract', deb, files);
  const control = await readFile(join(files, 'DEBIAN/control'), 'utf8');
  await writeFile(join(files, 'DEBIAN/control'), control.replace(/^(Version: .*)$/m, '$1+next'));
  await run(t, 'dpkg-deb', '--root-owner-group', '-Zgzip', '--build', files, next);
  return next;
}

/** Starts what a unit starts, with the settings that systemd would hand it. */
async function startUnit(
  t: ExecutionContext,
  { root, unit, instance, settings }: { root: string; unit: string; instance: string; settings: string },
): Promise<TestProcess> {
  const text = await readFile(join(root, 'lib/systemd/system', unit), 'utf8');
  const credentials = await scratchDirectory(t);
  await writeFile(join(credentials, 'config'), settings, { mode: 0o600 });
  const states = await scratchDirectory(t);
  const filled = (line: string) => line.replaceAll('%i', instance).replaceAll('%S', states);
  const environment = [...text.matchAll(/^Environment=(\w+)=(.*)$/gm)].map(([, name = '', value = '']) => [
    name,
    filled(value),
  ]);
  await Promise.all(environment.map(([, directory = '']) => mkdir(directory, { recursive: true })));
  const [, command = ''] = /^ExecStart=(.*)$/m.exec(text) ?? [];
  const [program = '', ...args] = filled(command)
    .replace(/\$\{CREDENTIALS_DIRECTORY\}/, credentials)
    .split(' ');
  return startProcess(t, join(root, program), args, { env: Object.fromEntries(environment) });
}

/** All files below, but those of dpkg itself. */
async function filesOf(root: string): Promise<string[]> {
  const found = await readdir(root, { recursive: true, withFileTypes: true });
  return found
    .filter((each) => !each.isDirectory())
    .map((each) => join(each.parentPath, each.name).slice(root.length))
    .filter((path) => !path.startsWith('/var/lib/dpkg/'));
}

testWith.serial(programs, 'the Debian package is installed, runs, is upgraded and removed', async (t) => {
  const { deb, root, dpkg } = await system(t);
  await dpkg('--install', deb);
  const { version } = JSON.parse(await readFile(join(repository, 'package.json'), 'utf8'));
  const holdfast = join(root, 'usr/bin/holdfast');
  t.is(await run(t, holdfast, '--version'), `${version}\n`);
  t.false((await readlink(holdfast)).startsWith('/'), 'it works below any root');
  const sbom = JSON.parse(await readFile(join(root, 'usr/share/doc/holdfast/sbom.cdx.json'), 'utf8'));
  const listed = (sbom.components as { name: string }[]).map(({ name }) => name);
  t.true(listed.includes('@grpc/grpc-js') && listed.includes('etcd3'));
  t.false(listed.includes('ava'), 'nothing that only tests need');

  const { endpoint } = await startEmbeddedEtcd(t);
  const settings = join(root, 'etc/holdfast/selection.toml');
  await appendFile(settings, `\netcd = "${endpoint}"\ngrpc = "127.0.0.1:0"\nhttp = "127.0.0.1:0"\n`);
  const replica = await startUnit(t, {
    ...{ root, unit: 'holdfast-selection.service', instance: '' },
    settings: await readFile(settings, 'utf8'),
  });
  t.regex(`${(await logged(replica, 'ready'))['grpc']}`, /^127\.0\.0\.1:\d+$/);
  const relayNode = await startUnit(t, {
    ...{ root, unit: 'holdfast-relay-node@.service', instance: 'media-1' },
    settings: `etcd = "${endpoint}"\nkind = "builtin"\ncontrol = "127.0.0.1:0"\nhttp = "127.0.0.1:0"\n`,
  });
  t.is((await logged(replica, 'relay joined'))['relay'], 'media-1');
  for (const child of [relayNode, replica]) {
    child.signal('SIGTERM');
    t.deepEqual(await child.exited, { code: 0, signal: null }, child.output);
  }

  await dpkg('--install', await nextVersion(t, deb));
  t.regex(await run(t, 'dpkg-query', `--admindir=${root}/var/lib/dpkg`, '--show', 'holdfast'), /\+next$/m);
  t.true((await readFile(settings, 'utf8')).includes(endpoint), 'an upgrade keeps what was set');
  await dpkg('--remove', 'holdfast');
  t.deepEqual(await filesOf(root), ['/etc/holdfast/selection.toml']);
  await dpkg('--purge', 'holdfast');
  t.deepEqual(await filesOf(root), []);
});

testWith.serial(programs, 'its units, settings, man page and completion fit the program', async (t) => {
  const { deb, root, dpkg } = await system(t);
  await dpkg('--install', deb);
  const units = await readdir(join(root, 'lib/systemd/system'));
  t.deepEqual(units.sort(), [
    'holdfast-relay-node@.service',
    'holdfast-selection.service',
    'holdfast-selection.socket',
  ]);
  for (const unit of units) {
    const name = unit.replace('@.', '@media-1.');
    const text = await readFile(join(root, 'lib/systemd/system', unit), 'utf8');
    const [, command = ''] = /^ExecStart=(.*)$/m.exec(text) ?? [];
    t.true(unit.endsWith('.socket') || command.startsWith('/usr/bin/holdfast '), `${name}: ${command}`);
    for (const [, flag = ''] of command.matchAll(/ (--[a-z-]+)/g)) {
      const help = await run(t, join(root, 'usr/bin/holdfast'), command.split(' ')[1] ?? '', '--help');
      t.true(help.includes(`${flag} <`), `${unit}: ${flag}`);
    }
  }
  for (const [process, path] of [
    ['selection', 'etc/holdfast/selection.toml'],
    ['relay-node', 'usr/share/doc/holdfast/examples/relay-node.toml'],
  ] as const) {
    const text = await readFile(join(root, path), 'utf8');
    t.is(text, await run(t, join(root, 'usr/bin/holdfast'), 'settings', process));
    t.regex(text, /^# etcd = "127\.0\.0\.1:2379"$/m);
  }
  const man = gunzipSync(await readFile(join(root, 'usr/share/man/man1/holdfast.1.gz'))).toString();
  t.regex(man, /^\.SH NAME\nholdfast \\- session registry for SIP media relays$/m);
  t.regex(man, /drain relay\\-1/);
  const completion = join(root, 'usr/share/bash-completion/completions/holdfast');
  t.regex(await readFile(completion, 'utf8'), /relay-node/);
  const alerts = await readFile(join(root, 'usr/share/holdfast/alerts.yaml'), 'utf8');
  t.notRegex(
    alerts + (await readFile(join(root, 'usr/share/holdfast/dashboard.json'), 'utf8')),
    /namespace|\bpod\b/i,
  );
});

testWith.serial(programs, 'systemd takes its units', async (t) => {
  const { deb, root, dpkg } = await system(t);
  await dpkg('--install', deb);
  const units = join(root, 'lib/systemd/system');
  // The command is not at its place on this machine; nothing else may be wrong.
  const child = await startProcess(t, 'systemd-analyze', [
    'verify',
    '--man=no',
    join(units, 'holdfast-selection.service'),
    join(units, 'holdfast-selection.socket'),
    join(units, 'holdfast-relay-node@media-1.service'),
  ]);
  await child.exited;
  const complaints = child.output.split('\n').filter((line) => line.includes('holdfast'));
  t.deepEqual(
    complaints.filter((line) => !line.includes('Command /usr/bin/holdfast is not executable')),
    [],
  );
});

testWith.serial(
  [...programs, ...systemdPrograms, ...kernelPrograms],
  'under systemd, media lose no packet when the package is upgraded, and its relay node restarted or killed',
  async (t) => {
    t.timeout(timeoutMs);
    built ??= build();
    const deb = await built;
    const scene = await KernelScene.open(t);
    const host = await System.start(t, scene.relay);
    const unit = 'holdfast-relay-node@media-1.service';
    // Units do not see the directories of users.
    await host.exec('rm', '-f', '/usr/bin/node');
    await host.copy(process.execPath, '/usr/bin/node');
    await host.exec('chmod', '755', '/usr/bin/node');
    const install = async (file: string) => {
      await host.copy(file, '/holdfast.deb');
      await host.exec('dpkg', '--install', '--force-depends', '/holdfast.deb');
    };
    await install(deb);
    const { relay } = networks.IPv4;
    const settings = `control = "${relay}:2223"\nmedia = "default=${relay}"\ndelete-delay = 0\ndrain-deadline = 0\n`;
    await host.exec('sh', '-c', 'printf %s "$0" > /etc/holdfast/media-1.toml', settings);
    t.teardown(async () => t.passed || t.log(await host.exec('journalctl', '--no-pager')));
    const replica = 'holdfast-selection.service';
    await host.exec('systemctl', 'start', unit, replica);
    const isThere = async () => {
      const reply = await scene.proxy.ping().catch(() => undefined);
      return reply?.['result'] === 'pong';
    };
    await scene.until(isThere);

    const call = await scene.call();
    await call.talkUntilHandedOver();
    const { socket, target } = call.caller;
    const flow = { id: socket.id, port: target?.port ?? 0, address: target?.address ?? '' };
    const next = await nextVersion(t, deb);
    const shown = (property: string, of: string) =>
      host.exec('systemctl', 'show', '--value', '-p', property, of);
    const processOf = async () => Number(await shown('MainPID', unit));
    const changes: Readonly<Record<string, () => Promise<unknown>>> = {
      'an upgrade': async () => {
        await install(next);
        await host.exec('systemctl', 'restart', unit);
      },
      'a kill': () => host.exec('systemctl', 'kill', '--signal=KILL', unit),
    };
    for (const [name, change] of Object.entries(changes)) {
      const [before, heard] = [await processOf(), call.callee.socket.heard.length];
      const flood = scene.near.ask('flood', [flow], 100, 10);
      await scene.until(async () => call.callee.socket.heard.length > heard + 100);
      await change();
      await scene.until(async () => ![before, 0].includes(await processOf()) && (await isThere()));
      const { packets } = await flood;
      await scene.until(async () => call.callee.socket.heard.length >= heard + packets);
      t.is(call.callee.socket.heard.length, heard + packets, `${name}: none lost, none twice`);
      t.is((await scene.forwarded()).userspace, 0, `${name}: none came to user space of the next process`);
    }
    t.deepEqual([await shown('NRestarts', unit), await shown('NRestarts', replica)], ['1\n', '0\n']);
    await call.exchange();
    await scene.proxy.delete(call.tags);
    await host.exec('systemctl', 'stop', unit, replica);
    t.is(await scene.ruleset(), '', 'nothing is left');
  },
);
