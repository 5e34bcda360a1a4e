import { mkdir, writeFile } from 'node:fs/promises'
import { loadavg } from 'node:os'
import { dirname } from 'node:path'
import { parseArgs } from 'node:util'
import { type Column, tableToText } from '../src/render/table.ts'

/** One figure of a bench, under the name by which it is followed over time. */
export interface Figure {
  name: string
  value: number
  /** '' for a ratio or a count */
  unit: string
}

export interface Target {
  /** null: no bound on that side */
  least: number | null
  most: number | null
}

/**
 * The file that `--json FILE` names on the command line; null where it does not. A bench asks before it measures, so that
 * a mistyped option is refused in its first second.
 * @throws TypeError naming an option that no bench has
 */
export function jsonFile(argv: readonly string[] = process.argv.slice(2)): string | null {
  return benchOptions([], argv).json ?? null
}

/** Options of a bench with a value each, `--json` among them. */
export function benchOptions<const Name extends string>(
  names: readonly Name[],
  argv: readonly string[] = process.argv.slice(2),
): Partial<Record<Name | 'json', string>> {
  const options = Object.fromEntries([...names, 'json'].map((name) => [name, { type: 'string' } as const]))
  return parseArgs({ args: [...argv], options }).values as Partial<Record<Name | 'json', string>>
}

/** Says when others use the machine: two-thread timings double beside one busy neighbour. */
export function noteLoad(cores: number): void {
  const [load = 0] = loadavg()
  if (load > cores / 2)
    console.log(`load average ${load.toFixed(2)} on ${cores} cores: the machine is busy, figures will be poor`)
}

/** Prints rows under titles; all but the first column stand to the right. */
export function printTable(titles: readonly string[], rows: readonly (readonly string[])[]): void {
  const columns = titles.map((title, index): Column => ({ title, align: index === 0 ? 'left' : 'right' }))
  console.log(`\n${tableToText({ columns, rows })}`)
}

/** Prints figures with their targets, and writes them to the file that `--json` names. */
export async function reportFigures(
  figures: readonly Figure[],
  targets: Readonly<Record<string, Target>>,
  file: string | null = jsonFile(),
): Promise<void> {
  printTable(
    ['figure', 'value', 'target', ''],
    figures.map(({ name, value, unit }) => {
      const target = targets[name]
      return [
        name,
        `${round(value)}${unit && ` ${unit}`}`,
        target ? words(target) : '',
        target ? verdict(value, target) : '',
      ]
    }),
  )
  if (file === null) return
  await mkdir(dirname(file), { recursive: true })
  await writeFile(
    file,
    `${JSON.stringify(
      figures.map((figure) => ({ ...figure, value: round(figure.value) })),
      null,
      2,
    )}\n`,
  )
  console.log(`\nwritten to ${file}`)
}

function words({ least, most }: Target): string {
  if (least !== null && most !== null) return least === most ? `= ${least}` : `${least} to ${most}`
  return least !== null ? `>= ${least}` : `<= ${most}`
}

function verdict(value: number, { least, most }: Target): string {
  return (least === null || value >= least) && (most === null || value <= most) ? 'met' : 'MISSED'
}

function round(value: number): number {
  return Number(value.toPrecision(4))
}
