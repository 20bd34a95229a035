import test from 'ava';
import { inTrace, traceFields, traceIdOf } from '../../../services/runtime/trace.js';

const id = '4bf92f3577b34da6a3ce929d0e0e4736';
const parent = '00f067aa0ba902b7';

test('the trace id of a traceparent is read, also of a later version with more fields', (t) => {
  t.is(traceIdOf(`00-${id}-${parent}-01`), id);
  t.is(traceIdOf(`cc-${id}-${parent}-00-more`), id);
});

for (const text of [
  undefined,
  Buffer.from(id),
  '',
  id,
  `ff-${id}-${parent}-01`,
  `00-${'0'.repeat(32)}-${parent}-01`,
  `00-${id}-${'0'.repeat(16)}-01`,
  `00-${id.toUpperCase()}-${parent}-01`,
  `00-${id}-${parent}-01-more`,
  `00-${id}-${parent}-1`,
  `01-${id}-${parent}-01-${'x'.repeat(300)}`,
  `00-${id}-${parent}-01\n`,
]) {
  test(`${JSON.stringify(text)?.slice(0, 90)} is no traceparent`, (t) => {
    t.is(traceIdOf(text), undefined);
  });
}

test('what a traced request starts is in its trace, and nothing else is', async (t) => {
  const later = () => new Promise<object>((resolve) => setImmediate(() => resolve(traceFields())));
  const [one, other] = await Promise.all([inTrace(id, later), inTrace(undefined, later)]);
  t.deepEqual(one, { traceId: id });
  t.deepEqual(other, {});
  t.deepEqual(traceFields(), {});
});
