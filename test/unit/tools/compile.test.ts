import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { compileSources, isCompiled } from '../../../tools/compile.mjs'

const scratch = mkdtempSync(join(tmpdir(), 'kvscope-compile-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

/** A package with these sources. */
function packageOf(sources: Record<string, string>): string {
  const root = mkdtempSync(join(scratch, 'package-'))
  writeFileSync(join(root, 'package.json'), '{"type":"module"}')
  for (const [path, text] of Object.entries(sources)) put(root, path, text)
  return root
}

function put(root: string, path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), text)
}

const output = (root: string, path: string) => readFileSync(join(root, 'dist', path), 'utf8')
const importOf = (root: string, path: string) => import(pathToFileURL(join(root, 'dist', path)).href)

describe('compileSources', () => {
  it('compiles src, bench and test/support file by file, and nothing else', async () => {
    const root = packageOf({
      'src/a/one.ts': 'export const one: number = 1',
      'src/a/types.d.ts': 'export const two: number',
      'src/a/page.graphql': 'type Query',
      'src/web/page.ts': 'export const page: string = "for browsers"',
      'bench/two.ts': 'export const two = <T>(value: T): T => value',
      'test/support/three.ts': 'export const three = 3 satisfies number',
      'test/unit/four.test.ts': 'export const four: number = 4',
    })
    expect(await compileSources(root)).toEqual(['src/a/one.ts', 'bench/two.ts', 'test/support/three.ts'])
    expect(await importOf(root, 'src/a/one.js')).toMatchObject({ one: 1 })
    expect((await importOf(root, 'bench/two.js')).two(2)).toBe(2)
    expect(await importOf(root, 'test/support/three.js')).toMatchObject({ three: 3 })
    for (const path of ['src/a/types.js', 'src/a/types.d.js', 'src/web/page.js', 'test/unit/four.test.js']) {
      expect(existsSync(join(root, 'dist', path)), path).toBe(false)
    }
  })

  it('lets every kind of import name the output, and no other text', async () => {
    const root = packageOf({
      'src/leaf.ts': 'export type Leaf = string\nexport const leaf = "leaf.ts"',
      'src/again.ts': 'export { leaf } from "./leaf.ts"\nexport * as all from "./leaf.ts"',
      'src/root.ts': `import type { Leaf } from './leaf.ts'
        import { type Leaf as Other, leaf } from './leaf.ts'
        export const read = async (): Promise<Leaf> => (await import('./again.ts')).leaf + leaf
        export type Third = import('./leaf.ts').Leaf
        export const name: Other = './leaf.ts'`,
    })
    await compileSources(root)
    const { read, name } = await importOf(root, 'src/root.js')
    expect(await read()).toBe('leaf.tsleaf.ts')
    expect(name).toBe('./leaf.ts')
    expect((await importOf(root, 'src/again.js')).all.leaf).toBe('leaf.ts')
    expect(output(root, 'src/root.js').match(/\.\/leaf\.js/g)).toHaveLength(1)
  })

  it('keeps lines and columns, so that a stack trace tells those of the source', async () => {
    const source = `interface Some {
  types: string
}

export function fail(some: Some & { more: number }): never { throw new Error(some.types) }`
    const root = packageOf({ 'src/fail.ts': source })
    await compileSources(root)
    const { fail } = await importOf(root, 'src/fail.js')
    const column = (source.split('\n')[4]?.indexOf('new Error') ?? 0) + 1
    expect(() => fail({ types: 'x', more: 1 })).toThrow(
      expect.objectContaining({ stack: expect.stringContaining(`src/fail.js:5:${column}`) }),
    )
  })

  it('does nothing the second time', async () => {
    const root = packageOf({ 'src/one.ts': 'export const one: number = 1' })
    expect(isCompiled(root)).toBe(false)
    await compileSources(root)
    expect(isCompiled(root)).toBe(true)
    const before = statSync(join(root, 'dist/src/one.js'), { bigint: true })
    expect(await compileSources(root)).toEqual([])
    expect(statSync(join(root, 'dist/src/one.js'), { bigint: true })).toEqual(before)
  })

  it('compiles a changed source again, and only that, even where size and time are what they were', async () => {
    const root = packageOf({ 'src/one.ts': 'export const one: number = 1', 'src/two.ts': 'export const two = 2' })
    await compileSources(root)
    const { atime, mtime } = statSync(join(root, 'src/one.ts'))
    put(root, 'src/one.ts', 'export const one: number = 5')
    utimesSync(join(root, 'src/one.ts'), atime, mtime)
    expect(isCompiled(root)).toBe(false)
    expect(await compileSources(root)).toEqual(['src/one.ts'])
    expect(output(root, 'src/one.js')).toContain('= 5')
  })

  it('makes an output again that has gone', async () => {
    const root = packageOf({ 'src/one.ts': 'export const one = 1', 'src/two.ts': 'export const two = 2' })
    await compileSources(root)
    rmSync(join(root, 'dist/src/two.js'))
    expect(await compileSources(root)).toEqual(['src/two.ts'])
    expect(existsSync(join(root, 'dist/src/two.js'))).toBe(true)
  })

  it('leaves no output of a source that has gone, no draft of a killed process, and what others built', async () => {
    const root = packageOf({ 'src/one.ts': 'export const one = 1', 'src/old/two.ts': 'export const two = 2' })
    await compileSources(root)
    rmSync(join(root, 'src/old'), { recursive: true })
    put(root, 'dist/src/one.js.4711.draft', 'export const o')
    put(root, 'dist/web/index.html', '<title>kvscope</title>')
    expect(isCompiled(root)).toBe(false)
    expect(await compileSources(root)).toEqual([])
    expect(isCompiled(root)).toBe(true)
    expect(existsSync(join(root, 'dist/src/old/two.js'))).toBe(false)
    expect(existsSync(join(root, 'dist/src/one.js.4711.draft'))).toBe(false)
    expect(existsSync(join(root, 'dist/web/index.html'))).toBe(true)
  })

  it('names file, line and column of all that it cannot compile, and leaves everything as it was', async () => {
    const root = packageOf({ 'src/one.ts': 'export const one = 1', 'src/two.ts': 'export const two = 2' })
    await compileSources(root)
    put(root, 'src/one.ts', 'export const one = 11')
    put(root, 'src/two.ts', 'export const two = 2\nexport const three = (4 +')
    put(root, 'src/kind.ts', '\n  enum Kind { MHA }')
    await expect(compileSources(root)).rejects.toThrow(
      /^Cannot compile:\nsrc\/kind\.ts:2:3: EnumDeclaration .*\nsrc\/two\.ts:2:26: Expression expected\.$/m,
    )
    expect(output(root, 'src/one.js')).toContain('= 1')
    expect(output(root, 'src/two.js')).toContain('two = 2')
    expect(isCompiled(root)).toBe(false)
  })

  it('takes no output for that of a source that was put back after a compilation that was cut short', async () => {
    const root = packageOf({ 'src/a.ts': 'export const a = 1', 'src/b.ts': 'export const b = 1' })
    await compileSources(root)
    put(root, 'src/a.ts', 'export const a = 2')
    put(root, 'src/b.ts', 'export const b = 2')
    // The second output cannot be written: it ends between the two.
    rmSync(join(root, 'dist/src/b.js'))
    mkdirSync(join(root, 'dist/src/b.js/in the way'), { recursive: true })
    await expect(compileSources(root)).rejects.toThrow(/EISDIR|ENOTEMPTY|EEXIST|EPERM/)
    expect(output(root, 'src/a.js')).toContain('= 2')
    rmSync(join(root, 'dist/src/b.js'), { recursive: true })
    put(root, 'src/a.ts', 'export const a = 1')
    expect(isCompiled(root)).toBe(false)
    await compileSources(root)
    expect(output(root, 'src/a.js')).toContain('= 1')
  })
})
