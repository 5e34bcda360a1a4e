// Compiles what processes run, file by file, to plain JavaScript in dist/. Types are blanked with spaces, so that every
// line and column of the output is the source's own: stack traces and profiles need no source maps.
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const ownFolder = resolve(dirname(fileURLToPath(import.meta.url)), '..')
const folders = ['src', 'bench', 'test/support']
/** For browsers, and built otherwise. */
const notForNode = new Set(['src/web'])
/** What an output depends on besides its source. */
const compiler = [
  'tools/compile.mjs',
  'node_modules/typescript/package.json',
  'node_modules/ts-blank-space/package.json',
]
/** Which text of each source its output was made from. */
const listed = 'dist/.compiled.json'

/** Whether every source has the output of its very contents, and nothing else is there. */
export function isCompiled(root = ownFolder) {
  const { changed, gone } = compare(root)
  return changed.length === 0 && gone.length === 0
}

/**
 * Compiles sources that changed, and removes the outputs of those that are gone. One process at a time; others may be
 * running the outputs as they were.
 * @returns the paths of the sources compiled now
 * @throws Error naming file, line and column of everything that cannot be compiled; then dist/ is left as it was
 */
export async function compileSources(root = ownFolder) {
  const { changed, gone, fresh } = compare(root)
  if (changed.length === 0 && gone.length === 0) return []
  const { outputs, errors } = await compileTexts(changed)
  if (errors.length > 0) throw new Error(`Cannot compile:\n${errors.join('\n')}`, { cause: 'told' })
  // Until it is written, no output counts as that of any source: this process may be killed in between.
  writeList(root, fresh)
  for (const [path, text] of outputs) write(join(root, path), text)
  for (const path of gone) rmSync(join(root, path), { force: true })
  writeList(root, { ...fresh, ...Object.fromEntries(changed.map(({ path, hash }) => [path, hash])) })
  return changed.map(({ path }) => path)
}

function compare(root) {
  const made = readList(root)
  const present = new Set(folders.flatMap((folder) => walk(root, `dist/${folder}`)))
  const changed = []
  const fresh = {}
  for (const path of folders.flatMap((folder) => walk(root, folder))) {
    if (!path.endsWith('.ts') || path.endsWith('.d.ts')) continue
    const text = read(join(root, path))
    if (text === null) continue
    const hash = hashOf(text)
    // What remains in it has no source.
    const isThere = present.delete(outputOf(path))
    if (isThere && made[path] === hash) fresh[path] = hash
    else changed.push({ path, text, hash })
  }
  return { changed, fresh, gone: [...present] }
}

const outputOf = (source) => `dist/${source.replace(/\.ts$/, '.js')}`

/** Loaded only when something is to be compiled: the compiler alone takes longer to load than most commands to run. */
async function compileTexts(sources) {
  const [{ default: ts }, { blankSourceFile }] = await Promise.all([import('typescript'), import('ts-blank-space')])
  const errors = []
  const outputs = sources.map(({ path, text }) => {
    const file = ts.createSourceFile(path, text, { languageVersion: ts.ScriptTarget.ESNext })
    const tell = (position, message) => {
      const { line, character } = file.getLineAndCharacterOfPosition(position)
      errors.push(`${path}:${line + 1}:${character + 1}: ${message}`)
    }
    for (const { start, messageText } of file.parseDiagnostics) {
      tell(start, ts.flattenDiagnosticMessageText(messageText, ' '))
    }
    const blanked = blankSourceFile(file, (node) =>
      tell(node.getStart(file), `${ts.SyntaxKind[node.kind]} has a meaning at run time and is not erasable`),
    )
    return [outputOf(path), nameOutputs(ts, file, blanked)]
  })
  return { outputs, errors }
}

/** Lets imports name outputs, `./file.js` where the source says `./file.ts`; a name keeps its length. */
function nameOutputs(ts, file, blanked) {
  const ends = []
  const visit = (node) => {
    const isImport = ts.isImportDeclaration(node) || ts.isExportDeclaration(node)
    const isCall = ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword
    const name = isImport ? node.moduleSpecifier : isCall ? node.arguments[0] : undefined
    if (name && ts.isStringLiteralLike(name) && /^\.\.?\/.*\.ts$/.test(name.text)) ends.push(name.end)
    ts.forEachChild(node, visit)
  }
  visit(file)
  let text = blanked
  // The quote stands at end - 1. Imports of types have been blanked.
  for (const end of ends) {
    if (text.slice(end - 4, end - 1) === '.ts') text = `${text.slice(0, end - 4)}.js${text.slice(end - 1)}`
  }
  return text
}

function readList(root) {
  try {
    const list = JSON.parse(readFileSync(join(root, listed), 'utf8'))
    return list.compiler === compilerHash() ? list.sources : {}
  } catch {
    return {}
  }
}

function writeList(root, sources) {
  write(join(root, listed), JSON.stringify({ compiler: compilerHash(), sources }))
}

const compilerHash = () => hashOf(compiler.map((path) => read(join(ownFolder, path)) ?? '').join('\0'))
const hashOf = (text) => createHash('sha256').update(text).digest('hex')

/** Every file below a folder, as a path from the root; those with a dot in front are other programs'. */
function walk(root, folder) {
  if (notForNode.has(folder)) return []
  return entriesOf(join(root, folder)).flatMap((entry) => {
    const path = `${folder}/${entry.name}`
    if (entry.name.startsWith('.')) return []
    return entry.isDirectory() ? walk(root, path) : [path]
  })
}

const entriesOf = (folder) => unlessAbsent(() => readdirSync(folder, { withFileTypes: true })) ?? []
const read = (file) => unlessAbsent(() => readFileSync(file, 'utf8'))

/** A file that is there and cannot be read must not pass for one that has gone. */
function unlessAbsent(action) {
  try {
    return action()
  } catch (error) {
    if (error.code === 'ENOENT') return null
    throw error
  }
}

/** Written beside and renamed: other processes may be reading the file as it was. */
function write(file, text) {
  mkdirSync(dirname(file), { recursive: true })
  const draft = `${file}.${process.pid}.draft`
  writeFileSync(draft, text)
  renameSync(draft, file)
}
