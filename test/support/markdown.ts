/** A table in Markdown, aligned so that it is readable in a terminal too. */
export function markdownTable(headings: readonly string[], lines: readonly (readonly string[])[]): string {
  const widths = headings.map((heading, i) =>
    Math.max(heading.length, ...lines.map((line) => line[i]?.length ?? 0)),
  );
  const render = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | ')} |`;
  const rule = render(widths.map((width) => '-'.repeat(width)));
  return [render(headings), rule, ...lines.map(render)].join('\n');
}
