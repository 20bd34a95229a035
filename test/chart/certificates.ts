import { readFile } from 'node:fs/promises';
import type { Authority } from '../support/certificates.js';

/** A TLS Secret with the keys of cert-manager and `kubectl create secret`. */
export type TlsSecret = Readonly<Record<'ca.crt' | 'tls.crt' | 'tls.key', string>>;

/** A certificate for these names and addresses, as the content of a Secret. */
export async function issueSecret(
  authority: Authority,
  names: readonly string[],
  addresses: readonly string[] = [],
): Promise<TlsSecret> {
  const { ca, cert, key } = await authority.issue({ names, addresses });
  const [caText, certText, keyText] = await Promise.all(
    [ca, cert, key].map((path) => readFile(path, 'utf8')),
  );
  return { 'ca.crt': caText ?? '', 'tls.crt': certText ?? '', 'tls.key': keyText ?? '' };
}
