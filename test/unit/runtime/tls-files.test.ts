import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '../../../services/runtime/clock.js';
import { ConfigError } from '../../../services/runtime/config.js';
import { TlsFiles, type TlsPaths } from '../../../services/runtime/tls-files.js';
import { Authority, type CertificateFiles } from '../../support/certificates.js';
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
  const cases: readonly (readonly [Partial<CertificateFiles>, RegExp])[] = [
    [{ ca: '/nowhere' }, /^CA="\/nowhere": the file cannot be read \(ENOENT\)$/],
    [{ cert: authority.directory }, /^CERT=".*": the file cannot be read \(EISDIR\)$/],
    [{ ca: empty }, /^CA=".*": the file holds no certificate in PEM$/],
    [{ cert: broken }, /^CERT=".*": the file holds a broken certificate$/],
    [{ key: one.cert }, /^KEY=".*": the file holds no private key in PEM without a passphrase$/],
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

testWith(
  programs,
  'files that stay as they are are told to nobody; broken ones are logged once, not at each look',
  async (t) => {
    const authority = await Authority.create(t);
    const [one, other, third] = [await authority.local(), await authority.local(), await authority.local()];
    const { log, lines } = openLog();
    const clock = new ManualClock();
    const files = new TlsFiles(paths(one), { purpose: 'test', clock, log });
    t.teardown(() => files.stop());
    const heard: unknown[] = [];
    files.subscribe((material) => heard.push(material.key?.toString()));
    await files.start();
    const before = files.current;
    // Each look reads files, which takes real time; the next look is due when the one before has ended.
    const looks = async (count: number) => {
      for (let i = 0; i < count; i++) {
        clock.advance(5000);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    await looks(3);
    await copyFile(other.key, one.key);
    await eventually(async () => {
      await looks(1);
      return lines.length > 0;
    }, 'complaint');
    await looks(5);
    t.is(lines.length, 1);
    t.is(files.current, before);
    t.deepEqual(heard, []);
    await copyFile(third.cert, one.cert);
    await copyFile(third.key, one.key);
    await eventually(async () => {
      await looks(1);
      return heard.length > 0;
    }, 'news');
    t.deepEqual(heard, [files.current.key?.toString()]);
    t.not(files.current, before);
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
