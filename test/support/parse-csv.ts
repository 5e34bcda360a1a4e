/** Records of a CSV file (RFC 4180), each by its title. */
export function parseCsv(text: string): Record<string, string>[] {
  const records: string[][] = []
  let record: string[] = []
  const cell = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/y
  while (cell.lastIndex < text.length) {
    const place = cell.lastIndex
    const [, quoted, plain, end] = cell.exec(text) ?? []
    if (end === undefined) throw new Error(`no cell at ${place}: ${text.slice(place, place + 50)}`)
    record.push(quoted?.replaceAll('""', '"') ?? plain ?? '')
    if (end === ',') continue
    records.push(record)
    record = []
  }
  const [titles = [], ...rows] = records
  return rows.map((row) => {
    if (row.length !== titles.length) throw new Error(`${row.length} cells under ${titles.length} titles`)
    return Object.fromEntries(titles.map((title, index) => [title, row[index] ?? '']))
  })
}
