import { connect, type PeerCertificate } from 'node:tls';
import { type ChannelCredentials, type ClientOptions, credentials, type ServiceError } from '@grpc/grpc-js';
import { RelayServiceClient } from '../../../proto/generated/holdfast/v1/relay.js';
import {
  SelectionServiceClient,
  SelectRequest,
  type SelectStreamResponse,
} from '../../../proto/generated/holdfast/v1/selection.js';
import {
  Authority,
  type CertificateFiles,
  credentialFiles,
  MountedSecret,
} from '../../support/certificates.js';
import { connect as connectEtcd, Inbox, startEmbeddedEtcd } from '../../support/etcd.js';
import type { Scope } from '../../support/process.js';
import { aRelay, eventually, newKeyspace, putRelay } from '../../support/registry.js';
import { type InProcessReplica, openReplica } from '../../support/replica.js';

/** A replica that serves gRPC over TLS, the authority that signed its certificate, and clients of it. */
export async function tlsScene(
  scope: Scope,
  { mutual = false, env = {} }: { mutual?: boolean; env?: Readonly<Record<string, string>> } = {},
) {
  const authority = await Authority.create(scope);
  const secret = await MountedSecret.create(scope, await authority.local());
  const etcd = await startEmbeddedEtcd(scope);
  const keys = newKeyspace();
  const client = connectEtcd(scope, etcd.endpoint);
  const register = (id: string) => putRelay(client, keys, aRelay({ id }));
  await register('r1');
  const replica = await openReplica(scope, etcd.endpoint, keys, {
    HOLDFAST_GRPC_TLS_CERT: secret.files.cert,
    HOLDFAST_GRPC_TLS_KEY: secret.files.key,
    ...(mutual ? { HOLDFAST_GRPC_TLS_CLIENT_CA: secret.files.ca } : {}),
    ...env,
  });
  await replica.ready;
  return { authority, secret, replica, register, port: Number(replica.grpc.split(':').at(-1)) };
}

/** With which a client trusts the authority, and shows the certificate if there is one. */
export async function secured(ca: string, shown?: CertificateFiles): Promise<ChannelCredentials> {
  if (!shown) {
    return credentials.createSsl((await credentialFiles({ ca, key: ca, cert: ca }))[0]);
  }
  return credentials.createSsl(...(await credentialFiles({ ...shown, ca })));
}

/** Clients over a connection of their own. */
export function clients(scope: Scope, address: string, security: ChannelCredentials) {
  const options: ClientOptions = { 'grpc.use_local_subchannel_pool': 1 };
  const selection = new SelectionServiceClient(address, security, options);
  const relays = new RelayServiceClient(address, security, options);
  scope.teardown(() => {
    selection.close();
    relays.close();
  });
  return { selection, relays };
}

/** An open SelectStream that is asked one call after the other. */
export function openSelectStream(scope: Scope, selection: SelectionServiceClient) {
  const stream = selection.selectStream();
  let error: ServiceError | undefined;
  stream.on('error', (each: ServiceError) => {
    error = each;
  });
  scope.teardown(() => stream.cancel());
  const inbox = new Inbox<SelectStreamResponse>(stream);
  const ask = async (callId: string) => {
    stream.write({ request: SelectRequest.fromPartial({ callId, requestId: callId }) });
    const { result } = await inbox.next();
    return result?.$case;
  };
  return {
    ask,
    get error() {
      return error;
    },
  };
}

/** The certificate that a new connection is shown. */
export async function shownBy(port: number, ca: string): Promise<PeerCertificate> {
  const [fresh] = await credentialFiles({ ca, key: ca, cert: ca });
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, ca: fresh, ALPNProtocols: ['h2'] }, () => {
      resolve(socket.getPeerCertificate());
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

/** The first line of the replica's log, past or future, with this message. */
export async function lineOf({ lines }: Pick<InProcessReplica, 'lines'>, message: string) {
  const find = () => lines.find(({ msg }) => String(msg).startsWith(message));
  await eventually(() => find() !== undefined, `line "${message}"`);
  return find() as Record<string, unknown>;
}
