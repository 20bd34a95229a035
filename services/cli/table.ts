import { cut, printable, type Style, styled, type Terminal } from './terminal.js';

/** One column of a table for people. */
export interface Column<Row> {
  readonly heading: string;
  readonly cell: (row: Row) => string;
  readonly style?: (row: Row) => Style | undefined;
  /** Where there is no room for all columns, those of the highest rank are left out. Default: 0, never. */
  readonly rank?: number;
  /** Its cells may be cut to this width, if they are longer, before another column is left out. */
  readonly cutTo?: number;
  /** Left out where every cell is empty. */
  readonly optional?: true;
}

const gap = '  ';

/** Columns as wide as needed, two spaces apart; as many of them as fit the terminal. */
export function table<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  terminal: Terminal,
): string[] {
  const all = columns
    .map((column) => measured(column, rows))
    .filter(({ optional, cells }) => !optional || cells.some((cell) => cell !== ''));
  const chosen = terminal.width === undefined ? all : fitted(all, terminal.width);
  const line = (textOf: (column: Measured<Row>) => readonly [text: string, style: Style | undefined]) =>
    chosen
      .map((column, at) => {
        const [text, style] = textOf(column);
        const shown = cut(text, column.width);
        const padding = at === chosen.length - 1 ? '' : ' '.repeat(column.width - [...shown].length);
        return styled(shown, style, terminal) + padding;
      })
      .join(gap)
      .trimEnd();
  return [
    line(({ heading }) => [heading, 'bold']),
    ...rows.map((row, at) => line(({ cells, style }) => [cells[at] ?? '', style?.(row)])),
  ];
}

interface Measured<Row> extends Column<Row> {
  readonly cells: readonly string[];
  readonly width: number;
}

function measured<Row>(column: Column<Row>, rows: readonly Row[]): Measured<Row> {
  const cells = rows.map((row) => printable(column.cell(row)));
  const width = Math.max(...[column.heading, ...cells].map((text) => [...text].length));
  return { ...column, cells, width };
}

/** In their order; those of a low rank first, while there is room. */
function fitted<Row>(columns: readonly Measured<Row>[], width: number): Measured<Row>[] {
  const least = ({ width, cutTo = width }: Measured<Row>) => Math.min(width, cutTo);
  const chosen = new Set<Measured<Row>>();
  let free = width + gap.length;
  for (const column of columns.toSorted((a, b) => (a.rank ?? 0) - (b.rank ?? 0))) {
    const needed = least(column) + gap.length;
    if ((column.rank ?? 0) === 0 || needed <= free) {
      chosen.add(column);
      free -= needed;
    }
  }
  return columns
    .filter((column) => chosen.has(column))
    .map((column) => {
      const extra = Math.min(column.width - least(column), Math.max(0, free));
      free -= extra;
      return { ...column, width: least(column) + extra };
    });
}
