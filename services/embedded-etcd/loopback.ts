import { isIPv4, isIPv6 } from 'node:net';

/**
 * `host` as a loopback address: there is no authentication.
 * @throws Error for any other address
 */
export function loopbackAddress(host: string): string {
  if (host === 'localhost') {
    return '127.0.0.1';
  }
  if ((isIPv4(host) && host.startsWith('127.')) || (isIPv6(host) && host === '::1')) {
    return host;
  }
  throw new Error(
    `the embedded etcd does not listen on "${host}": it has no authentication and serves this machine only. ` +
      'Use 127.0.0.1, ::1 or localhost; for several machines run a real etcd.',
  );
}
