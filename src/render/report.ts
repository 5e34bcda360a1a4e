import { reportStyle } from './report-style.ts'
import type { Table } from './table.ts'
import { escapeXml } from './text.ts'

/** What a report says of runs: data only, in the order in which it is read. */
export interface Report {
  title: string
  /** who wrote it and when */
  made: string
  runs: readonly ReportRun[]
}

export interface ReportRun {
  id: string
  title: string
  lead: readonly string[]
  /** what nobody may overlook, such as SYNTHETIC WEIGHTS */
  notices: readonly string[]
  blocks: readonly ReportBlock[]
}

export type ReportBlock =
  | { of: 'heading'; text: string }
  | { of: 'text'; text: string }
  | { of: 'list'; items: readonly string[] }
  | { of: 'facts'; rows: readonly (readonly [name: string, value: string])[] }
  | { of: 'table'; table: Table; caption?: string }
  /** an SVG document of src/render */
  | { of: 'picture'; svg: string; caption?: string }
  /** text whose lines stay as they are */
  | { of: 'source'; text: string }

/** Nothing is fetched and nothing runs, whatever a prompt or a server put into the page. */
const policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"

/**
 * A report as one HTML document that needs nothing besides itself. All text is escaped, and what could hide or turn the
 * text around it is written out.
 */
export function renderReport({ title, made, runs }: Report): string {
  const contents =
    runs.length < 2
      ? ''
      : `<nav><ol>${runs.map(({ id, title: name }) => `<li><a href="#run-${escapeXml(id)}">${escapeXml(name)}</a></li>`).join('')}</ol></nav>\n`
  return [
    '<!doctype html>',
    '<html lang="en">',
    '<head>',
    '<meta charset="utf-8">',
    `<meta http-equiv="Content-Security-Policy" content="${policy}">`,
    '<meta name="referrer" content="no-referrer">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    '<meta name="color-scheme" content="light dark">',
    `<title>${escapeXml(title)}</title>`,
    `<style>${reportStyle}</style>`,
    '</head>',
    '<body>',
    `<header><h1>${escapeXml(title)}</h1><p class="quiet">${escapeXml(made)}</p></header>`,
    `${contents}<main>`,
    ...runs.map(renderRun),
    '</main>',
    '</body>',
    '</html>',
    '',
  ].join('\n')
}

function renderRun({ id, title, lead, notices, blocks }: ReportRun): string {
  return [
    `<section class="run" id="run-${escapeXml(id)}">`,
    `<h2>${escapeXml(title)}</h2>`,
    ...lead.map((line) => `<p class="quiet">${escapeXml(line)}</p>`),
    ...notices.map((notice) => `<p class="notice">${escapeXml(notice)}</p>`),
    ...blocks.map(renderBlock),
    '</section>',
  ].join('\n')
}

function renderBlock(block: ReportBlock): string {
  switch (block.of) {
    case 'heading':
      return `<h3>${escapeXml(block.text)}</h3>`
    case 'text':
      return `<p>${escapeXml(block.text)}</p>`
    case 'list':
      return `<ul>${block.items.map((item) => `<li>${escapeXml(item)}</li>`).join('')}</ul>`
    case 'facts':
      return `<dl>${block.rows.map(([name, value]) => `<div><dt>${escapeXml(name)}</dt><dd>${escapeXml(value)}</dd></div>`).join('')}</dl>`
    case 'table':
      return renderTable(block.table, block.caption)
    case 'picture':
      return `<figure>${block.svg.trim()}${block.caption === undefined ? '' : `<figcaption>${escapeXml(block.caption)}</figcaption>`}</figure>`
    case 'source':
      return `<pre>${block.text.split('\n').map(escapeXml).join('\n')}</pre>`
  }
}

/** Rows of a table that stays on one page when it is printed. */
const mostUncut = 16

function renderTable({ columns, rows }: Table, caption: string | undefined): string {
  const side = (index: number) => (columns[index]?.align === 'right' ? ' class="right"' : '')
  const cells = (row: readonly string[]) =>
    row.map((cell, index) => `<td${side(index)}>${escapeXml(cell)}</td>`).join('')
  return [
    `<div class="wide${rows.length <= mostUncut ? ' short' : ''}"><table>`,
    ...(caption === undefined ? [] : [`<caption>${escapeXml(caption)}</caption>`]),
    `<thead><tr>${columns.map((column, index) => `<th scope="col"${side(index)}>${escapeXml(column.title)}</th>`).join('')}</tr></thead>`,
    '<tbody>',
    ...rows.map((row) => (row === null ? '<tr class="gap"></tr>' : `<tr>${cells(row)}</tr>`)),
    '</tbody></table></div>',
  ].join('\n')
}
