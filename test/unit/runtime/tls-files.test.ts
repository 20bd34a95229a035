import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { systemClock } from '../../../services/runtime/clock.js';
import { ConfigError } from '../../../services/runtime/config-error.js';
import { TlsFiles } from '../../../services/runtime/tls-files.js';
import type { TlsPaths } from '../../../services/runtime/tls-material.js';
import { Authority, type CertificateFiles, MountedSecret } from '../../support/certificates.js';
import { ManualClock } from '../../support/clock.js';
import { eventually } from '../../support/registry.js';
import { openLog } from '../../support/replica.js';
import { testWith } from '../../support/requirement.js';

const programs = ['openssl'];
const dayMs = 86_400_000;

const paths = ({ ca, cert, key }: CertificateFiles): TlsPaths => ({
  ca: { variable: 'CA', path: ca },
  cert: { variable: 'CERT', path: cert },
  key: { variable: 'KEY', path: key },
});

testWith(programs, 'what cannot be used is refused, naming setting, file and fault', async (t) => {
  const authority = await Authority.create(t);
  const [one, other] = [await authority.local(), await authority.local()];
  const empty = join(authority.directory, 'empty.pem');
  await writeFile(empty, '');
  const broken = join(authority.directory, 'broken.pem');
  await writeFile(broken, '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n');
  // Both can be read, and belong together, but OpenSSL does not serve with so short a key.
  const weak = await authority.local({ keyType: ['rsa:512'] });
  const cases: readonly (readonly [Partial<CertificateFiles>, RegExp])[] = [
    [{ ca: '/nowhere' }, /^CA="\/nowhere": the file cannot be read \(ENOENT\)$/],
    [{ cert: authority.directory }, /^CERT=".*": the file cannot be read \(EISDIR\)$/],
    [{ ca: empty }, /^CA=".*": the file holds no certificate in PEM$/],
    [{ cert: broken }, /^CERT=".*": the file holds a broken certificate \(.+\)$/],
    [{ key: one.cert }, /^KEY=".*": the file holds no private key in PEM without a passphrase \(.+\)$/],
    [weak, /^CERT=".*": the file is not accepted by OpenSSL \(.*key too small\)$/],
    [{ key: other.key }, /^KEY=".*": the file is not the key of the certificate in .* \(CERT\)$/],
  ];
  for (const [wrong, problem] of cases) {
    const { log } = openLog();
    const files = new TlsFiles(paths({ ...one, ...wrong }), {
      purpose: 'test',
      clock: new ManualClock(),
      log,
    });
    const error = await t.throwsAsync<ConfigError>(files.start(), { instanceOf: ConfigError });
    t.regex(error?.problems[0] ?? '', problem);
  }
});

/** Files that are watched and replaced all at once, and a clock that makes them be read again. */
async function watched(t: ExecutionContext, one: CertificateFiles) {
  const secret = await MountedSecret.create(t, one);
  const { log, lines } = openLog();
  const clock = new ManualClock();
  const files = new TlsFiles(paths(secret.files), { purpose: 'test', clock, log });
  t.teardown(() => files.stop());
  await files.start();
  // Reading takes real time; the next read is due when the last has ended, so each step of the clock causes one at most.
  const readUntil = (isTrue: () => boolean, what: string) =>
    eventually(() => {
      clock.advance(5000);
      return isTrue();
    }, what);
  return { secret, files, lines, readUntil };
}

const messagesOf = (lines: readonly Record<string, unknown>[]) => lines.map(({ msg }) => msg);
const invalid = 'new certificates are invalid; keeping the previous ones';
const changed = 'certificates have changed; new connections use them';

testWith(
  programs,
  'unchanged files notify nobody; invalid ones are logged once, not at each read; valid ones are used',
  async (t) => {
    const authority = await Authority.create(t);
    const [one, other, third] = [await authority.local(), await authority.local(), await authority.local()];
    const { secret, files, lines, readUntil } = await watched(t, one);
    const heard: unknown[] = [];
    files.subscribe(() => {
      heard.push(files.current.key?.toString());
    });
    const before = files.current;
    await secret.put({ ...one, key: other.key });
    await readUntil(() => lines.length > 0, 'error');
    t.deepEqual(messagesOf(lines), [invalid]);
    t.is(files.current, before);
    t.deepEqual(heard, []);
    await secret.put(third);
    await readUntil(() => heard.length > 0, 'notification');
    t.deepEqual(heard, [(await readFile(third.key)).toString()]);
    t.deepEqual(messagesOf(lines), [invalid, changed]);
  },
);

testWith(programs, 'certificates that one listener cannot use are used by none', async (t) => {
  const authority = await Authority.create(t);
  const [one, other] = [await authority.local(), await authority.local()];
  const { secret, files, lines, readUntil } = await watched(t, one);
  const previous = files.current;
  const applied: unknown[] = [];
  let broken = true;
  files.subscribe(() => {
    applied.push(files.current);
  });
  files.subscribe(() => {
    if (broken && files.current !== previous) {
      throw new Error('the socket refuses them');
    }
  });
  files.subscribe(() => {
    applied.push('later listener');
  });
  await secret.put(other);
  await readUntil(() => lines.length > 0, 'error');
  t.like(lines[0], { level: 50, msg: invalid, purpose: 'test', reason: 'the socket refuses them' });
  t.is(files.current, previous);
  t.is(applied.length, 2);
  t.not(applied[0], previous);
  t.is(applied[1], previous);
  // The files have not changed since, and yet they are tried again.
  broken = false;
  await readUntil(() => files.current !== previous, 'use of the new certificates');
  t.is(applied.at(-1), 'later listener');
  t.is(lines.at(-1)?.['msg'], changed);
});

testWith(
  programs,
  'a listener that cannot go back is logged, and keeps no other from going back',
  async (t) => {
    const authority = await Authority.create(t);
    const [one, other] = [await authority.local(), await authority.local()];
    const { secret, files, lines, readUntil } = await watched(t, one);
    const previous = files.current;
    const applied: unknown[] = [];
    files.subscribe(() => {
      if (files.current === previous) {
        throw new Error('it cannot go back');
      }
    });
    files.subscribe(() => {
      applied.push(files.current);
    });
    files.subscribe(() => {
      if (files.current !== previous) {
        throw new Error('it cannot use them');
      }
    });
    await secret.put(other);
    await readUntil(() => lines.length > 1, 'errors');
    t.deepEqual(messagesOf(lines), ['the previous certificates could not be restored', invalid]);
    t.deepEqual(
      lines.map(({ reason }) => reason),
      ['it cannot go back', 'it cannot use them'],
    );
    t.is(files.current, previous);
    t.is(applied.length, 2);
    t.is(applied[1], previous);
  },
);

testWith(programs, 'a certificate that ends soon is warned of, one that has ended is an error', async (t) => {
  const authority = await Authority.create(t);
  const { log, lines } = openLog();
  const startWith = async (days: number) => {
    const parts = { purpose: 'test', clock: systemClock, log };
    const files = new TlsFiles(paths(await authority.local({ days })), parts);
    t.teardown(() => files.stop());
    await files.start();
    return files;
  };
  await startWith(8);
  t.deepEqual(lines, []);
  const soon = await startWith(6);
  t.like(lines[0], { level: 40, msg: 'the certificate expires in less than 7 days', purpose: 'test' });
  t.true(Math.abs((soon.current.validUntilMs ?? 0) - Date.now() - 6 * dayMs) < 60_000);
  await startWith(-1);
  t.like(lines[1], { level: 50, msg: 'the certificate has expired' });
});
