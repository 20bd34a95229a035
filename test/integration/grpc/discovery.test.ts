import test from 'ava';
import { HealthClient, reflect } from '../../support/health.js';
import { eventually } from '../../support/registry.js';
import { replicaScene } from '../../support/replica.js';

const services = ['holdfast.v1.SelectionService', 'holdfast.v1.RelayService'];

test('health can be checked and watched, for the server and for each service', async (t) => {
  const { grpc, stop } = await replicaScene(t);
  const health = new HealthClient(t, grpc);
  for (const service of ['', ...services]) {
    t.is(await health.check(service), 'SERVING');
  }
  await t.throwsAsync(health.check('holdfast.v1.NoService'), { message: /NOT_FOUND/ });

  const watch = health.watch('');
  await eventually(() => watch.statuses.includes('SERVING'), 'SERVING');
  // A load balancer must learn it before the replica stops: the stream is cut only afterwards.
  await stop();
  t.deepEqual(watch.statuses, ['SERVING', 'NOT_SERVING']);
});

for (const version of ['v1', 'v1alpha'] as const) {
  test(`server reflection ${version} lists the services and describes them`, async (t) => {
    const { grpc } = await replicaScene(t);
    const listed = await reflect(t, grpc, version, { list_services: '' });
    const names = listed.list_services_response?.service.map(({ name }) => name) ?? [];
    for (const service of [...services, 'grpc.health.v1.Health']) {
      t.true(names.includes(service), names.join());
    }
    // Tools need the types of health checks and of error details as well.
    for (const symbol of ['grpc.health.v1.Health.Check', 'google.rpc.ErrorInfo', 'google.rpc.RetryInfo']) {
      const { file_descriptor_response } = await reflect(t, grpc, version, {
        file_containing_symbol: symbol,
      });
      t.true((file_descriptor_response?.file_descriptor_proto.length ?? 0) > 0, symbol);
    }

    const described = await reflect(t, grpc, version, {
      file_containing_symbol: 'holdfast.v1.SelectionService.Select',
    });
    const files = Buffer.concat(described.file_descriptor_response?.file_descriptor_proto ?? []).toString(
      'latin1',
    );
    // With what it imports: a client cannot make the call without them.
    for (const file of [
      'holdfast/v1/selection.proto',
      'holdfast/v1/relay.proto',
      'google/protobuf/timestamp.proto',
    ]) {
      t.true(files.includes(file), file);
    }
    const unknown = await reflect(t, grpc, version, { file_containing_symbol: 'holdfast.v1.Nothing' });
    t.is(unknown.error_response?.error_code, 5);
  });
}
