import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { BrowserContextOptions, Page } from 'playwright-core';
import { RelayState } from '../../../proto/generated/holdfast/v1/relay.js';
import type { Relay } from '../../../services/domain/relay.js';
import { openPage } from '../../support/browser.js';
import { aRelay, deleteRelay, eventually, putRelay } from '../../support/registry.js';
import { listRelays, putLoad, replicaScene, select, setIntent } from '../../support/replica.js';
import { repository } from '../../support/repository.js';
import { testWith } from '../../support/requirement.js';

/** Pictures of the page in its states, for people to look at; what a machine can see is checked as they are taken. */

const directory = join(repository, 'dist/test/screenshots');
const desktop = { viewport: { width: 1280, height: 1000 } };
const phone = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, colorScheme: 'dark' } as const;

const media = (at: number, of: Partial<Relay> = {}): Partial<Relay> => ({
  id: `media-${at}`,
  capacity: 500,
  zone: at % 2 === 0 ? 'fra-1' : 'fra-2',
  controlUrl: `udp:192.0.2.${at % 250}:2223`,
  ...of,
});

async function scene(t: ExecutionContext, relays: readonly Partial<Relay>[]) {
  const one = await replicaScene(t, relays);
  for (const [at, { id = '', set }] of relays.entries()) {
    if (set === undefined && at < 20) {
      const packetRate = 2000 + 137 * at;
      const load = {
        calls: 40 + 7 * at,
        packetRate,
        kernelPacketRate: at % 3 === 0 ? 0 : packetRate,
        pingMs: 0.4 + at / 10,
      };
      await putLoad(one.client, one.keys, id, load);
    }
  }
  for (let call = 0; relays.length > 0 && call < 30; call++) {
    await select(one.selection, { callId: `call-${call}` });
  }
  return { ...one, url: `http://${one.http}/` };
}

/** Nothing sticks out to the side, and nothing is refused. */
async function shoot(t: ExecutionContext, page: Page, name: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  const path = join(directory, `${name}.png`);
  await page.screenshot({ path, fullPage: name !== 'many-on-a-phone' });
  t.true((await stat(path)).size > 10_000, path);
  const sideways = await page.locator('html').evaluate((html) => html.scrollWidth - html.clientWidth);
  t.true(sideways <= 0, `${sideways} px stick out`);
}

async function open(t: ExecutionContext, url: string, options: BrowserContextOptions) {
  const opened = await openPage(t, url, options);
  await opened.page.waitForSelector('#summary:not(.unknown)');
  return opened;
}

testWith.serial(['chromium'], 'a picture of a page where all is well', async (t) => {
  const { url } = await scene(
    t,
    [1, 2, 3, 4].map((at) => media(at)),
  );
  const { page, complaints } = await open(t, url, desktop);
  await page.waitForSelector('#summary.ok:has-text("p99")');
  await page.click('#relays tr[data-key="default/media-2"] button');
  await shoot(t, page, 'all-well');
  t.deepEqual(complaints, []);
});

testWith.serial(
  ['chromium'],
  'a picture of a page with a relay that is gone, and one that is drained',
  async (t) => {
    const { client, keys, relays, url } = await scene(t, [
      ...[1, 2, 3].map((at) => media(at)),
      media(4, { set: 'edge', capacity: 100 }),
    ]);
    await setIntent(relays, {
      relayId: 'media-3',
      state: RelayState.DRAINING,
      reason: 'new kernel',
      actor: 'jo',
    });
    await deleteRelay(client, keys, aRelay({ id: 'media-2' }));
    const { page } = await open(t, url, desktop);
    await page.waitForSelector('#relays tr.gone');
    await shoot(t, page, 'relay-gone');
  },
);

testWith.serial(['chromium'], 'a picture of a page while etcd is lost', async (t) => {
  const { etcd, url } = await scene(
    t,
    [1, 2, 3].map((at) => media(at)),
  );
  const { page } = await open(t, url, desktop);
  await etcd.stop();
  await page.waitForSelector('#summary.critical:has-text("etcd has been lost")');
  await shoot(t, page, 'etcd-lost');
});

testWith.serial(['chromium'], 'a picture of a page without a relay', async (t) => {
  const { url } = await scene(t, []);
  const { page } = await open(t, url, desktop);
  await page.waitForSelector('#summary.critical:has-text("no relay is registered")');
  await shoot(t, page, 'empty');
});

testWith.serial(['chromium'], 'a picture of a thousand relays on a phone in the dark', async (t) => {
  const { client, keys, relays, url } = await scene(t, [media(1)]);
  const others = Array.from({ length: 999 }, (_, at) => aRelay(media(at + 2)));
  await Promise.all(others.map((relay) => putRelay(client, keys, relay)));
  await eventually(async () => (await listRelays(relays)).relays.length === 1000, 'relays');
  const { page } = await open(t, url, phone);
  await page.waitForSelector('#relays tr[data-key="default/media-100"]');
  await shoot(t, page, 'many-on-a-phone');
});
