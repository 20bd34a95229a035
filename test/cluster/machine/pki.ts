import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { adminConfig, inside } from '../paths.js';
import { apiServer, type ClusterNode, controlPlane, firstService } from './addresses.js';
import { run } from './run.js';

const at = (file: string) => join(inside, 'pki', file);

/** Files of the cluster's authority, and of the key that service accounts are signed with. */
export const authority: string = at('ca.crt');
export const accountKeys = { private: at('accounts.key'), public: at('accounts.pub') } as const;
/** Of the API server where it asks others in a user's name: another authority, because such a client is believed. */
export const frontProxyAuthority: string = at('front-proxy-ca.crt');
export const frontProxyName = 'front-proxy-client';
export const certificate = (name: string): string => at(`${name}.crt`);
export const key = (name: string): string => at(`${name}.key`);
export const config = (name: string): string => at(`${name}.conf`);

const p256 = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

async function issue(
  name: string,
  subject: string,
  alternatives: readonly string[] = [],
  signedBy = 'ca',
): Promise<void> {
  const request = at(`${name}.csr`);
  await run('openssl', 'req', '-new', ...p256, '-keyout', key(name), '-subj', subject, '-out', request);
  const extensions = ['extendedKeyUsage=serverAuth,clientAuth'];
  if (alternatives.length > 0) {
    extensions.push(`subjectAltName=${alternatives.join(',')}`);
  }
  await writeFile(at(`${name}.ext`), extensions.join('\n'));
  const signer = ['-CA', at(`${signedBy}.crt`), '-CAkey', at(`${signedBy}.key`), '-CAcreateserial'];
  const paths = ['-in', request, '-extfile', at(`${name}.ext`), '-out', certificate(name)];
  await run('openssl', 'x509', '-req', '-days', '30', ...signer, ...paths);
}

/** Writes how a client with this certificate reaches the cluster, as kubectl reads it. */
async function configure(name: string, path = config(name)): Promise<void> {
  const cluster = { server: apiServer, 'certificate-authority': authority };
  const user = { 'client-certificate': certificate(name), 'client-key': key(name) };
  await writeFile(
    path,
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': name,
      clusters: [{ name, cluster }],
      users: [{ name, user }],
      contexts: [{ name, context: { cluster: name, user: name } }],
    }),
  );
}

/** Makes all certificates, and the configurations of those who use them. */
export async function createCertificates(nodes: readonly ClusterNode[]): Promise<void> {
  for (const name of ['ca', 'front-proxy-ca']) {
    const self = ['-x509', '-days', '30', '-subj', `/CN=${name}`];
    await run('openssl', 'req', ...p256, ...self, '-keyout', at(`${name}.key`), '-out', at(`${name}.crt`));
  }
  await run('openssl', 'genrsa', '-out', accountKeys.private, '2048');
  await run('openssl', 'rsa', '-in', accountKeys.private, '-pubout', '-out', accountKeys.public);
  const names = ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc'].map((each) => `DNS:${each}`);
  const addresses = [controlPlane, '127.0.0.1', firstService].map((each) => `IP:${each}`);
  await issue('api-server', '/CN=kube-apiserver', [...names, ...addresses]);
  await issue('front-proxy', `/CN=${frontProxyName}`, [], 'front-proxy-ca');
  await issue('admin', '/O=system:masters/CN=admin');
  await issue('controllers', '/CN=system:kube-controller-manager');
  await issue('scheduler', '/CN=system:kube-scheduler');
  await issue('proxy', '/CN=system:kube-proxy');
  for (const { name, address } of nodes) {
    const subject = `/O=system:nodes/CN=system:node:${name}`;
    await issue(name, subject, [`IP:${address}`, `DNS:${name}`]);
    await configure(name);
  }
  for (const name of ['controllers', 'scheduler', 'proxy']) {
    await configure(name);
  }
  await configure('admin', adminConfig);
}
