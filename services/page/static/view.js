// What is shown, and how: all of it in the URL, so that a view can be sent to somebody.

/** How far back events are shown, ms. */
export const sinceMs = { '10m': 600_000, '1h': 3_600_000, '24h': 86_400_000 };

const url = new URLSearchParams(location.search);
export const view = {
  filter: url.get('filter') ?? '',
  set: url.get('set') ?? '',
  trouble: url.has('trouble'),
  all: url.has('all'),
  sort: url.get('sort') ?? '',
  since: url.get('since') in sinceMs ? url.get('since') : '1h',
  call: url.get('call') ?? '',
};

export function remember() {
  const kept = new URLSearchParams();
  for (const [name, value] of Object.entries(view)) {
    if (value && !(name === 'since' && value === '1h')) {
      kept.set(name, value === true ? '1' : value);
    }
  }
  history.replaceState(undefined, '', kept.size > 0 ? `?${kept}` : location.pathname);
}
