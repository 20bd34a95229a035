import test from 'ava';
import { isUnsupported, unsupportedOption } from '../../../../services/control/ng/unsupported.js';

test('a refusal is recognized, whatever the name', (t) => {
  for (const name of ['ICE', 'x"y', 'a\nb', 'z'.repeat(500), '']) {
    const reason = unsupportedOption(name);
    t.true(isUnsupported({ result: 'error', 'error-reason': reason }), reason);
    t.regex(reason, /^Option "[\x21-\x7e]{0,63}" is not supported by this relay$/);
  }
  t.is(unsupportedOption('transport-protocol'), 'Option "transport-protocol" is not supported by this relay');
  t.true(isUnsupported({ result: 'error', 'error-reason': 'Unrecognized command' }));
  t.false(isUnsupported({ result: 'error', 'error-reason': 'Ran out of ports' }));
  t.false(isUnsupported({ result: 'ok', sdp: unsupportedOption('ICE') }));
});
