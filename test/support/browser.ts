import test from 'ava';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import type { Scope } from './process.js';
import { findProgram } from './program.js';

export interface OpenPage {
  readonly page: Page;
  /** Errors and warnings of the page, and what its policy has refused. */
  readonly complaints: readonly string[];
  /** Addresses that it has asked. */
  readonly requests: readonly string[];
}

/** Debian's Chromium, started by the first page of a file and ended with it. */
let browser: Promise<Browser> | undefined;

function theBrowser(): Promise<Browser> {
  browser ??= chromium.launch({
    executablePath: findProgram('chromium') ?? 'chromium',
    // Its sandbox needs what containers do not grant.
    args: ['--no-sandbox', '--disable-dev-shm-usage'],
  });
  return browser;
}

test.after.always(async () => (await browser)?.close());

/** Opens an address in a browser without a past. */
export async function openPage(
  scope: Scope,
  address: string,
  options: BrowserContextOptions = {},
): Promise<OpenPage> {
  const context = await (await theBrowser()).newContext(options);
  scope.teardown(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const complaints: string[] = [];
  const requests: string[] = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) {
      complaints.push(message.text());
    }
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('dialog', (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('request', (request) => requests.push(request.url()));
  await page.goto(address);
  return { page, complaints, requests };
}
